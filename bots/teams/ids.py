"""The names by which Teams' interactions come back; the app package repeats that of the message command."""

from __future__ import annotations

from typing import Final

STOP: Final = "erni.stop"
FORMAT: Final = "erni.format"
DELETE: Final = "erni.delete"
PAGE: Final = "erni.page"

COMMAND: Final = "transcribe"

TRANSCRIBE_DIALOG: Final = "erni.dialog.transcribe"
SETTINGS_DIALOG: Final = "erni.dialog.settings"
RENAME_DIALOG: Final = "erni.dialog.rename"
RETRY_DIALOG: Final = "erni.dialog.retry"
