"""Webhooks of recognition vendors: who may call, and how the waiting worker hears of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.errors import ErniError

Verifier = Callable[[Mapping[str, str], bytes, float], str]
"""Takes the request's headers (any case), its raw body and the time (Unix seconds); returns the vendor's job
id. Raises `Forged` if signature or time are wrong, or no job is named."""


class Forged(ErniError):
    """A webhook that the vendor did not send, or sent long ago."""
