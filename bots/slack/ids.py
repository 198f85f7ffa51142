"""The names by which Slack's interactions come back; the manifest repeats those of shortcut and command."""

from __future__ import annotations

from typing import Final

STOP: Final = "erni.stop"
RETRY: Final = "erni.retry"
FORMAT: Final = "erni.format"
RENAME: Final = "erni.rename"
DELETE: Final = "erni.delete"

SHORTCUT: Final = "erni.transcribe"
COMMAND: Final = "/transcribe"

SETTINGS_VIEW: Final = "erni.view.settings"
RENAME_VIEW: Final = "erni.view.rename"
RETRY_VIEW: Final = "erni.view.retry"

SHARE_EVENT: Final = "erni_audio_share"
"""The `event_type` of the metadata of the message that answers a share; the payload is `{"share": ID}`."""
