"""Installing the app: tokens, OAuth, rotation, and tickets for Socket Mode."""

from __future__ import annotations

import base64
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from tests.vendors.slack_api import Api, Args, Caller, Code, Handler, Installer
from tests.vendors.slack_model import Installation, Json, Refused, User
from tests.vendors.slack_payloads import workspace_url

TOKEN_LIFE = 43_200  # seconds, where tokens rotate
CODE_LIFE = 600  # seconds
MAX_CONNECTIONS = 10


def install(api: Api, installer: Installer, scopes: frozenset[str]) -> Installation:
    """Put the app into a workspace or an enterprise; the bot stays the same when it comes back."""
    slack, enterprise = api.slack, installer.enterprise_id
    if installer.team is not None:
        enterprise = slack.workspaces[installer.team].enterprise_id
    where = (installer.team, enterprise)
    before = [i for i in slack.installations if (i.team, i.enterprise_id) == where]
    bot_user, bot = (before[-1].bot_user_id, before[-1].bot_id) if before else (_bot(api, installer), "")
    live = [i for i in before if i.state == "active"]
    if live and not api.rotates_tokens:
        live[-1].scopes = scopes
        return live[-1]
    number = len(slack.installations) + 1
    name = f"{installer.team or installer.enterprise_id}-{number}"
    installed = Installation(
        token=f"xoxe.xoxb-1-{name}" if api.rotates_tokens else f"xoxb-{name}-test",
        team=installer.team,
        enterprise_id=enterprise,
        bot_user_id=bot_user,
        bot_id=bot or slack.new_id("B"),
        scopes=scopes,
        installer=installer.user,
        refresh_token=f"xoxe-1-{name}" if api.rotates_tokens else None,
        expires_at=slack.clock() + TOKEN_LIFE if api.rotates_tokens else None,
    )
    slack.installations.append(installed)
    return installed


def _bot(api: Api, installer: Installer) -> str:
    user = User(
        id=api.slack.new_id("U"),
        team=installer.team or installer.enterprise_id or "",
        name="erni",
        real_name=api.app.name,
        is_bot=True,
    )
    api.slack.users[user.id] = user
    return user.id


async def authorise(api: Api, request: web.Request) -> web.StreamResponse:
    """The page where a person allows the app; here it is allowed, or declined, at once."""
    asked, installer = request.query, api.installer
    if asked.get("client_id") != api.app.client_id:
        return web.Response(status=400, text="invalid client_id")
    if not asked.get("scope") or not urlsplit(asked.get("redirect_uri", "")).netloc:
        return web.Response(status=400, text="scope and redirect_uri are needed")
    if installer is None:
        return web.Response(status=400, text="nobody is at the page: set installer")
    back = {"state": asked.get("state", "")}
    if installer.declines:
        back["error"] = "access_denied"
    else:
        back["code"] = f"{api.app.client_id.partition('.')[0]}.{len(api.codes) + 1}.code"
        api.codes[back["code"]] = Code(
            installer=installer,
            scopes=frozenset(asked["scope"].split(",")),
            redirect_uri=asked["redirect_uri"],
            until=api.slack.clock() + CODE_LIFE,
        )
    uri = asked["redirect_uri"]
    return web.Response(
        status=302, headers={"Location": f"{uri}{'&' if '?' in uri else '?'}{urlencode(back)}"}
    )


def _access(api: Api, caller: Caller, args: Args) -> Json:
    client_id, secret = args.text("client_id"), args.text("client_secret")
    if basic := args.text("basic"):
        client_id, _, secret = base64.b64decode(basic).decode().partition(":")
    if client_id != api.app.client_id:
        raise Refused("invalid_client_id")
    if secret != api.app.client_secret:
        raise Refused("bad_client_secret")
    if args.text("grant_type") == "refresh_token":
        return _granted(api, _refreshed(api, args.need("refresh_token")))
    code = api.codes.get(args.text("code") or "")
    if code is None or api.slack.clock() > code.until:
        raise Refused("invalid_code")
    if code.used:
        raise Refused("code_already_used")
    if args.text("redirect_uri") not in (None, code.redirect_uri):
        raise Refused("bad_redirect_uri")
    code.used = True
    answer = _granted(api, install(api, code.installer, code.scopes))
    return answer | {"authed_user": {"id": code.installer.user}}


def _refreshed(api: Api, token: str) -> Installation:
    for installed in api.slack.installations:
        if installed.refresh_token == token and installed.state == "active":
            installed.refresh_token = None
            who = Installer(
                user=installed.installer, team=installed.team, enterprise_id=installed.enterprise_id
            )
            return install(api, who, installed.scopes)
    raise Refused("invalid_refresh_token")


def _granted(api: Api, installed: Installation) -> Json:
    slack = api.slack
    workspace = slack.workspaces.get(installed.team or "")
    enterprise = None
    if installed.enterprise_id:
        name = next(
            w.enterprise_name for w in slack.workspaces.values() if w.enterprise_id == installed.enterprise_id
        )
        enterprise = {"id": installed.enterprise_id, "name": name}
    answer: Json = {
        "app_id": api.app.id,
        "authed_user": {"id": installed.installer},
        "scope": ",".join(sorted(installed.scopes)),
        "token_type": "bot",
        "access_token": installed.token,
        "bot_user_id": installed.bot_user_id,
        "team": {"id": workspace.id, "name": workspace.name} if workspace else None,
        "enterprise": enterprise,
        "is_enterprise_install": installed.is_enterprise_install,
    }
    if installed.refresh_token:
        answer |= {"refresh_token": installed.refresh_token, "expires_in": TOKEN_LIFE}
    return answer


def _auth_test(api: Api, caller: Caller, args: Args) -> Json:
    installed, slack = caller.installed, api.slack
    teams = slack.teams_of(installed)
    workspace = slack.workspaces[installed.team or teams[0]]
    answer: Json = {
        "url": workspace_url(slack, workspace.id),
        "team": workspace.name if installed.team else workspace.enterprise_name,
        "team_id": installed.team or installed.enterprise_id,
        "user": slack.users[installed.bot_user_id].name,
        "user_id": installed.bot_user_id,
        "bot_id": installed.bot_id,
        "is_enterprise_install": installed.is_enterprise_install,
    }
    if installed.expires_at is not None:
        answer["expires_in"] = max(0, round(installed.expires_at - slack.clock()))
    return answer | ({"enterprise_id": installed.enterprise_id} if installed.enterprise_id else {})


def _auth_revoke(api: Api, caller: Caller, args: Args) -> Json:
    if args.flag("test"):
        return {"revoked": False}
    caller.installed.state = "revoked"
    return {"revoked": True}


def _uninstall(api: Api, caller: Caller, args: Args) -> Json:
    if args.need("client_id") != api.app.client_id:
        raise Refused("client_id_token_mismatch")
    if args.need("client_secret") != api.app.client_secret:
        raise Refused("bad_client_secret")
    installed = caller.installed
    installed.state = "inactive"
    tokens = {"oauth": [], "bot": [installed.bot_user_id]}
    api.emit({"type": "tokens_revoked", "tokens": tokens}, None, installed=installed)
    api.emit({"type": "app_uninstalled"}, None, installed=installed)
    return {}


def _open_connection(api: Api, caller: Caller, args: Args) -> Json:
    if len(api.deliveries.connections) >= MAX_CONNECTIONS:
        raise Refused("too_many_websockets")
    ticket = api.slack.new_id("ticket-")
    api.deliveries.tickets.add(ticket)
    return {"url": f"ws{api.origin.removeprefix('http')}/link/?ticket={ticket}&app_id={api.app.id}"}


HANDLERS: dict[str, Handler] = {
    "apps.connections.open": _open_connection,
    "apps.uninstall": _uninstall,
    "auth.revoke": _auth_revoke,
    "auth.test": _auth_test,
    "oauth.v2.access": _access,
}
