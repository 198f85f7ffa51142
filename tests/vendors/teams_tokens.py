"""Signed tokens as Microsoft makes them: RS256 with real keys, checked the same way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

Json = dict[str, Any]


class BadToken(Exception):
    """A token that is not to be trusted, and why."""


@cache
def _private(name: str) -> rsa.RSAPrivateKey:
    """One key for each name in a process: making them is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value: int) -> str:
    return _encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A signing key. `endorsements` are the channels that it vouches for; None: the document has none."""

    name: str
    endorsements: Sequence[str] | None = None

    @property
    def kid(self) -> str:
        return _encode(hashlib.sha256(self.name.encode()).digest()[:20])

    @property
    def jwk(self) -> Json:
        """The public half as a key set publishes it."""
        numbers = _private(self.name).public_key().public_numbers()
        public: Json = {"kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid}
        public |= {"n": _number(numbers.n), "e": _number(numbers.e)}
        return public | ({} if self.endorsements is None else {"endorsements": list(self.endorsements)})

    @property
    def pem(self) -> bytes:
        """The public half as PEM."""
        return (
            _private(self.name)
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def sign(self, claims: Mapping[str, Any], *, kid: str | None = None) -> str:
        """A token with these claims; `kid` claims another key than the one that signs."""
        name = self.kid if kid is None else kid
        content = _content({"alg": "RS256", "typ": "JWT", "kid": name, "x5t": name}, claims)
        signature = _private(self.name).sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{content}.{_encode(signature)}"


def _content(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))


def unsigned(claims: Mapping[str, Any], kid: str) -> str:
    """A token whose header says that it needs no signature."""
    return _content({"alg": "none", "typ": "JWT", "kid": kid}, claims) + "."


def signed_with_public_key(claims: Mapping[str, Any], key: Key) -> str:
    """A token with an HMAC that everybody can make: the secret is the public key."""
    content = _content({"alg": "HS256", "typ": "JWT", "kid": key.kid}, claims)
    return f"{content}.{_encode(hmac.new(key.pem, content.encode(), hashlib.sha256).digest())}"


def tampered(token: str, **claims: Any) -> str:
    """A token with other claims under the old signature."""
    header, payload, signature = token.split(".")
    changed = json.loads(_decode(payload)) | claims
    return f"{header}.{_encode(json.dumps(changed).encode())}.{signature}"


def claims_of(token: str) -> Json:
    """What a token says, unchecked."""
    try:
        _, payload, _ = token.split(".")
        claims: Json = json.loads(_decode(payload))
    except ValueError:
        raise BadToken("not a token") from None
    return claims


def verify(token: str, keys: Iterable[Key], *, now: float) -> Json:
    """The claims of a token that one of the keys signed and that is valid now; BadToken otherwise."""
    claims = claims_of(token)
    content, _, signature = token.rpartition(".")
    try:
        header = json.loads(_decode(content.partition(".")[0]))
    except ValueError:
        raise BadToken("not a token") from None
    key = next((k for k in keys if k.kid == header.get("kid")), None)
    if header.get("alg") != "RS256" or key is None:
        raise BadToken("an unknown key or algorithm")
    try:
        _private(key.name).public_key().verify(
            _decode(signature), content.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, ValueError):
        raise BadToken("a wrong signature") from None
    if not claims["nbf"] <= now < claims["exp"]:
        raise BadToken("expired or not yet valid")
    return claims
