"""Who may do what in Teams: nobody gets to hear what they can't open, and nobody changes what is others'."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.errors import Rejected
from core.policies import Mode
from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import RSC, TALK, Desk, desk
from tests.vendors.teams import App, graph_error, inputs
from tests.vendors.teams_items import DriveItem
from tests.vendors.teams_model import Conversation, Json, Message, User

NOT_THEIRS = "can't see that you may open it"


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


def secret(at: Desk) -> DriveItem:
    """A recording of Anna's that she shared with nobody."""
    return at.server.add_file(at.anna, "Recordings/Board.mp4", b"a secret")


def address(at: Desk, item: DriveItem) -> str:
    return at.server.m365.web_url(item)


def named(at: Desk, message: Message, item: DriveItem, sender: User) -> Json:
    """The message as somebody's client may say that it is: written by `sender`, with `item`."""
    payload = at.server.payloads.command_payload(at.server.m365.conversations[message.conversation], message)
    attached = {"id": "1", "contentType": "reference", "contentUrl": address(at, item), "name": item.name}
    event = {
        "@odata.type": "#microsoft.graph.callRecordingEventMessageDetail",
        "callRecordingUrl": address(at, item),
        "callRecordingDisplayName": item.name,
    }
    user = {"id": sender.id, "displayName": sender.name}
    return payload | {"attachments": [attached], "eventDetail": event, "from": {"user": user}}


async def commanded(at: Desk, message: Message, user: User, payload: Json) -> None:
    """The message command as it comes from a client that says something else of the message."""
    conversation = at.server.m365.conversations[message.conversation]
    value = {"commandId": "transcribe", "commandContext": "message", "messagePayload": payload}
    value |= {"requestId": f"request {message.id}"}
    opening = at.server.payloads.activity(
        "invoke", conversation, user, name="composeExtension/fetchTask", value=value
    )
    opened = at.server.delivery.add(opening)
    await opened.over.wait()
    data = opened.answer["task"]["value"]["card"]["content"]["actions"][0]["data"]
    sending = at.server.payloads.activity(
        "invoke",
        conversation,
        user,
        name="composeExtension/submitAction",
        value=value | {"data": data | {"languages": "", "speakers": "", "formats": "md"}},
    )
    await at.server.delivery.add(sending).over.wait()


# --- what somebody can't open ---


@pytest.mark.parametrize("link", ["address", "narrow link"])
async def test_an_address_is_no_key_to_what_is_anothers(at: Desk, link: str) -> None:
    """The app reads every OneDrive of the organisation; who knows an address does not."""
    item, bo = secret(at), at.server.add_personal_chat(at.bo)
    url = address(at, item) if link == "address" else at.server.share_link(item, narrow=True)
    async with at.running():
        await at.server.post(bo, at.bo, url)
        await at.told(bo, NOT_THEIRS)
        await at.server.post(at.alone, at.anna, url)
        await at.answered(at.alone, text="Transcribing")
        assert await at.fetched() == b"a secret"
    assert [recording.shared_by for recording in at.recordings()] == [at.anna.id]


async def test_what_is_not_there_and_what_is_not_theirs_look_the_same(at: Desk) -> None:
    bo = at.server.add_personal_chat(at.bo)
    item = secret(at)
    async with at.running():
        await at.server.post(bo, at.bo, address(at, item))
        await at.server.post(bo, at.bo, f"{address(at, item)[:-4]}2.mp4")
        first, second = await at.answered(bo, 2, text=NOT_THEIRS)
    assert first.shown.replace("Board2", "Board") == second.shown.replace("Board2", "Board")


async def test_a_link_for_everybody_is_a_key_and_knowing_that_there_is_one_is_none(at: Desk) -> None:
    bo = at.server.add_personal_chat(at.bo)
    item = secret(at)
    link = at.server.share_link(item)
    async with at.running():
        await at.server.post(bo, at.bo, address(at, item))
        await at.told(bo, NOT_THEIRS)
        await at.server.post(bo, at.bo, link)
        await at.answered(bo, 2)
        await at.server.until(lambda: at.jobs.views)
    assert len(at.jobs.views) == 1


async def test_who_was_let_in_may_have_it_transcribed(at: Desk) -> None:
    bo = at.server.add_personal_chat(at.bo)
    item = secret(at)
    item.grants.add(at.bo.id)
    async with at.running():
        await at.server.post(bo, at.bo, address(at, item))
        await at.answered(bo, text="Transcribing")


async def test_what_lies_in_a_teams_library_is_for_its_members(tmp_path: Path) -> None:
    app = App(roles=frozenset({"Files.ReadWrite.All"}), rsc=RSC)
    async with desk(tmp_path, app) as at, at.running():
        cy = at.server.add_user(at.anna.tenant, "Cy Young")
        item = at.server.add_file(at.team, "General/All hands.mp4", b"for the team")
        theirs, cys = at.server.add_personal_chat(at.bo), at.server.add_personal_chat(cy)
        await at.server.post(cys, cy, address(at, item))
        await at.told(cys, NOT_THEIRS)
        await at.server.post(theirs, at.bo, address(at, item))
        await at.answered(theirs, text="Transcribing")
        at.team.installed = False  # and nobody can tell any more who is in it
        await at.server.post(theirs, at.bo, address(at, item))
        await at.told(theirs, NOT_THEIRS)


@pytest.mark.parametrize("where", ["channel", "chat"])
async def test_a_message_that_somebodys_client_made_up_is_no_key(at: Desk, where: str) -> None:
    conversation: Conversation = at.channel if where == "channel" else at.chat
    async with at.running():
        message = await at.server.post(conversation, at.bo, "look at this")
        await commanded(at, message, at.bo, named(at, message, secret(at), at.anna))
        await at.answered(message, text=NOT_THEIRS)
        await at.quiet()
        [state] = await at.adapter.answers.states()
        value = {"data": {"dialog": "erni.dialog.retry", "share": state.share.id, "version": 1}}
        retry = at.server.payloads.activity("invoke", conversation, at.bo, name="task/submit", value=value)
        await at.server.delivery.add(retry).over.wait()
        await at.quiet()
    assert not at.jobs.views
    assert not at.server.called("content")


@pytest.mark.parametrize("root", ["1;x=/../../other", "", "nothing", "9" * 30])
async def test_a_thread_that_somebodys_client_made_up_is_none(at: Desk, root: str) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.bo, "mine", files=[TALK])
        payload = at.server.payloads.command_payload(at.channel, message) | {"replyToId": root}
        await commanded(at, message, at.bo, payload)
        await at.answered(message, text="Transcribing")
    assert not [call for call in at.server.calls if "other" in call.path]


async def answer_to_forged_sender(at: Desk, where: Conversation) -> Message:
    """The transcript of what Anna shared, for which Bo asked with a client that says that it was him."""
    message = await at.server.post(where, at.anna, files=[TALK])
    payload = at.server.payloads.command_payload(where, message)
    payload["from"]["user"]["id"] = at.bo.id
    await commanded(at, message, at.bo, payload)
    [answer] = await at.answered(message)
    await at.deliver(saying("Hello there"))
    return answer


@pytest.mark.parametrize("where", ["channel", "chat"])
async def test_who_shared_a_recording_is_not_for_the_client_of_who_asks_to_say(at: Desk, where: str) -> None:
    async with at.running():
        answer = await answer_to_forged_sender(at, at.channel if where == "channel" else at.chat)
        refused = await at.server.press(answer, "Delete the transcript", at.bo)
        assert "Only who shared" in str(refused.message)
        [recording] = at.recordings()
        assert recording.shared_by == at.anna.id
        at.team.owners.clear()
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()


@pytest.mark.parametrize("where", ["channel", "chat"])
async def test_where_nobody_can_say_who_shared_it_its_owner_keeps_every_right(
    tmp_path: Path, where: str
) -> None:
    """What is left to who asked is what they could have asked for anyway."""
    app = App(roles=frozenset({"Files.ReadWrite.All"}), rsc=frozenset({"TeamMember.Read.Group"}))
    async with desk(tmp_path, app) as at, at.running():
        cy = at.server.add_user(at.anna.tenant, "Cy Young")
        at.chat.members.append(cy.id)
        at.team.members.append(cy.id)
        at.team.owners.clear()
        answer = await answer_to_forged_sender(at, at.channel if where == "channel" else at.chat)
        [recording] = at.recordings()
        assert recording.shared_by == at.bo.id
        refused = await at.server.press(answer, "Delete the transcript", cy)
        assert "Only who shared" in str(refused.message)
        await at.server.press(answer, "Delete the transcript", at.anna)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()


async def test_a_file_is_found_in_the_onedrive_of_who_is_only_said_to_have_shared_it(tmp_path: Path) -> None:
    app = App(roles=frozenset({"Files.Read.All"}), rsc=frozenset())
    async with desk(tmp_path, app) as at, at.running():
        message = await at.server.post(at.chat, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        await at.answered(message, text="Transcribing")
        assert await at.fetched() == TALK.data
    assert [recording.shared_by for recording in at.recordings()] == [at.bo.id]


async def test_where_everything_is_transcribed_its_writer_must_be_able_to_open_it(tmp_path: Path) -> None:
    async with desk(tmp_path, TEAMS_TRANSCRIBE="all") as at, at.running():
        item = secret(at)
        message = await at.server.post(at.channel, at.bo, "mine!")
        message.files = {"1": item}  # as Graph shows it, whose writer can say that anything is attached
        await at.server.edit(message, "mine, really!")
        await at.answered(message, text=NOT_THEIRS)
        own = await at.server.post(at.channel, at.anna, address(at, item))
        await at.answered(own, text="Transcribing")
    assert len(at.jobs.views) == 1


async def test_a_permission_that_is_missing_to_see_that_is_named(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, at.running():
        item, bo = secret(at), at.server.add_personal_chat(at.bo)
        at.server.fail("permissions", *[graph_error(403, "accessDenied")] * 2)
        await at.server.post(bo, at.bo, address(at, item))
        told = await at.told(bo, "Files.Read.All")
        assert "grant" in told.shown
    assert not at.jobs.views


async def test_what_was_sent_too_long_ago_is_only_fetched_from_its_senders_own(at: Desk) -> None:
    item, bo = secret(at), at.server.add_personal_chat(at.bo)
    async with at.running():
        await at.server.send_file(bo, at.bo, TALK)
        await at.answered(bo)
        [sent] = at.server.events("message")
        [text, file] = sent.activity["attachments"]
        made_up = file | {"contentUrl": address(at, item)}
        at.server.delivery.add(sent.activity | {"id": "1700000000000", "attachments": [text, made_up]})
        await at.answered(bo, 2)
        at.server.advance(7200)  # neither is where Teams put it any more
        jobs = [view.job for view in at.jobs.views.values()]
        assert await at.fetched(jobs[0]) == TALK.data
        with pytest.raises(Rejected):
            await at.fetched(jobs[1])


# --- guests, people who left, and buttons of others ---


@dataclass(frozen=True, kw_only=True)
class Guests:
    """A chat of Anna and Bo with a guest, and with somebody of another organisation."""

    chat: Conversation
    guest: User
    stranger: User


def with_guests(at: Desk) -> Guests:
    guest = at.server.add_user(at.anna.tenant, "Guy Guest", guest=True)
    stranger = at.server.add_user(at.server.add_tenant("Umbrella"), "Eve Else")
    chat = at.server.add_group_chat([at.anna, at.bo, guest, stranger], name="Mixed")
    return Guests(chat=chat, guest=guest, stranger=stranger)


async def test_guests_and_strangers_do_not_change_what_holds_in_a_chat(at: Desk) -> None:
    here = with_guests(at)
    async with at.running():
        await at.server.post(here.chat, at.bo, "settings", mention_bot=True)
        card = await at.told(here.chat, "Nothing is being transcribed")
        for nobody in (here.guest, here.stranger):
            refused = await at.server.press(card, "Settings", nobody)
            assert "Guests can't change" in str(refused.message)
        opened = await at.server.press(card, "Settings", at.bo)
        assert opened.dialog is not None
        opened.dialog.user = here.guest  # who sends the form without having been given it
        refused = await at.server.submit(opened.dialog, "Save", {"mode": "all"})
        assert "Guests can't change" in str(refused.message)
        opened = await at.server.press(card, "Settings", at.bo)
        assert opened.dialog is not None
        await at.server.submit(opened.dialog, "Save", {"mode": "all"})
        await at.quiet()
        [state] = [at.store.spaces["teams:policies"][here.chat.id]]
        assert Mode.ALL in state


async def test_who_left_a_chat_or_a_team_changes_nothing_any_more(at: Desk) -> None:
    here = with_guests(at)
    async with at.running():
        await at.server.post(here.chat, at.bo, "settings", mention_bot=True)
        card = await at.told(here.chat, "Nothing is being transcribed")
        opened = await at.server.press(card, "Settings", at.bo)
        post = await at.server.post(at.channel, at.anna, "settings", mention_bot=True)
        other = await at.told(post, "Nothing is being transcribed")
        owners = await at.server.press(other, "Settings", at.anna)
        here.chat.members.remove(at.bo.id)
        at.team.owners.remove(at.anna.id)
        for dialog in (opened.dialog, owners.dialog):
            assert dialog is not None
            refused = await at.server.submit(dialog, "Save", {"mode": "all"})
            assert "change" in str(refused.message)
        await at.quiet()
    assert not at.store.spaces.get("teams:policies")


async def test_in_a_chat_others_delete_once_who_shared_it_has_left(at: Desk) -> None:
    here = with_guests(at)
    async with at.running():
        message = await at.server.post(here.chat, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(here.chat)
        await at.deliver(saying("Hello there"))
        refused = await at.server.press(answer, "Delete the transcript", at.bo)
        assert "as long as they are in this chat" in str(refused.message)
        assert "owner" not in str(refused.message)
        here.chat.members.remove(at.anna.id)
        for nobody in (here.guest, here.stranger):
            refused = await at.server.press(answer, "Delete the transcript", nobody)
            assert "as long as" in str(refused.message)
        await at.server.press(answer, "Delete the transcript", at.bo)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()
    assert not at.jobs.transcripts


async def test_an_owner_who_can_not_be_seen_hears_what_an_admin_must_grant(tmp_path: Path) -> None:
    app = App(roles=frozenset({"Files.ReadWrite.All"}), rsc=frozenset({"ChannelMessage.Read.Group"}))
    async with desk(tmp_path, app) as at, at.running():
        message = await at.server.post(at.channel, at.bo, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        told = await at.server.press(answer, "Delete the transcript", at.anna)
        assert "Only who shared the recording, or an owner of the team" in str(told.message)
        assert "TeamMember.Read.Group" in str(told.message)
        assert "An admin must grant" in str(told.message)
        await at.server.press(answer, "Delete the transcript", at.bo)
        await at.server.until(lambda: "was deleted by" in answer.shown)
        await at.quiet()


async def test_a_button_does_not_make_another_answer_disappear(at: Desk) -> None:
    """A card that was left over goes away once its button is pressed; whose card it is says who presses."""
    async with at.running():
        first = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(first, at.bo)
        [answer] = await at.answered(first)
        await at.deliver(saying("Hello there"))
        second = await at.server.post(at.channel, at.bo, files=[TALK])
        await at.asked(second, at.bo)
        [own] = await at.answered(second)
        action = next(each for each in own.card["actions"] if each["title"] == "Stop")
        press = at.server.payloads.activity(
            "invoke",
            at.channel,
            at.bo,
            root=first.id,
            name="adaptiveCard/action",
            value={"action": {k: action[k] for k in ("type", "verb", "data")}, "trigger": "manual"},
        )
        press["replyToId"] = answer.id
        await at.server.delivery.add(press).over.wait()
        await at.quiet()
    assert not answer.deleted
    assert "Hello" in answer.shown


async def test_where_files_lie_beside_the_recording_nobody_is_asked_for_consent(at: Desk) -> None:
    """An answer to a question that nobody asked hands nothing over."""
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        [state] = await at.adapter.answers.states()
        value = {
            "type": "fileUpload",
            "action": "accept",
            "context": {"share": state.share.id, "format": "md"},
            "uploadInfo": {"uploadUrl": f"{at.server.elsewhere}/upload", "name": "x.md"},
        }
        for more in ({}, {"replyToId": answer.id}):
            consent = at.server.payloads.activity(
                "invoke", at.channel, at.bo, root=message.id, name="fileConsent/invoke", value=value
            )
            await at.server.delivery.add(consent | more).over.wait()
        await at.quiet()
        assert not at.server.called("elsewhere")
        assert "Hello" in answer.shown
        [state] = await at.adapter.answers.states()
        assert not any(file.taken for file in state.files.values())


async def test_names_for_speakers_that_nobody_heard_are_not_kept(at: Desk) -> None:
    async with at.running():
        message = await at.server.post(at.channel, at.anna, files=[TALK])
        await at.asked(message, at.bo)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        opened = await at.server.press(answer, "Name the speakers", at.bo)
        assert opened.dialog is not None
        data: dict[str, Any] = opened.dialog.card["actions"][0]["data"]
        data["labels"] += [f"Nobody {number}" for number in range(1000)]
        more = {f"own:{number}": "Somebody" for number in range(2, 1000)}
        opened.dialog.card["actions"][0]["data"] = data | more
        await at.server.submit(opened.dialog, "Save", {"own:0": "Grace Hopper"})
        await at.server.until(lambda: "Grace Hopper" in answer.shown)
        await at.quiet()
        [state] = await at.adapter.answers.states()
    assert len(state.names) == 1


async def test_settings_of_a_team_need_its_owner_also_where_it_is_large(tmp_path: Path) -> None:
    async with desk(tmp_path, App(rsc=RSC)) as at, at.running():
        at.server.graph.page = 2
        crowd = [at.server.add_user(at.anna.tenant, f"Nr {number}").id for number in range(60)]
        at.team.members[:0] = crowd
        post = await at.server.post(at.channel, at.anna, "settings", mention_bot=True)
        card = await at.told(post, "Nothing is being transcribed")
        opened = await at.server.press(card, "Settings", at.anna)
        assert opened.dialog is not None
        assert inputs(opened.dialog.card)["mode"]
        assert len(at.server.called("team members")) == 1
