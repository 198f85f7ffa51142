"""The Teams door in local development: no app, no tokens, no Graph, as with the Agents Playground."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bots.teams.adapter import TeamsAdapter
from bots.teams.settings import TeamsSettings
from core.errors import Misconfigured
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from core.tasks import end
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from tests.adapters.slack_desk import saying
from tests.vendors import faults

Json = dict[str, Any]
LOCAL = {"TEAMS_INSECURE_LOCAL_DEVELOPMENT": "true"}


@dataclass
class Playground:
    """A chat on this machine: messages by id, newest version."""

    messages: dict[str, Json] = field(default_factory=dict)

    async def post(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        name = str(len(self.messages) + 1)
        self.messages[name] = await request.json()
        return web.json_response({"id": name}, status=201)

    async def put(self, request: web.Request) -> web.Response:
        self.messages[request.match_info["activity"]] = await request.json()
        return web.json_response({"id": request.match_info["activity"]})

    async def file(self, _: web.Request) -> web.Response:
        return web.Response(body=b"a recording", content_type="audio/mpeg")

    def app(self) -> web.Application:
        app = web.Application()
        talk = "/v3/conversations/{conversation}/activities"
        app.router.add_post(talk, self.post)
        app.router.add_put(talk + "/{activity}", self.put)
        app.router.add_get("/file", self.file)
        return app

    async def until(self, text: str) -> None:
        async with asyncio.timeout(10):
            while not any(text in str(message) for message in self.messages.values()):
                await asyncio.sleep(0.01)


def adapter(folder: Path, jobs: MemoryJobs, **settings: Any) -> TeamsAdapter:
    context = AdapterContext(
        settings=load_settings(Settings, ERNI_DATA_DIR=folder, **settings),
        store=MemoryStore(),
        jobs=jobs,
        links=MemoryLinks(),
        node_id="node",
    )
    return TeamsAdapter(context, load_settings(TeamsSettings, **LOCAL))


@asynccontextmanager
async def running(door: TeamsAdapter, jobs: MemoryJobs) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(door.routes())
    async with faults.serving(app) as origin:
        task = asyncio.create_task(door.run(jobs.submit))
        try:
            yield f"{origin}/teams/messages"
        finally:
            await end(task)


def activity(service_url: str, **more: Any) -> Json:
    return {
        "type": "message",
        "id": "m1",
        "channelId": "msteams",
        "serviceUrl": service_url,
        "from": {"id": "user-1", "name": "Ann", "aadObjectId": "00000000-0000-0000-0000-000000000001"},
        "recipient": {"id": "bot-1", "name": "Erni"},
        "conversation": {"id": "personal-chat", "conversationType": "personal", "tenantId": "t"},
        "text": "",
        **more,
    }


async def sent(endpoint: str, payload: Json) -> int:
    async with aiohttp.ClientSession() as session, session.post(endpoint, json=payload) as answer:
        return answer.status


async def test_a_recording_becomes_a_transcript_without_any_app(tmp_path: Path) -> None:
    playground, jobs = Playground(), MemoryJobs()
    door = adapter(tmp_path, jobs)
    async with faults.serving(playground.app()) as origin, running(door, jobs) as endpoint:
        content = {"downloadUrl": f"{origin}/file", "uniqueId": "u1", "fileType": "mp3"}
        file = {"contentType": "application/vnd.microsoft.teams.file.download.info", "name": "Talk.mp3"}
        payload = activity(origin, attachments=[file | {"content": content}])
        assert await sent(endpoint, payload) == 200
        await playground.until("Transcribing")
        [view] = jobs.views.values()
        await door.fetch(view.job.recording, tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == b"a recording"
        jobs.transcripts[view.job.id] = saying("Good morning")
        await door.deliver(jobs.transcripts[view.job.id], view.job)
        await playground.until("morning")
        assert (await door.check()).usable
        assert len(playground.messages) == 3  # the answer, and a question for each file


async def test_only_this_machine_is_answered(tmp_path: Path) -> None:
    jobs = MemoryJobs()
    async with running(adapter(tmp_path, jobs), jobs) as endpoint:
        assert await sent(endpoint, activity("https://evil.example/")) == 403


@pytest.mark.parametrize(
    "settings", [{"ERNI_HTTP_HOST": "0.0.0.0"}, {"ERNI_PUBLIC_URL": "https://audio.example"}]
)
def test_it_does_not_open_where_others_could_reach_it(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        adapter(tmp_path, MemoryJobs(), **settings)
