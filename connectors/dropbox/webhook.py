"""Dropbox calls when something changed in an account: a nudge to ask what, and no more."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

PATH: Final = "/dropbox/webhook"
"""Where Dropbox calls, below the service's public address."""

_LONGEST_CHALLENGE: Final = 1000
_MOST_ACCOUNTS: Final = 10_000
_HEADERS: Final = {"X-Content-Type-Options": "nosniff"}


def routes(app_secret: str, nudge: Callable[[str], None]) -> Sequence[web.RouteDef]:
    """The challenge, with which Dropbox finds out whether the address is ours, and the calls. `nudge` takes
    the id of an account in which something may have changed.

    403 for what Dropbox did not sign, 400 for what can't be read, which it need not send again.
    """

    async def challenge(request: web.Request) -> web.Response:
        text = request.query.get("challenge", "")
        if not 0 < len(text) <= _LONGEST_CHALLENGE:
            raise web.HTTPBadRequest(text="There is no challenge.\n")
        return web.Response(text=text, content_type="text/plain", headers=_HEADERS)

    async def call(request: web.Request) -> web.Response:
        body = await request.read()
        if not is_signed(app_secret, body, request.headers.get("X-Dropbox-Signature", "")):
            raise web.HTTPForbidden(text="The signature is not right.\n")
        try:
            accounts = json.loads(body)["list_folder"]["accounts"]
            found = dict.fromkeys(account for account in accounts if isinstance(account, str))
        except (ValueError, TypeError, LookupError, RecursionError):
            raise web.HTTPBadRequest(text="This says nothing of accounts.\n") from None
        for account in list(found)[:_MOST_ACCOUNTS]:
            nudge(account)
        return web.Response()

    return [web.get(PATH, challenge, allow_head=False), web.post(PATH, call)]


def is_signed(app_secret: str, body: bytes, signature: str) -> bool:
    """Whether Dropbox, which knows the secret, sent these bytes."""
    right = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), signature.strip().lower().encode(errors="replace"))
