"""Sentences for one person: in answer to a press, in a dialog, or in a card by `bots.teams.notices.note`."""

from __future__ import annotations

from typing import Final

NOTHING_TO_TRANSCRIBE: Final = (
    "I found no recording there. Use “Transcribe recording” on a message with an audio or video file, or"
    " mention me in a reply to one."
)
FILE_GONE: Final = "That recording was deleted, or moved to where I can't read it. Please share it again."
NOT_KEPT: Final = (
    "The service does not keep this transcript any more, so it can't be shown or changed. “Try again…” makes"
    " a new one."
)
MAY_NOT_DELETE: Final = "Only who shared the recording, or an owner of the team, can delete its transcript."
MAY_NOT_SET: Final = "What is transcribed here can be changed by owners of the team. Ask one of them."
SWITCHED_OFF: Final = (
    "Transcribing is switched off here. An owner of the team can change that in the settings."
)
SAVED: Final = "The settings are saved."
UNDER_WAY: Final = "The transcript will appear in this conversation."
RENAMED: Final = "The names will appear in the transcript and its files in a moment."
TOO_LATE: Final = "That is not possible any more: the transcript was changed meanwhile. Please try again."
NOTHING_TO_STOP: Final = "Nothing is being transcribed here right now."


def expired(days: int) -> str:
    """In place of a transcript that was kept for as long as the conversation wanted."""
    return f"The transcript was deleted after {days} days, as this conversation wants it."
