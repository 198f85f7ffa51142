"""Voices in a file, for another installation: encrypted under a passphrase, and trusted in nothing.

A first line that names the format, 16 bytes of salt, and a Fernet token of JSON. The key comes from the
passphrase by scrypt with fixed costs (those that OWASP advises), so a file can't ask for more.
"""

from __future__ import annotations

import base64
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import TypeAdapter

from core.errors import Misconfigured
from core.render.safe import clean, visible
from core.voiceprints import LONGEST_NAME, Voice

LEAST_PASSPHRASE = 12
"""Characters."""

_MAGIC = b"erni-audio voices 1\n"
_SALT = 16
_LEAST_BYTES = len(_MAGIC) + _SALT + 100  # a Fernet token has at least 100 characters
_MOST_BYTES = 64 * 2**20
_MOST_VOICES = 10_000
_LABELS = frozenset({"speaker", "unknown speaker"})

_voices = TypeAdapter(list[Voice])


def seal(voices: Sequence[Voice], passphrase: str) -> bytes:
    """The bytes of a file with these voices. Raises Misconfigured for a passphrase that is too short."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise Misconfigured(f"The passphrase is too short: take at least {LEAST_PASSPHRASE} characters.")
    salt = os.urandom(_SALT)
    return _MAGIC + salt + _fernet(passphrase, salt).encrypt(_voices.dump_json(list(voices)))


def unseal(data: bytes, passphrase: str) -> list[Voice]:
    """The voices in a file that `seal` made. Raises Misconfigured in one sentence for anything else."""
    if not data.startswith(_MAGIC) or not _LEAST_BYTES <= len(data) <= _MOST_BYTES:
        raise Misconfigured("This is no file of voices that `erni-audio voices export` wrote.")
    salt, token = data[len(_MAGIC) : len(_MAGIC) + _SALT], data[len(_MAGIC) + _SALT :]
    try:
        plain = _fernet(passphrase, salt).decrypt(token)
    except (InvalidToken, ValueError):
        raise Misconfigured("The passphrase is wrong, or the file is damaged.") from None
    return believed(plain)


def believed(plain: bytes) -> list[Voice]:
    """The voices in a file's JSON, written by whoever knew the passphrase. Raises Misconfigured."""
    try:
        voices = _voices.validate_json(plain)
    except ValueError:
        raise Misconfigured("The file holds voices in a form that this version does not know.") from None
    if len(voices) > _MOST_VOICES:
        raise Misconfigured(f"The file holds more than {_MOST_VOICES} voices.")
    return [replace(voice, name=checked_name(voice.name)) for voice in voices]


def read(path: Path) -> bytes:
    """The file's bytes, as far as a file of voices may be long. Raises OSError."""
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def require_new(path: Path) -> None:
    """Raises Misconfigured if there is a file of that name."""
    if os.path.lexists(path):
        raise Misconfigured(f"{path} is there already. Choose another name, or remove it first.")


def write(path: Path, data: bytes) -> None:
    """Make the file, readable by its owner only. Raises Misconfigured as `require_new` does, or OSError."""
    require_new(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def checked_name(name: str) -> str:
    """A person's name fit to be shown. Raises Misconfigured if it is none."""
    found = unicodedata.normalize("NFC", clean(name))
    if not visible(found) or len(found) > LONGEST_NAME:
        raise Misconfigured(f"A name has visible characters, at most {LONGEST_NAME}.")
    if found.casefold().rstrip("0123456789 ") in _LABELS:
        raise Misconfigured("A name must not look like a speaker's label, such as Speaker 2.")
    return found


def _fernet(passphrase: str, salt: bytes) -> Fernet:
    key = Scrypt(salt=salt, length=32, n=2**16, r=8, p=2).derive(
        unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    )
    return Fernet(base64.urlsafe_b64encode(key))
