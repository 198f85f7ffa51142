"""The names by which Teams' interactions come back; the app package repeats that of the message command."""

from __future__ import annotations

from typing import Final

STOP: Final = "erni.stop"
RETRY: Final = "erni.retry"
FORMAT: Final = "erni.format"
RENAME: Final = "erni.rename"
DELETE: Final = "erni.delete"
PAGE: Final = "erni.page"
SETTINGS: Final = "erni.settings"

COMMAND: Final = "transcribe"

TRANSCRIBE_DIALOG: Final = "erni.dialog.transcribe"
SETTINGS_DIALOG: Final = "erni.dialog.settings"
RENAME_DIALOG: Final = "erni.dialog.rename"
RETRY_DIALOG: Final = "erni.dialog.retry"
