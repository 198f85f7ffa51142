"""Sentences for one person: in answer to a press, in a dialog, or in a card by `bots.teams.notices.note`."""

from __future__ import annotations

from typing import Final

from bots.teams.incoming import Reference
from bots.teams.shares import is_alone

NOTHING_TO_TRANSCRIBE: Final = (
    "I found no recording there. Use “Transcribe recording” on a message with an audio or video file, or"
    " mention me in a reply to one."
)
FILE_GONE: Final = (
    "That recording was deleted or moved, or I can't see that you may open it. Share the recording itself"
    " here, or ask who has it for a link that works for everybody in your organisation."
)
NOT_KEPT: Final = (
    "The service does not keep this transcript any more, so it can't be shown or changed. “Try again…” makes"
    " a new one."
)
NOT_YET: Final = "There is no transcript of this recording right now."
SAVED: Final = "The settings are saved."
UNDER_WAY: Final = "The transcript will appear in this conversation."
RENAMED: Final = "The names will appear in the transcript and its files in a moment."
TOO_LATE: Final = "That is not possible any more: the transcript was changed meanwhile. Please try again."
NOTHING_TO_STOP: Final = "Nothing is being transcribed here right now."


def may_not_delete(where: Reference) -> str:
    """To who may not delete a transcript there."""
    if where.kind == "channel":
        return "Only who shared the recording, or an owner of the team, can delete its transcript."
    return "Only who shared the recording can delete its transcript, as long as they are in this chat."


def may_not_set(where: Reference) -> str:
    """To who may not change the settings there."""
    if where.kind == "channel":
        return "What is transcribed here can be changed by owners of the team. Ask one of them."
    return "Guests can't change what is transcribed here. Ask somebody of the organisation."


def switched_off(where: Reference) -> str:
    """To who asks where nothing is transcribed."""
    if is_alone(where):
        how = "Write “settings” to change that."
    elif where.kind == "channel":
        how = "An owner of the team can mention me with “settings” to change that."
    else:
        how = "Mention me with “settings” to change that."
    return f"Transcribing is switched off here. {how}"


def expired(days: int) -> str:
    """In place of a transcript that was kept for as long as the conversation wanted."""
    return f"The transcript was deleted after {days} days, as this conversation wants it."
