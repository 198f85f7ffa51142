"""Letting the service into a Dropbox: consent, folders, and the way into them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import requests
from dropbox.oauth import DropboxOAuth2FlowNoRedirect

from connectors.dropbox.client import Access, Account, Pools
from connectors.dropbox.finding import find
from connectors.dropbox.place import DropboxPlace
from connectors.dropbox.settings import DropboxSettings
from connectors.dropbox.transport import open_session
from connectors.dropbox.troubles import TROUBLES, translated
from core.connecting import Dialogue, FoundFolder, Option
from core.enrolment import Named
from core.errors import AuthFailed, ErniError, Rejected
from core.places import Credentials, WatchedFolder
from core.settings import Settings, load_settings

NAME: Final = "dropbox"
TAGS: Final = "tags"

SCOPES: Final = (
    "account_info.read",
    "files.metadata.read",
    "files.content.read",
    "files.content.write",
    "sharing.read",
)
"""What the service asks for; `TAG_SCOPE` besides, where the app has it."""

TAG_SCOPE: Final = "files.metadata.write"

_TOKEN: Final = "DROPBOX_REFRESH_TOKEN"  # noqa: S105  (what the setting is called)
_APP: Final = (
    "Dropbox lets programs in by an app of yours. If you have none yet: open "
    "https://www.dropbox.com/developers/apps and choose Create app, Scoped access, and Full Dropbox (or App "
    "folder, if a folder of its own is enough); give it any name. On its page Permissions tick "
    f"{', '.join(SCOPES)}, and {TAG_SCOPE} if recordings are to be tagged, and press Submit. Its App key is "
    "on the page Settings."
)
_CONSENT: Final = (
    "Open this address in a browser, signed in to Dropbox as the account that the service is to use, press "
    "Continue and Allow, and copy the code that is shown: {url}"
)


def create(_settings: Settings) -> DropboxConnecting:
    """For `core.registry`. Raises Misconfigured."""
    return DropboxConnecting(load_settings(DropboxSettings))


@dataclass(slots=True)
class _Shared:
    """An account, and how many use it."""

    account: Account
    users: int = 0


class DropboxConnecting:
    """See `core.enrolment.Enrolling`. Folders of one account share its tokens and connections."""

    name = NAME
    title = "Dropbox"
    options: Mapping[str, Option] = {
        TAGS: Option(
            values=("no", "yes"),
            help="Whether recordings are tagged as transcribing, transcribed or not_transcribed.",
        )
    }

    def __init__(self, settings: DropboxSettings) -> None:
        self.settings = settings
        self._pools = Pools()
        self._accounts: dict[str, _Shared] = {}
        self._in_settings = ""  # the account that the token there is for, once that is known

    async def connect(self, dialogue: Dialogue) -> Credentials:
        """See the port."""
        key = self.settings.app_key
        if key is None:
            dialogue.say(_APP)
            key = dialogue.ask("App key")
        flow = DropboxOAuth2FlowNoRedirect(key, use_pkce=True, token_access_type="offline")  # noqa: S106
        flow.requests_session.close()
        with contextlib.closing(open_session(self.settings.api_base_url)) as session:
            flow.requests_session = session
            dialogue.say(_CONSENT.format(url=flow.start()))
            code = dialogue.ask("Code", hidden=True)
            try:
                granted = await self._pools.calls.run(lambda: flow.finish(code))
            except TROUBLES as error:
                raise _no_consent(error) from None
        _check(granted)
        access = Access(app_key=key, refresh_token=granted.refresh_token)
        with contextlib.closing(self._account(access)) as account:
            profile = await account.profile()
        return Credentials(account=profile.account, label=profile.email, secret=access.to_json())

    async def find(self, credentials: Credentials, text: str) -> FoundFolder:
        """See the port."""
        async with self.using(credentials) as account:
            return await find(account, text)

    def open(self, folder: WatchedFolder, credentials: Credentials) -> DropboxPlace:
        """See the port."""
        account, release = self._borrow(credentials)
        return DropboxPlace(account, folder.id, release)

    def named(self, settings: Settings) -> Named:
        """See `core.enrolment.Enrolling`."""
        own = self.settings
        return Named(
            folders=own.folders,
            policy=own.policy(settings),
            output=own.output,
            backfill=own.backfill,
            options={TAGS: "yes" if own.tags else "no"},
            settings=(_TOKEN, "DROPBOX_APP_KEY", "DROPBOX_FOLDERS"),
        )

    async def from_settings(self) -> Credentials | None:
        """See `core.enrolment.Enrolling`."""
        if self.settings.refresh_token is None:
            return None
        with contextlib.closing(self._account(self._access_in_settings())) as account:
            profile = await account.profile()
        self._in_settings = profile.account
        return Credentials(account=profile.account, label=profile.email, reference=_TOKEN)

    async def resolved(self, credentials: Credentials) -> Credentials:
        """See `core.enrolment.Enrolling`. Settings stay as they are while a process runs."""
        self._access(credentials)
        return credentials

    @asynccontextmanager
    async def using(self, credentials: Credentials) -> AsyncIterator[Account]:
        """An account for a while. Raises AuthFailed if the credentials make no sense."""
        account, release = self._borrow(credentials)
        try:
            yield account
        finally:
            release()

    def _borrow(self, credentials: Credentials) -> tuple[Account, Any]:
        key = credentials.fingerprint
        if key not in self._accounts:
            self._accounts[key] = _Shared(self._account(self._access(credentials)))
        shared = self._accounts[key]
        shared.users += 1

        def release() -> None:
            shared.users -= 1
            if not shared.users:
                self._accounts.pop(key, None)
                shared.account.close()

        return shared.account, release

    def _account(self, access: Access) -> Account:
        return Account(access, self._pools, base_url=self.settings.api_base_url)

    def _access(self, credentials: Credentials) -> Access:
        if not credentials.reference:
            return Access.from_json(credentials.secret)
        if self._in_settings and self._in_settings != credentials.account:
            raise AuthFailed(
                f"The credentials of this account were in {_TOKEN}, where those of another one are now. Run "
                "`erni-audio connect dropbox` to let the service into both."
            )
        return self._access_in_settings()

    def _access_in_settings(self) -> Access:
        settings = self.settings
        if settings.refresh_token is None or settings.app_key is None:
            raise AuthFailed(
                f"The credentials of this account are in {_TOKEN}, which is not set here. Set it with "
                "DROPBOX_APP_KEY, or run `erni-audio connect dropbox`."
            )
        secret = settings.app_secret
        return Access(
            app_key=settings.app_key,
            refresh_token=settings.refresh_token.get_secret_value(),
            app_secret=None if secret is None else secret.get_secret_value(),
        )


def _check(granted: Any) -> None:
    if not granted.refresh_token:
        raise Rejected("Dropbox gave no lasting access. Try again, and copy the whole code.")
    missing = [scope for scope in SCOPES if scope not in (granted.scope or "").split()]
    if missing:
        raise Rejected(
            f"The app lacks permissions: {', '.join(missing)}. Tick them on its page Permissions in the App "
            "Console, press Submit, and try again."
        )


def _no_consent(error: Exception) -> ErniError:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        if "invalid_client" in error.response.text:
            return Rejected("Dropbox does not know this app key. Copy it anew from the app's page Settings.")
        if error.response.status_code == requests.codes.bad_request:
            return Rejected("This code is not right, was used already, or is too old. Try again.")
    return translated(error)
