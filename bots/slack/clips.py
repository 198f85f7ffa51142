"""Slack's own transcript of a clip, for when recognition is down."""

from __future__ import annotations

import logging
import re

from bots.slack.client import Workspace
from bots.slack.download import fetch_text
from bots.slack.records import SlackFile
from core.errors import ErniError

logger = logging.getLogger(__name__)

_CUE = re.compile(r"-->")
_TAG = re.compile(r"<[^>]*>")


async def own_transcript(slack: Workspace, file: SlackFile) -> tuple[str, bool]:
    """What Slack heard, and whether that is all of it. Empty if it wrote nothing (yet), or the app may not
    read it."""
    if file.transcription != "complete":
        return "", False
    if file.vtt:
        try:
            if text := spoken(await fetch_text(slack, file.vtt)):
                return text, True
        except ErniError as error:
            logger.info("Slack's own transcript is read only in part: %s", type(error).__name__)
    return file.transcript, not file.transcript_goes_on


def spoken(vtt: str) -> str:
    """The words of a WebVTT file: of its cues, without times, notes and styles."""
    said: list[str] = []
    for block in re.split(r"\n\s*\n", vtt.replace("\r\n", "\n")):
        lines = block.split("\n")
        start = next((number for number, line in enumerate(lines) if _CUE.search(line)), None)
        if start is not None:
            said += [text for line in lines[start + 1 :] if (text := _TAG.sub("", line).strip())]
    return " ".join(said)
