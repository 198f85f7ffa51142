"""The real command, but that a text without speakers is tried again after a second instead of a minute."""

import core.worker
from core.cli import main

core.worker._FOLLOW_DELAY = 1.0

if __name__ == "__main__":
    main()
