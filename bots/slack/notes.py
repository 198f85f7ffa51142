"""Short answers that only one person sees. Pure."""

from __future__ import annotations

from typing import Final

from bots.slack import parts
from bots.slack.parts import Message

OUTRUN: Final = (
    "Your settings were not used: another try of this recording was begun after you opened the form. Wait "
    "for its result. If you still want another one then, press “Try again…” once more."
)
"""Somebody was faster with the form for another try."""


def note(text: str) -> Message:
    """A sentence or two. `text` is ours or an error's; nothing in it formats or mentions."""
    return Message(text=parts.escape(text), blocks=[])


def apart(name: str, message: Message) -> Message:
    """What is said of the recording `name` in another place than its own."""
    return Message(text=f"About the recording {parts.escape(parts.title(name))}: {message.text}", blocks=[])


def nothing_to_transcribe() -> Message:
    """Nothing that somebody pointed at is a recording."""
    return note(
        "I found no recording there. Use “Transcribe recording” on a message with an audio or video file, "
        "mention me in a reply to one, or give me a link to it."
    )


def nothing_behind_link() -> Message:
    """There is nothing behind a link, or no recording, or it is not for who asks: which of these is nobody's
    business."""
    return note(
        "I found no recording there that I can show you: there is none, or you or I are not in that "
        "conversation. If you are, invite me there (type /invite and my name), then ask again."
    )


def file_gone() -> Message:
    """The file is not there any more, or the workspace's plan hides it."""
    return note(
        "That recording was deleted, or your Slack plan hides it because of its age. Please share it again."
    )


def not_a_member() -> Message:
    """The app is not in the conversation, so it could not answer there."""
    return note("I am not in that conversation. Invite me there (type /invite and my name), then ask again.")


def not_yours() -> Message:
    """Who pressed a button is not in the conversation any more."""
    return note("Only people who are in this conversation can do that. Ask somebody there.")


def not_kept() -> Message:
    """The service has deleted its copy."""
    return note(
        "The service does not keep this transcript any more, so it can't be changed. “Try again…” makes a "
        "new one."
    )


def forgotten() -> Message:
    """Nothing is known of the share any more, so its buttons do nothing."""
    return note(
        "I keep nothing about this transcript any more, so these buttons can't change or delete it. To get a "
        "new one, use “Transcribe recording” in the menu of the recording's message. An admin of the "
        "workspace can delete this one."
    )


def deleted_meanwhile() -> Message:
    """Somebody deleted the transcript while a form about it was open."""
    return note(
        "The transcript was deleted meanwhile, so nothing was done. To get a new one, use “Transcribe "
        "recording” in the menu of the recording's message."
    )


def may_not_delete() -> Message:
    """Deleting is for the sharer and for admins."""
    return note("Only who shared the recording, or an admin of the workspace, can delete its transcript.")


def may_not_set() -> Message:
    """Settings are for some people only."""
    return note(
        "What is transcribed here can be changed by who made the channel, by admins of the workspace, and by "
        "the group that your IT team chose. Ask one of them."
    )


def not_done() -> Message:
    """Pressed too late, or too often."""
    return note("That took too long for Slack. Please press it once more.")


def not_shown() -> Message:
    """A fault of Slack's or of ours, before or while a window was opened or a command answered."""
    return note(
        "That did not work, because of a fault of Slack's or of mine. Please try once more. If it goes on, "
        "tell whoever runs this app."
    )


def too_many() -> Message:
    """More people want windows at once than can be served."""
    return note("Too many people are asking me at this moment. Please try again in a minute.")


def not_allowed() -> Message:
    """The app was installed without a permission that this takes."""
    return note(
        "I lack a permission in this workspace for that. Tell whoever runs this app; its log says which one."
    )


def files_left() -> Message:
    """The text is gone, but the settings of the workspace keep the files."""
    return note(
        "The transcript was deleted, but Slack does not let me take its files away. An admin of the "
        "workspace can delete them."
    )


def switched_off() -> Message:
    """Whoever looks after the channel wants no transcripts in it."""
    return note(
        "Transcribing is switched off in that conversation. /transcribe settings shows who can change it."
    )


def expired(days: int) -> Message:
    """In place of a transcript that was kept for as long as the channel wanted."""
    return note(f"The transcript was deleted after {days} days, as this channel wants it.")
