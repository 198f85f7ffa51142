"""Draw the picture in README.md: `python docs/picture.py TRANSCRIPT.md > docs/transcript.svg`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

LINES = 34  # what one screen shows


def draw(path: Path) -> str:
    """The head of a Markdown transcript as SVG."""
    page = Console(width=92, force_terminal=True)
    with page.capture() as capture:
        page.print(Markdown(path.read_text()))
    screen = Console(record=True, width=92, file=io.StringIO(), force_terminal=True)
    screen.print(Text.from_ansi("\n".join(capture.get().splitlines()[:LINES])))
    return screen.export_svg(title=path.name)


if __name__ == "__main__":
    sys.stdout.write(draw(Path(sys.argv[1])))
