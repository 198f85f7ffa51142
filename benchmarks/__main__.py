"""All benchmarks, one after another: `python -m benchmarks [--write]`, over an hour on two cores."""

from __future__ import annotations

import subprocess
import sys

PAGES = (
    *("overhead", "queueing", "repeated", "draft", "attribution", "methods", "fifty", "joins", "linking"),
    *("slack", "teams", "teams_download", "clouds"),
)
"""Those that have a page of results and take `--write`."""


def main() -> int:
    """Run them; the exit status says how many failed."""
    failed = 0
    for name in (*PAGES, "attribution_speed", "killing"):
        options = sys.argv[1:] if name in PAGES else []
        print(f"== benchmarks.{name}", flush=True)
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode
            != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
