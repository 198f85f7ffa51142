"""What is stored goes through here: compressed, and encrypted where the operator set a key."""

from __future__ import annotations

import hashlib
import zlib

from cryptography.fernet import Fernet, InvalidToken

from core.errors import Misconfigured

_PLAIN, _SEALED = b"0", b"1"


class Vault:
    """Seals and opens bytes. `key` is a Fernet key (32 bytes, URL-safe base64) or None for no encryption.

    Raises Misconfigured if the key has the wrong form.
    """

    def __init__(self, key: str | None = None) -> None:
        self.fingerprint = hashlib.sha256(b"erni" + key.encode()).hexdigest()[:16] if key else ""
        try:
            self._fernet = Fernet(key.encode()) if key else None
        except ValueError:
            raise Misconfigured(
                "ERNI_ENCRYPTION_KEY is not a key. Make one with `erni-audio doctor --new-key`."
            ) from None

    @staticmethod
    def new_key() -> str:
        """A fresh random key."""
        return Fernet.generate_key().decode()

    def seal(self, data: bytes) -> bytes:
        """Compress, then encrypt."""
        packed = zlib.compress(data, 3)
        return _SEALED + self._fernet.encrypt(packed) if self._fernet else _PLAIN + packed

    def open(self, blob: bytes) -> bytes:
        """The reverse of `seal`. Raises Misconfigured if it was sealed with another key or with none here."""
        if blob[:1] == _PLAIN:
            return zlib.decompress(blob[1:])
        if self._fernet is None:
            raise Misconfigured("Stored data is encrypted: set ERNI_ENCRYPTION_KEY to the key used before.")
        try:
            return zlib.decompress(self._fernet.decrypt(blob[1:]))
        except InvalidToken:
            raise Misconfigured(
                "ERNI_ENCRYPTION_KEY is not the key that stored data was encrypted with."
            ) from None
