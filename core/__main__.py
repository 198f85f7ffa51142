"""`python -m core` and the installed script `erni-audio`."""

from core.cli import main

if __name__ == "__main__":
    main()
