"""files.*, the upload of bytes, and downloads."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable
from urllib.parse import quote

from aiohttp import web

from tests.vendors import slack_payloads as payloads
from tests.vendors.slack_api import Api, Args, Caller, Handler
from tests.vendors.slack_limits import check_posted_text, invalid
from tests.vendors.slack_model import Channel, File, Installation, Json, Message, Refused, Upload

SIGN_IN = "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body>Sign in</body></html>"
MAX_UPLOAD = 1_073_741_824  # bytes


def place_files(
    api: Api, channel: Channel, message: Message, files: Iterable[File], *, lag: int
) -> list[Json]:
    """Put a message with files into a conversation; the file_shared events that tell of it."""
    api.slack.post(channel, message)
    events = []
    for file in files:
        file.shares.setdefault(channel.id, []).append(message.ts)
        file.hidden_for = lag
        events.append(payloads.file_event("file_shared", file, channel, message.user, message.ts))
    return events


def delete_file(api: Api, file: File) -> None:
    """Delete a file and tell those who saw it."""
    file.deleted = True
    event: Json = {"type": "file_deleted", "file_id": file.id, "channel_ids": list(file.shares)}
    event["event_ts"] = api.slack.new_ts()
    for installed in api.slack.installations:
        if installed.state == "active" and api.slack.sees(installed, file):
            api.emit(event, None, installed=installed)
            return


def _seen(api: Api, caller: Caller, args: Args) -> File:
    file = api.slack.files.get(args.need("file"))
    if file is None or not file.complete or not api.slack.sees(caller.installed, file):
        raise Refused("file_not_found")
    if file.deleted:
        raise Refused("file_deleted")
    return file


def _info(api: Api, caller: Caller, args: Args) -> Json:
    file = _seen(api, caller, args)
    shown = payloads.file_object(api.slack, file, api.origin)
    file.hidden_for = max(0, file.hidden_for - 1)
    return {"file": shown, "comments": []}


def _delete(api: Api, caller: Caller, args: Args) -> Json:
    file = _seen(api, caller, args)
    if file.user != caller.installed.bot_user_id:
        raise Refused("cant_delete_file")
    delete_file(api, file)
    return {}


def _upload_url(api: Api, caller: Caller, args: Args) -> Json:
    name, length = args.need("filename"), args.number("length", 0, MAX_UPLOAD)
    if not length:
        raise invalid("invalid_arguments", "length must be at least 1")
    installed, slack = caller.installed, api.slack
    file = File(
        id=slack.new_id("F"),
        team=caller.team or slack.teams_of(installed)[0],
        user=installed.bot_user_id,
        name=name,
        title=name,
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
        data=b"",
        created=int(slack.clock()),
        mode="snippet" if args.text("snippet_type") else "hosted",
        complete=False,
    )
    slack.files[file.id] = file
    key = f"CwABAAAA{file.id}"
    slack.uploads[key] = Upload(file=file, length=length, by=installed.bot_user_id)
    return {"upload_url": f"{api.origin}/upload/v1/{key}", "file_id": file.id}


def _complete(api: Api, caller: Caller, args: Args) -> Json:
    listed, installed, slack = args.json("files"), caller.installed, api.slack
    if (
        not isinstance(listed, list)
        or not listed
        or not all(isinstance(f, dict) and "id" in f for f in listed)
    ):
        raise invalid("invalid_arguments", "files must be a list of objects with an id")
    where = args.text("channel_id")
    if args.text("channels") or args.json("blocks"):
        raise invalid("invalid_arguments", "this server shares in one channel_id, without blocks")
    channel = None
    if where is not None:
        channel = api.conversation("files.completeUploadExternal", caller, where)
        if channel.archived:
            raise Refused("is_archived")
        api.check_thread(channel, args.text("thread_ts"))
    elif args.text("thread_ts"):
        raise invalid("invalid_arguments", "thread_ts needs channel_id")
    comment = args.text("initial_comment") or ""
    check_posted_text(comment)
    files = []
    for one in listed:
        upload = next((u for u in slack.uploads.values() if u.file.id == one["id"]), None)
        if (
            upload is None
            or upload.data is None
            or upload.by != installed.bot_user_id
            or upload.file.complete
        ):
            raise Refused("file_not_found")
        files.append(upload.file)
    for one, file in zip(listed, files, strict=True):
        file.title = one.get("title") or file.name
        file.complete = True
    if channel is not None:
        message = Message(
            ts=slack.new_ts(),
            channel=channel.id,
            user=installed.bot_user_id,
            text=comment,
            team=channel.team,
            thread_ts=args.text("thread_ts"),
            subtype="file_share",
            files=[file.id for file in files],
            bot_id=installed.bot_id,
        )
        for event in place_files(api, channel, message, files, lag=api.upload_lag):
            api.emit(event, channel)
        api.emit_message(message)
    return {"files": [payloads.file_object(slack, file, api.origin) for file in files]}


async def upload(api: Api, request: web.Request) -> web.StreamResponse:
    """Take the bytes of an upload."""
    if "Authorization" in request.headers:
        api.violations.append("an upload URL was sent an Authorization header")
    found = api.slack.uploads.get(request.match_info["key"])
    if request.content_type == "multipart/form-data":
        fields = [f for f in (await request.post()).values() if isinstance(f, web.FileField)]
        data = fields[0].file.read() if fields else b""
    else:
        data = await request.read()
    if found is None or found.data is not None:
        return web.Response(status=404, text="unknown or used upload URL")
    if len(data) != found.length:
        return web.Response(status=400, text=f"expected {found.length} bytes, got {len(data)}")
    found.data = found.file.data = data
    return web.Response(text=f"OK - {len(data)}")


def _bearer(api: Api, request: web.Request) -> Installation | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind != "Bearer":
        return None
    try:
        return api.installation(token)
    except Refused:
        return None


def _turned_away(api: Api, request: web.Request) -> web.StreamResponse:
    if api.sign_in == "page":
        return web.Response(text=SIGN_IN, content_type="text/html")
    return web.Response(status=302, headers={"Location": f"{api.origin}/signin?redir={quote(request.path)}"})


async def download(api: Api, request: web.Request) -> web.StreamResponse:
    """Send a file, or its subtitles."""
    _, _, rest = request.match_info["key"].partition("-")
    file = api.slack.files.get(rest.partition("-")[0])
    installed = _bearer(api, request)
    if file is None or installed is None or "files:read" not in installed.scopes:
        return _turned_away(api, request)
    if not api.slack.sees(installed, file) or file.is_external or file.mode not in ("hosted", "snippet"):
        return _turned_away(api, request)
    if file.deleted:
        return web.Response(status=404, text=SIGN_IN, content_type="text/html")
    if file.redirects:
        return web.Response(status=302, headers={"Location": file.redirects.pop(0)})
    if request.match_info["name"] == "file.vtt":
        return web.Response(text=file.vtt or "", content_type="text/vtt")
    return await _send(request, file)


async def _send(request: web.Request, file: File) -> web.StreamResponse:
    data, status = file.data, 200
    headers = {"Content-Type": file.mimetype, "Accept-Ranges": "bytes", "ETag": f'"{file.id}"'}
    asked = request.headers.get("Range")
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "")
    same = request.headers.get("If-Range") in (None, f'"{file.id}"')
    if wanted and same and not file.ignores_ranges:
        start, end = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        if start > end:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        data, status = data[start : end + 1], 206
    headers["Content-Length"] = str(len(data) if file.announces is None else file.announces)
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    cut = file.cuts.pop(0) if file.cuts else None
    sent = data if cut is None else data[:cut]
    file.served.append((asked or "", len(sent)))
    await response.write(sent)
    short = int(headers["Content-Length"]) > len(sent)
    if (cut is not None or short) and request.transport is not None:
        request.transport.close()
    return response


HANDLERS: dict[str, Handler] = {
    "files.completeUploadExternal": _complete,
    "files.delete": _delete,
    "files.getUploadURLExternal": _upload_url,
    "files.info": _info,
}
