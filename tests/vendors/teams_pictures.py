"""Pictures of Adaptive Cards, and what a browser makes of their text: Microsoft's renderer in Chromium.

The renderer and the Markdown library that its makers use are fetched from npm's registry into a temporary
directory. Colours and sizes are about those of Teams.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

RENDERER = "adaptivecards@3.0.6"
MARKDOWN = "markdown-it@14.1.0"
_SCRIPTS = ("adaptivecards/dist/adaptivecards.min.js", "markdown-it/dist/markdown-it.min.js")
_SECONDS = 120


class Unavailable(Exception):
    """No picture can be made here; the message says why."""


def _colors(default: str, subtle: str) -> dict[str, Any]:
    def both(color: str) -> dict[str, str]:
        return {"default": color, "subtle": color}

    return {
        "default": {"default": default, "subtle": subtle},
        "accent": both("#5B5FC7"),
        "attention": both("#C4314B"),
        "good": both("#237B4B"),
        "warning": both("#835C00"),
        "dark": both("#242424"),
        "light": both("#FFFFFF"),
    }


_STYLES = {
    name: {"backgroundColor": color, "foregroundColors": _colors("#242424", "#616161")}
    for name, color in {
        "default": "#FFFFFF",
        "emphasis": "#F5F5F5",
        "accent": "#E8EBFA",
        "good": "#E7F2DA",
        "warning": "#FBF6D9",
        "attention": "#FCF4F6",
    }.items()
}
HOST = {
    "supportsInteractivity": True,
    "fontFamily": "'Segoe UI', 'Noto Sans', 'DejaVu Sans', 'Noto Color Emoji', sans-serif",
    "fontSizes": {"small": 12, "default": 14, "medium": 16, "large": 18, "extraLarge": 24},
    "fontWeights": {"lighter": 200, "default": 400, "bolder": 600},
    "spacing": {
        "small": 8,
        "default": 12,
        "medium": 16,
        "large": 20,
        "extraLarge": 24,
        "padding": 16,
    },
    "separator": {"lineThickness": 1, "lineColor": "#E1E1E1"},
    "containerStyles": _STYLES,
    "actions": {
        "maxActions": 6,
        "spacing": "default",
        "buttonSpacing": 8,
        "showCard": {"actionMode": "inline", "inlineTopMargin": 12},
        "actionsOrientation": "horizontal",
        "actionAlignment": "left",
    },
}
_CSS = """
body { margin: 0; padding: 16px; background: #EBEBEB; width: %(width)dpx; font-family: 'Noto Sans' }
.frame { background: #FFFFFF; border-radius: 6px; box-shadow: 0 1px 3px #0003; margin: 4px 0 20px }
.name { color: #616161; font-size: 12px }
.ac-pushButton { font: 600 14px 'Noto Sans'; padding: 5px 12px; border: 1px solid #D1D1D1; border-radius: 4px;
  background: #FFFFFF; color: #242424 }
.ac-input { font: 14px 'Noto Sans'; padding: 5px 8px; border: 1px solid #D1D1D1; border-radius: 4px }
textarea.ac-input { height: 70px }
a { color: #5B5FC7 }
"""
_DRAW = """
AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdownit().render(text); result.didProcess = true };
for (const [name, content] of Object.entries(CARDS)) {
  const label = document.createElement('div'); label.className = 'name'; label.innerText = name;
  const frame = document.createElement('div'); frame.className = 'frame'; frame.id = name;
  const card = new AdaptiveCards.AdaptiveCard();
  card.hostConfig = new AdaptiveCards.HostConfig(HOST);
  const context = new AdaptiveCards.SerializationContext();
  card.parse(content, context);
  for (let at = 0; at < context.eventCount; at++)
    frame.dataset.problems = (frame.dataset.problems || '') + context.getEventAt(at).message + ';';
  frame.appendChild(card.render());
  document.body.append(label, frame);
  if (OPEN) for (const button of [...frame.querySelectorAll('.ac-pushButton')])
    if (OPEN.includes(button.innerText)) button.click();
}
document.body.dataset.height = document.body.scrollHeight;
"""


def fetch_renderer(folder: Path) -> Path:
    """The scripts below `folder`, fetched if need be. Raises Unavailable."""
    modules = folder / "node_modules"
    if not all((modules / script).exists() for script in _SCRIPTS):
        npm = shutil.which("npm")
        if npm is None:
            raise Unavailable("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", RENDERER, MARKDOWN]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable("npm's registry can't be reached in time") from None
        if done.returncode:
            raise Unavailable(f"npm can't fetch {RENDERER}")
    return modules


def find_browser() -> str:
    """The path of Chromium or Chrome. Raises Unavailable."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if found := shutil.which(name):
            return found
    raise Unavailable("neither Chromium nor Chrome is installed")


def write_page(
    path: Path, modules: Path, cards: Mapping[str, Any], *, width: int = 620, opened: Sequence[str] = ()
) -> Path:
    """An HTML page that shows cards, each under its name; buttons of the titles `opened` are pressed."""
    scripts = [(modules / script).read_text(encoding="utf-8") for script in _SCRIPTS]
    values = {"CARDS": cards, "HOST": HOST, "OPEN": list(opened)}
    given = "".join(f"const {name} = {_script(value)};\n" for name, value in values.items())
    body = "".join(f"<script>{script}</script>" for script in [*scripts, given + _DRAW])
    style = _CSS % {"width": width}
    path.write_text(f'<!doctype html><meta charset="utf-8"><style>{style}</style><body>{body}', "utf-8")
    return path


def take_picture(page: Path, picture: Path, *, width: int = 652) -> None:
    """The whole page as a PNG. Raises Unavailable."""
    height = min(16_000, int(_attribute(dump(page), "height")) + 40)
    _run(page, f"--screenshot={picture}", f"--window-size={width},{height}")
    if not picture.exists():
        raise Unavailable("Chromium makes no pictures here")


def dump(page: Path) -> str:
    """The page as HTML once everything is drawn. Raises Unavailable."""
    return _run(page, "--dump-dom")


def read(html: str) -> dict[str, Frame]:
    """What is in the frames of a page from `dump`, by name."""
    reader = _Reader()
    reader.feed(html)
    return reader.frames


class Frame:
    """A card as a browser shows it: its texts, the tags it is made of, where its links lead, and complaints
    of the renderer."""

    def __init__(self, problems: str) -> None:
        self.problems = problems
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.frames: dict[str, Frame] = {}
        self._frame: Frame | None = None
        self._skips = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("class") == "frame":
            self._frame = self.frames[found.get("id") or ""] = Frame(found.get("data-problems") or "")
        elif found.get("class") == "name":
            self._frame = None
        elif self._frame is not None:
            self._frame.tags.add(tag)
            if tag == "a" and found.get("href"):
                self._frame.links.append(found["href"] or "")
        self._skips = tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        if self._frame is not None and not self._skips:
            self._frame.texts.append(data)


def _attribute(html: str, name: str) -> str:
    _, found, rest = html.partition(f'data-{name}="')
    if not found:
        raise Unavailable("Chromium ran none of the page's scripts")
    return rest.partition('"')[0]


def _run(page: Path, *options: str) -> str:
    command = [
        find_browser(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--user-data-dir={page.parent / 'profile'}",
        "--virtual-time-budget=5000",
        *options,
        page.as_uri(),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable("Chromium takes too long here") from None
    if done.returncode:
        raise Unavailable(f"Chromium ended with {done.returncode}")
    return done.stdout.decode("utf-8", "replace")


def _script(value: Any) -> str:
    """JSON within a script: nothing in it may end the script."""
    return json.dumps(value).replace("<", "\\u003c")
