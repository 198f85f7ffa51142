"""A service account's key in a file that settings name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from connectors.gdrive.consent import read_json
from connectors.gdrive.credentials import service_account
from core.errors import AuthFailed, Rejected

_ANOTHER = (
    "GDRIVE_CREDENTIALS has the key of another account than when the service started. Start it anew to "
    "use that one."
)


class KeyFile:
    """The key in `path`, for an account that acts for itself or as `subject`. It is read anew when the file
    was replaced, and kept nowhere else."""

    def __init__(self, path: Path, subject: str) -> None:
        self._path = path.expanduser()
        self._subject = subject
        self._known: tuple[tuple[int, int, int], str] | None = None

    def secret(self, reference: str = "") -> str:
        """For `core.places.Credentials`, where it is that of the account meant by `reference`, if any.
        Blocks. Raises AuthFailed."""
        try:
            mark = self._mark()
            if self._known is None or self._known[0] != mark:
                key = read_json(str(self._path))
                self._known = mark, service_account(key if isinstance(key, dict) else {}, self._subject)
        except Rejected as error:
            raise AuthFailed(f"Setting GDRIVE_CREDENTIALS: {error.user_message}") from None
        secret = self._known[1]
        if reference and reference != self.reference(secret):
            raise AuthFailed(_ANOTHER)
        return secret

    def reference(self, secret: str) -> str:
        """For `core.places.Credentials`: the account, not the key, which may be replaced."""
        email = json.loads(secret)["key"]["client_email"]
        return hashlib.sha256(f"{email}\0{self._subject}".encode()).hexdigest()[:16]

    def _mark(self) -> tuple[int, int, int]:
        """Another one for another content. Taken before it is read, so that what is known is never older."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise Rejected(f"The file can't be read ({error.strerror}). Check how it is written.") from None
        return found.st_ino, found.st_size, found.st_mtime_ns
