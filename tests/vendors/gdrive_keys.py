"""Service accounts' keys, and the assertions signed with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from tests.vendors.gdrive_model import Account

_header: Callable[[str], Mapping[str, Any]] = jwt.decode_header
_claims: Callable[..., Mapping[str, Any]] = jwt.decode


@dataclass(slots=True)
class Denied(Exception):
    """A refusal by the token endpoint."""

    error: str
    description: str
    status: int = 400


@dataclass(slots=True, kw_only=True)
class Key:
    """A key of a service account. `delegated` are the scopes for which an administrator lets it act as
    people of its domain; `client` is whose private properties its tokens see."""

    id: str
    account: Account
    client: str
    public: str
    private: str
    delegated: frozenset[str] = frozenset()
    deleted: bool = False


@cache
def _pair(_number: int) -> tuple[str, str]:
    """A private and a public key in PEM, others for another number; making them takes a while."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@dataclass(slots=True)
class Keys:
    """All keys, by their ids."""

    by_id: dict[str, Key] = field(default_factory=dict)

    def new(self, account: Account, delegated: frozenset[str] = frozenset()) -> Key:
        """Another key; the first one of an account decides the client that it is."""
        number = len(self.by_id)
        before = next((key.client for key in self.by_id.values() if key.account is account), None)
        private, public = _pair(number % 3)
        key = Key(
            id=hashlib.sha1(f"key {number}".encode()).hexdigest(),
            account=account,
            client=before or f"1{number:020d}",
            public=public,
            private=private,
            delegated=delegated,
        )
        self.by_id[key.id] = key
        return key

    def of(self, account: Account) -> Key:
        """The newest key of an account that is not deleted."""
        return [key for key in self.by_id.values() if key.account is account and not key.deleted][-1]

    def read(self, assertion: str, audiences: Sequence[str]) -> tuple[Key, Mapping[str, Any]]:
        """Whose assertion it is and what it claims; signature and times are checked, by real time."""
        try:
            header = _header(assertion)
        except (GoogleAuthError, ValueError):
            raise Denied("invalid_grant", "Invalid JWT") from None
        key = self.by_id.get(str(header.get("kid")))
        if key is None or key.deleted or header.get("alg") != "RS256":
            raise Denied("invalid_grant", "Invalid JWT Signature.")
        try:
            claims = _claims(assertion, certs=key.public, audience=audiences)
        except (GoogleAuthError, ValueError) as failed:
            said = str(failed)
            if "signature" in said:
                raise Denied("invalid_grant", "Invalid JWT Signature.") from None
            raise Denied("invalid_grant", f"Invalid JWT: {said}") from None
        if claims["iss"] != key.account.email or claims["exp"] - claims["iat"] > 3600:
            raise Denied("invalid_grant", "Invalid JWT: its issuer or its times are wrong.")
        return key, claims
