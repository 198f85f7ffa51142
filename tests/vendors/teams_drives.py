"""Graph v1.0 for files: sharing addresses, items, contents, folders of channels, uploads, links."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from aiohttp import web

from tests.vendors.teams_graph import VERSION, Graph
from tests.vendors.teams_items import Drive, DriveItem, stamp
from tests.vendors.teams_storage import Storage
from tests.vendors.teams_traffic import Json, Refused, json_of

CONFLICTS = ("fail", "replace", "rename")
_FORBIDDEN = set('"*:<>?/\\|')


def share_token(url: str) -> str:
    """How Graph's /shares names a URL."""
    return "u!" + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _url_of(token: str) -> str:
    text = token.removeprefix("u!")
    try:
        url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        url = ""
    if not url or "=" in text or text == token:
        raise Refused(400, "invalidRequest", "The sharing token is not valid.")
    return url


def _missing() -> Refused:
    return Refused(404, "itemNotFound", "The resource could not be found.")


@dataclass(slots=True)
class Drives:
    """`put_limit` is the most bytes that one PUT of content may have, `lets_in` whom the organisation lets be
    invited to a file: also guests that it has, its own people, nobody. `unresolved` are users that SharePoint
    can't resolve all the same, such as those without a licence."""

    graph: Graph
    storage: Storage
    put_limit: int = 250 * 1024 * 1024
    lets_in: Literal["guests", "people", "nobody"] = "guests"
    unresolved: set[str] = field(default_factory=set)

    # What a request is about

    def _base(self, request: web.Request, operation: str) -> tuple[Drive, DriveItem]:
        """The drive, and the item that the address begins with."""
        found, m365 = request.match_info, self.graph.m365
        if "drive" in found:
            drive = m365.drives.get(found["drive"])
        elif "user" in found:
            users = [u.id for u in m365.users.values() if found["user"] in (u.id, u.mail)]
            drive = m365.drive_of(user=users[0]) if users else None
        else:
            team = m365.teams.get(found["team"])
            drive = m365.drive_of(team=team.id) if team is not None else None
        self.graph.allow(request, operation, drive=drive)
        item = drive.items.get(found.get("item", drive.root)) if drive is not None else None
        if drive is None or item is None or item.deleted:
            raise _missing()
        return drive, item

    def _needed(self, request: web.Request, operation: str) -> DriveItem:
        """The item that the address names."""
        _, base = self._base(request, operation)
        item = self.graph.m365.at_path(base, request.match_info.get("path", ""))
        if item is None:
            raise _missing()
        return item

    def _place(self, request: web.Request, operation: str) -> tuple[Drive, DriveItem, str]:
        """Where a file is to be written: drive, folder (made if need be) and name."""
        drive, base = self._base(request, operation)
        above, _, name = request.match_info["path"].rpartition("/")
        if not base.is_folder:
            raise _missing()
        if set(name) & _FORBIDDEN or name != name.strip(" ") or name.endswith(".") or len(name) > 255:
            raise Refused(400, "invalidRequest", "The provided name cannot contain invalid characters.")
        return drive, self.graph.m365.folder(base, above), name

    def _shared(self, request: web.Request) -> DriveItem:
        token = request.match_info["token"]
        m365 = self.graph.m365
        item: DriveItem | None = None
        try:
            url = _url_of(token).partition("?")[0]
        except Refused:
            self.graph.allow(request, "shares")
            raise
        for drive in m365.drives.values():
            for one in drive.items.values():
                links = (link.partition("?")[0] for link in one.links)
                if unquote(m365.web_url(one)) == unquote(url) or url in links:
                    item = one
        self.graph.allow(request, "shares", drive=m365.drives[item.drive] if item is not None else None)
        if item is None or item.deleted:
            raise Refused(
                404, "itemNotFound", "The sharing link no longer exists, or you do not have permission"
            )
        return item

    # Reading

    async def shared_item(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.storage.item(self._shared(request)))

    async def shared_content(self, request: web.Request) -> web.StreamResponse:
        return self._redirect(self._shared(request))

    async def item(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.storage.item(self._needed(request, "item")))

    async def content(self, request: web.Request) -> web.StreamResponse:
        return self._redirect(self._needed(request, "content"))

    def _redirect(self, item: DriveItem) -> web.StreamResponse:
        if item.is_folder:
            raise Refused(400, "invalidRequest", "A folder has no content.")
        return web.Response(status=302, headers={"Location": self.storage.download_url(item)})

    async def children(self, request: web.Request) -> web.StreamResponse:
        folder = self._needed(request, "children")
        return self.graph.listed(request, self.graph.m365.children(folder), self.storage.item)

    async def drive(self, request: web.Request) -> web.StreamResponse:
        drive, _ = self._base(request, "drive")
        kind = "business" if drive.user else "documentLibrary"
        owner = {"user": {"id": drive.user}} if drive.user else {"group": {"id": drive.team}}
        shown = {"id": drive.id, "driveType": kind, "webUrl": drive.web_url, "owner": owner}
        return web.json_response(shown)

    async def permissions(self, request: web.Request) -> web.StreamResponse:
        """Who can open an item: its owner or the site's groups, those who were let in, those with a link."""
        item = self._needed(request, "permissions")
        drive, m365 = self.graph.m365.drives[item.drive], self.graph.m365
        group = {"siteGroup": {"id": "5", "displayName": "Members"}}
        whose = {"user": {"id": drive.user}} if drive.user else group
        found: list[Json] = [{"id": "own", "roles": ["owner"], "grantedToV2": whose}]
        if item.grants:
            let_in = [{"user": {"id": name, "displayName": m365.users[name].name}} for name in item.grants]
            link = {"scope": "users", "type": "view", "webUrl": f"{m365.web_url(item)}?let-in"}
            found.append({"id": "in", "roles": ["read"], "link": link, "grantedToIdentitiesV2": let_in})
        for number, url in enumerate(item.links):
            scope = "existingAccess" if url in item.narrow else "organization"
            link = {"scope": scope, "type": "view", "webUrl": url}
            found.append({"id": f"link {number}", "roles": ["read"], "link": link})
        return self.graph.listed(request, found, dict)

    async def files_folder(self, request: web.Request) -> web.StreamResponse:
        """GET /teams/{team}/channels/{channel}/filesFolder"""
        m365 = self.graph.m365
        found = m365.teams.get(request.match_info["team"])
        drive = m365.drive_of(team=found.id) if found is not None else None
        self.graph.allow(request, "files folder", drive=drive)
        team, name = self.graph.team(request.match_info["team"]), request.match_info["channel"]
        if name not in team.channels or drive is None:
            raise Refused(404, "NotFound", "The channel was not found.")
        folder = m365.folder(m365.root(drive), m365.conversations[name].folder)
        return web.json_response(self.storage.item(folder))

    # Writing

    async def put_content(self, request: web.Request) -> web.StreamResponse:
        """PUT the content of a new file, or of one of that name."""
        drive, folder, name = self._place(request, "put content")
        return await self._put(request, drive, folder, name, "replace")

    async def replace_content(self, request: web.Request) -> web.StreamResponse:
        """PUT the content of an item."""
        item = self._needed(request, "put content")
        drive = self.graph.m365.drives[item.drive]
        if item.is_folder or item.parent is None:
            raise Refused(400, "invalidRequest", "A folder has no content.")
        return await self._put(request, drive, drive.items[item.parent], item.name, "replace")

    async def _put(
        self, request: web.Request, drive: Drive, folder: DriveItem, name: str, default: str
    ) -> web.StreamResponse:
        data = await request.read()
        if len(data) > self.put_limit:
            raise Refused(413, "maxFileSizeExceeded", "Use an upload session for a file of this size.")
        conflict = request.query.get("@microsoft.graph.conflictBehavior", default)
        self._check_conflict(conflict)
        kind = request.headers.get("Content-Type", "")
        made, new = self.storage.store(drive.id, folder.id, name, data, conflict, kind)
        return web.json_response(self.storage.item(made), status=201 if new else 200)

    async def upload_session(self, request: web.Request) -> web.StreamResponse:
        """POST .../createUploadSession"""
        drive, folder, name = self._place(request, "upload session")
        wanted = (await json_of(request)).get("item", {})
        if wanted.get("name", name) != name:
            raise Refused(400, "invalidRequest", "The name in the address and in the item differ.")
        conflict = wanted.get("@microsoft.graph.conflictBehavior", "fail")
        self._check_conflict(conflict)
        session = self.storage.open(drive.id, folder.id, name, conflict)
        answer: Json = {"uploadUrl": self.storage.upload_url(session), "nextExpectedRanges": ["0-"]}
        return web.json_response(answer | {"expirationDateTime": stamp(session.until)})

    def _check_conflict(self, conflict: str) -> None:
        if conflict not in CONFLICTS:
            raise Refused(400, "invalidRequest", f"conflictBehavior cannot be {conflict}.")

    async def create_link(self, request: web.Request) -> web.StreamResponse:
        item = self._needed(request, "create link")
        body = await json_of(request)
        kind, scope = body.get("type"), body.get("scope", "organization")
        if kind not in ("view", "edit") or scope not in ("anonymous", "organization", "users"):
            raise Refused(400, "invalidRequest", "Unknown type or scope of a link.")
        link = self.graph.m365.drives[item.drive].web_url.partition(".com/")[0]
        link += f".com/:u:/s/{self.graph.m365.opaque('link', 20)}"
        item.links.append(link)
        if scope == "users":
            item.narrow.add(link)
        answer: Json = {"id": self.graph.m365.opaque("permission", 24), "roles": ["read"]}
        return web.json_response(
            answer | {"link": {"type": kind, "scope": scope, "webUrl": link}}, status=201
        )

    async def invite(self, request: web.Request) -> web.StreamResponse:
        """POST .../invite: let people of the directory open an item. Graph's errors are those that people
        report; which it answers where the organisation does not share is not published."""
        item = self._needed(request, "invite")
        body = await json_of(request)
        recipients, roles = body.get("recipients"), body.get("roles")
        named = all(isinstance(one, dict) and len(one) == 1 for one in recipients or ())
        if not recipients or not named or roles not in (["read"], ["write"]):
            raise Refused(400, "invalidRequest", "An invitation needs recipients and a role.")
        if body.get("requireSignIn") is not True or body.get("sendInvitation") is not False:
            self.graph.traffic.violations.append("an invitation lets others in than it names, or tells them")
        home, m365 = self.graph.m365.drives[item.drive], self.graph.m365
        tenant = m365.users[home.user].tenant if home.user else m365.teams[home.team or ""].tenant
        names = {str(one.get("objectId")) for one in recipients}
        found = [m365.users[name] for name in names if name in m365.users]
        if names - {user.id for user in found if user.tenant == tenant} or names & self.unresolved:
            raise Refused(400, "noResolvedUsers", "One or more users could not be resolved")
        if self.lets_in == "nobody" or (self.lets_in == "people" and any(user.guest for user in found)):
            raise Refused(403, "sharingFailed", "Sharing has been disabled on this site.")
        item.grants |= names
        people = [{"user": {"id": user.id, "displayName": user.name}} for user in found]
        made = [{"id": m365.opaque("permission", 24), "roles": roles, "grantedToV2": one} for one in people]
        return web.json_response({"value": made})

    async def delete(self, request: web.Request) -> web.StreamResponse:
        self._needed(request, "delete item").deleted = True
        return web.Response(status=204)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        at, here = self.graph.traffic.route, f"/{VERSION}"
        shared = f"{here}/shares/{{token}}/driveItem"
        router.add_get(shared, at("graph", "shares", self.shared_item))
        router.add_get(f"{shared}/content", at("graph", "shares content", self.shared_content))
        folder = f"{here}/teams/{{team}}/channels/{{channel}}/filesFolder"
        router.add_get(folder, at("graph", "files folder", self.files_folder))
        reading = (
            ("GET", "/content", "content", self.content),
            ("POST", "/createLink", "create link", self.create_link),
            ("POST", "/invite", "invite", self.invite),
            ("GET", "/children", "children", self.children),
            ("GET", "/permissions", "permissions", self.permissions),
            ("GET", "", "item", self.item),
            ("DELETE", "", "delete item", self.delete),
        )
        writing = (
            ("PUT", "/content", "put content", self.put_content),
            ("POST", "/createUploadSession", "upload session", self.upload_session),
        )
        for drive in ("drives/{drive}", "users/{user}/drive", "groups/{team}/drive"):
            router.add_get(f"{here}/{drive}", at("graph", "drive", self.drive))
            for item in (f"{here}/{drive}/root", f"{here}/{drive}/items/{{item:[^:/]+}}"):
                below = f"{item}:/{{path:[^:]+}}"
                for method, ending, name, handler in (*reading, *writing):
                    colon = ":" if ending else ""
                    router.add_route(method, f"{below}{colon}{ending}", at("graph", name, handler))
                for method, ending, name, handler in reading:
                    router.add_route(method, f"{item}{ending}", at("graph", name, handler))
                router.add_put(f"{item}/content", at("graph", "put content", self.replace_content))
