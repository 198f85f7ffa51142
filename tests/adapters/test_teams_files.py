"""Where the files of a transcript lie in Teams, who can open them, and what is said if there are none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import RSC, TALK, Desk, desk
from tests.vendors.teams import App, graph_error
from tests.vendors.teams_items import DriveItem
from tests.vendors.teams_model import Conversation, Message, User

LINK = "https://drive.example/known.mp3"
READS = App(roles=frozenset({"Files.Read.All"}), rsc=RSC)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        found.links.files[LINK] = b"known"
        yield found


async def linked(at: Desk, where: Conversation) -> Message:
    """The transcript of a recording that lies with another service."""
    message = await at.server.post(where, at.bo, f"transcribe {LINK}", mention_bot=True)
    [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    return answer


async def transcribed(at: Desk, where: Conversation) -> Message:
    """The transcript of a recording of Anna's that Bo asked for."""
    message = await at.server.post(where, at.anna, files=[TALK])
    await at.asked(message, at.bo)
    [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    return answer


def files(at: Desk) -> list[DriveItem]:
    """Of transcripts, in Anna's OneDrive."""
    return [item for path, item in at.server.items(at.anna).items() if "transcript" in path]


# --- files that can't be there ---


async def test_in_a_chat_there_is_no_folder_for_what_lies_elsewhere_and_people_are_told(at: Desk) -> None:
    async with at.running():
        answer = await linked(at, at.chat)
        assert "a chat has no folder of its own" in answer.shown
        told = await at.server.press(answer, "Get it", at.bo, {"format": "docx"})
        assert "a chat has no folder of its own" in str(told.message)
        assert "“Show the whole transcript”" in str(told.message)
        await at.quiet()
    assert "a chat has no folder of its own" in answer.shown
    assert not at.server.called("put content")


async def test_in_a_channel_files_of_what_lies_elsewhere_lie_in_the_channels_own(at: Desk) -> None:
    async with at.running():
        answer = await linked(at, at.channel)
        assert set(at.server.items(at.team)) == {
            "General/known.transcript.md",
            "General/known.transcript.srt",
        }
        await at.server.press(answer, "Get it", at.bo, {"format": "docx"})
        await at.server.until(lambda: "known.transcript.docx" in answer.shown)
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()
    assert not at.server.items(at.team)


async def test_a_channels_own_files_that_may_not_be_written_to(tmp_path: Path) -> None:
    async with desk(tmp_path, READS) as at, at.running():
        at.links.files[LINK] = b"known"
        answer = await linked(at, at.channel)
        assert "The files could not be put into the channel's files." in answer.shown
        assert "Files.ReadWrite.All" in answer.shown


async def test_who_asks_for_a_file_hears_what_an_admin_must_grant_for_it(tmp_path: Path) -> None:
    async with desk(tmp_path, READS) as at, at.running():
        answer = await transcribed(at, at.channel)
        told = await at.server.press(answer, "Get it", at.bo, {"format": "docx"})
        assert "The files could not be put beside the recording" in str(told.message)
        assert "An admin must grant it the application permission Files.ReadWrite.All" in str(told.message)
        await at.quiet()
        at.server.app.roles = frozenset({"Files.ReadWrite.All"})
        at.server.advance(4000)  # and the app gets another token
        await at.server.press(answer, "Get it", at.bo, {"format": "docx"})
        await at.server.until(lambda: "Board meeting.transcript.docx" in answer.shown)
        await at.quiet()
    assert "could not be put" not in answer.shown


# --- who can open them ---


@pytest.mark.parametrize("policy", ["guests", "people", "nobody"])
async def test_guests_get_what_the_organisation_lets_them_have(at: Desk, policy: str) -> None:
    guest = at.server.add_user(at.anna.tenant, "Guy Guest", guest=True)
    outsider = at.server.add_user(at.anna.tenant, "Olga Out")
    chat = at.server.add_group_chat([at.anna, at.bo, guest], name="Mixed")
    at.server.drives.lets_in = policy  # type: ignore[assignment]
    async with at.running():
        answer = await transcribed(at, chat)
        said = {
            "guests": "",
            "people": "Some people in this chat can't open the files",
            "nobody": "did not let the app share them",
        }[policy]
        assert said in answer.shown
        assert ("read all of the transcript here" in answer.shown) == bool(said)
        assert "Board meeting.transcript.md" in answer.shown
        assert len(files(at)) == 2
        for item in files(at):
            can = [at.server.can_open(item, user) for user in (at.anna, at.bo, guest, outsider)]
            assert can == [True, policy != "nobody", policy == "guests", False]
        opened = await at.server.press(answer, "Name the speakers", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Save", {"own:0": "Grace Hopper"})
        await at.server.until(lambda: "Grace Hopper" in answer.shown)
        await at.quiet()
    assert said in answer.shown


async def test_people_of_other_organisations_are_left_out_and_that_is_said(at: Desk) -> None:
    stranger = at.server.add_user(at.server.add_tenant("Umbrella"), "Eve Else")
    chat = at.server.add_group_chat([at.anna, at.bo, stranger], name="Mixed")
    async with at.running():
        answer = await transcribed(at, chat)
    assert "people of other organisations" in answer.shown
    for item in files(at):
        assert [at.server.can_open(item, user) for user in (at.bo, stranger)] == [True, False]


async def test_somebody_whom_graph_does_not_find_keeps_nobody_else_out(at: Desk) -> None:
    crowd = [at.server.add_user(at.anna.tenant, f"Nr {number}") for number in range(12)]
    at.server.drives.unresolved = {crowd[3].id, crowd[8].id}
    chat = at.server.add_group_chat([at.anna, at.bo, *crowd], name="Crowd")
    async with at.running():
        answer = await transcribed(at, chat)
    assert "Some people in this chat can't open the files" in answer.shown
    for item in files(at):
        assert [user for user in crowd if not at.server.can_open(item, user)] == [crowd[3], crowd[8]]


async def test_where_graph_finds_nobody_it_is_not_asked_for_ever(at: Desk) -> None:
    crowd = [at.server.add_user(at.anna.tenant, f"Nr {number}") for number in range(60)]
    at.server.drives.unresolved = {user.id for user in (at.anna, at.bo, *crowd)}
    chat = at.server.add_group_chat([at.anna, at.bo, *crowd], name="Crowd")
    async with at.running():
        answer = await transcribed(at, chat)
    assert "did not let the app share them" in answer.shown
    assert len(at.server.called("invite")) == 2 * 30


async def test_two_people_who_talk_alone_can_open_them(at: Desk) -> None:
    outsider: User = at.server.add_user(at.anna.tenant, "Olga Out")
    chat = at.server.add_chat(at.anna, at.bo, installed=True)
    async with at.running():
        await transcribed(at, chat)
    for item in files(at):
        assert [at.server.can_open(item, user) for user in (at.bo, outsider)] == [True, False]


async def test_files_that_are_not_shared_yet_are_shared_when_that_is_possible(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        at.server.fail("invite", *[graph_error(503, "serviceNotAvailable")] * 4)
        with pytest.raises(Exception, match="Graph"):
            await at.deliver(saying("Hello there"))
        assert "Hello" in answer.shown
        await at.deliver(saying("Hello there"))
    assert len(files(at)) == 2
    for item in files(at):
        assert at.server.can_open(item, at.bo)
