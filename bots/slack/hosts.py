"""Which hosts are Slack's: where the token may go, and where nothing is fetched from."""

from __future__ import annotations

import socket
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ThreadedResolver
from aiohttp.abc import ResolveResult
from yarl import URL

from bots.slack.retries import CALL_SECONDS, CONNECT_SECONDS
from core.addresses import is_loopback, is_public, is_public_unless_name
from core.errors import Misconfigured

BASE_URL: Final = "https://slack.com/api/"

_DOMAINS = ("slack.com", "slack-gov.com")


class Forbidden(aiohttp.ClientError):
    """An address that nothing is sent to. The message names no more than its host."""


class PrivateAddress(OSError):
    """A name leads into a private network."""


class Hosts:
    """The hosts of the Slack whose API is at `base_url`.

    The token goes to Slack's own hosts and to exactly the origin of `base_url`, always encrypted unless that
    origin is on this machine. Everything else that an answer of Slack's points to has to be public. Raises
    Misconfigured if `base_url` is no such address.
    """

    def __init__(self, base_url: str = BASE_URL) -> None:
        try:
            base = URL(base_url if base_url.endswith("/") else f"{base_url}/")
            self.base, self._origin = base, base.origin()
        except ValueError:
            raise Misconfigured(f"SLACK_API_BASE_URL is no address. Set it to {BASE_URL}.") from None
        self._local = is_loopback(base.host or "")
        if base.user or not (base.scheme == "https" or (base.scheme == "http" and self._local)):
            raise Misconfigured(f"SLACK_API_BASE_URL must be an https:// address such as {BASE_URL}.")
        self._proxies = getproxies()

    def takes_token(self, url: URL) -> bool:
        """Whether a request to `url` may carry the token."""
        if not _is_address(url):
            return False
        if url.origin() == self._origin:
            return True
        host = (url.host or "").lower()
        return (
            url.scheme == "https"
            and url.port == 443
            and any(host == domain or host.endswith(f".{domain}") for domain in _DOMAINS)
        )

    def check(self, url: URL) -> None:
        """Raise Forbidden unless a request to `url` may be made at all. Names are looked at when they are
        resolved, by the session."""
        if not _is_address(url):
            raise Forbidden("Slack named something that is no address.")
        if url.origin() == self._origin:
            return
        host = (url.host or "").lower()
        if url.scheme != "https":
            raise Forbidden(f"Slack pointed to an unencrypted address at {host}.")
        if host == (self.base.host or "").lower():
            raise Forbidden(f"Slack pointed to another port of {host}.")
        if not is_public_unless_name(host):
            raise Forbidden(f"Slack pointed into a private network ({host}).")

    def proxy(self, url: URL) -> str | None:
        """The operator's proxy (HTTPS_PROXY, NO_PROXY) for a request to `url`."""
        host = url.host or ""
        if (url.origin() == self._origin and self._local) or proxy_bypass(host):
            return None
        return self._proxies.get(url.scheme)

    def session(self, *, seconds: float = CALL_SECONDS) -> aiohttp.ClientSession:
        """A session that keeps these rules on every hop, with `seconds` for a call. The caller closes it."""
        known = {self.base.host or "", *(URL(proxy).host or "" for proxy in self._web_proxies())}
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_PublicNames(known), limit=0, limit_per_host=50),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
            middlewares=(self._guard,),
        )

    def _web_proxies(self) -> list[str]:
        return [proxy for scheme in ("http", "https") if (proxy := self._proxies.get(scheme))]

    async def _guard(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        self.check(request.url)
        if "Authorization" in request.headers and not self.takes_token(request.url):
            raise Forbidden(f"The token is not sent to {request.url.host}, which is not Slack's.")
        return await handler(request)


class _PublicNames(ThreadedResolver):
    """Resolves names, but not into private networks; `known` are hosts that the operator chose."""

    def __init__(self, known: set[str]) -> None:
        super().__init__()
        self._known = {name.lower() for name in known}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if host.lower() not in self._known and not all(is_public(each["host"]) for each in found):
            raise PrivateAddress(f"{host} leads into a private network.")
        return found


def _is_address(url: URL) -> bool:
    return url.scheme in {"http", "https"} and bool(url.host) and url.user is None and url.password is None
