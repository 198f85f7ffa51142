"""The Slack door where there is much of everything: shares, conversations, replies, words, workspaces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bots.slack import ids
from bots.slack.answers import space_of
from bots.slack.shares import State
from core.errors import Misconfigured
from core.testing import MemoryStore
from tests.adapters.slack_desk import TALK, Desk, desk, saying
from tests.vendors.slack import rate_limited, refusal
from tests.vendors.slack_model import Channel, Message, User

SHARES = 2_000
INDEX = tuple(
    f"slack:{name}" for name in ("index", "file:", "message:", "running:", "recent:", "conversations:")
)


class Counting(MemoryStore):
    """`read` is how many values were read."""

    read = 0

    async def recall(self, space: str, key: str) -> str | None:
        self.read += 1
        return await super().recall(space, key)

    async def memories(self, space: str) -> Mapping[str, str]:
        found = await super().memories(space)
        self.read += 1 + len(found)
        return found


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        found.store = Counting()
        found.adapter = found.open()
        yield found


# --- shares ---


async def test_what_is_looked_for_among_many_shares_is_found_without_reading_them(at: Desk) -> None:
    async with at.running():
        message, [file] = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        other, _ = await at.server.share(at.channel, at.anna, replace(TALK, name="other.mp3"))
        [second] = await at.answered(other)
        await at.deliver(saying("Good morning"))
        await quiet(at)
        [state] = [each for each in await states(at) if each.share.file == file.id]
        for number in range(SHARES):
            await store(at, old(state, number, channel=at.channel.id if number % 2 else f"C{number % 40}"))
        store_ = at.store
        assert isinstance(store_, Counting)
        await indexed(at)

        store_.read = 0
        await at.server.open_home(at.workspace, at.bo)
        await at.server.until(lambda: at.bo.id in at.server.slack.homes)
        home = str(at.server.home(at.bo).blocks)
        assert "Board meeting.mp3" in home
        assert "other.mp3" in home
        assert store_.read < 500

        store_.read = 0
        await at.server.slash(at.channel, at.bo, "status")
        await at.server.until(lambda: at.server.ephemerals)
        assert "Nothing is being transcribed" in at.server.ephemerals[-1].shown
        assert store_.read < 50

        store_.read = 0
        await at.server.delete_file(file)
        await at.server.until(lambda: "Hello" not in answer.shown)
        await at.server.delete_message(at.channel, other)
        await at.server.until(lambda: "Good" not in second.shown)
        await quiet(at)
        assert store_.read < 200
    assert not at.files(message)
    assert not at.files(other)


async def test_shares_from_before_there_was_an_index_are_found_meanwhile_and_afterwards(at: Desk) -> None:
    async with at.running():
        messages = [await at.server.share(at.channel, at.anna, TALK) for _ in range(3)]
        answers = []
        for number, (message, _) in enumerate(messages):
            answers += await at.answered(message)
            await at.deliver(saying("Hello there"), at.job(number))
        await quiet(at)
    for space in [name for name in at.store.spaces if name.startswith(INDEX)]:
        del at.store.spaces[space]
    # Somebody else is at it, or was when the process died.
    lease = await at.store.acquire("slack:keeping", "index", 600)
    assert lease is not None
    at.adapter = at.open()
    async with at.running():
        (message, [file]), (second, _), (third, [last]) = messages
        await at.server.delete_file(file)
        await at.server.until(lambda: "Hello" not in answers[0].shown)
        await at.server.delete_message(at.channel, second)
        await at.server.until(lambda: "Hello" not in answers[1].shown)
        await home_of(at, at.bo)
        assert str(at.server.home(at.bo).blocks).count("Board meeting.mp3") == 1
        await at.store.release("slack:keeping", "index", lease)
    at.adapter = at.open()
    async with at.running():
        await indexed(at)
        del at.server.slack.homes[at.bo.id]
        await home_of(at, at.bo)
        assert str(at.server.home(at.bo).blocks).count("Board meeting.mp3") == 1
        await at.server.delete_file(last)
        await at.server.until(lambda: "Hello" not in answers[2].shown)
    assert not at.files(third)


async def test_what_is_forgotten_leaves_nothing_to_find(at: Desk) -> None:
    async with at.running():
        for person in (at.anna, at.bo):
            message, _ = await at.server.share(at.channel, person, TALK)
            await at.answered(message)
            await at.deliver(saying("Hello there"))
        running, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(running)
        await quiet(at)
        await indexed(at)
        await at.server.uninstall(at.workspace)
        await at.server.until(lambda: not at.store.spaces.get(space_of(at.workspace.id)))
        await quiet(at)
    left = {name: found for name, found in at.store.spaces.items() if found}
    assert not [name for name in left if at.workspace.id in name]


async def test_recent_shares_of_a_place_are_kept_and_older_ones_go(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        [state] = await states(at)
        for number in range(400):
            await store(at, old(state, number, channel=at.channel.id))
        await indexed(at)
        found = await at.adapter._answers.recent(
            at.workspace.id, at.bo.id, frozenset({at.channel.id}), most=1000
        )
    assert found[0].share == state.share
    assert 60 <= len(found) <= 90
    assert [each.at for each in found] == sorted((each.at for each in found), reverse=True)
    sizes = [len(found) for name, found in at.store.spaces.items() if name.startswith("slack:recent:")]
    assert max(sizes) <= 90


async def test_a_share_that_was_deleted_and_is_tried_again_is_seen_again(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.press(answer, ids.DELETE, at.anna)
        await at.server.until(lambda: "was deleted" in answer.shown)
        await quiet(at)
        await indexed(at)
        assert not await at.adapter._answers.recent(at.workspace.id, at.anna.id, frozenset(), most=10)
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        await at.server.until(lambda: "Transcribing" in answer.shown)
        await quiet(at)
        [found] = await at.adapter._answers.recent(at.workspace.id, at.anna.id, frozenset(), most=10)
        assert found.phase == "working"
        assert await at.adapter._answers.running(at.workspace.id, at.channel.id) == [found]


async def test_status_counts_all_and_names_those_that_have_waited_longest(at: Desk) -> None:
    async with at.running():
        messages = []
        for number in range(12):
            message, _ = await at.server.share(at.channel, at.anna, replace(TALK, name=f"talk {number}.mp3"))
            messages.append(message)
            at.server.advance(5)
        for message in messages:
            await at.answered(message)
        await quiet(at)
        await at.server.slash(at.channel, at.bo, "status")
        await at.server.until(lambda: at.server.ephemerals)
    shown = at.server.ephemerals[-1].shown
    assert "In progress: 12" in shown
    assert "talk 0.mp3" in shown
    assert "talk 9.mp3" in shown
    assert "talk 10.mp3" not in shown
    assert "and 2 more" in shown


# --- conversations ---


async def test_home_is_complete_for_who_is_in_very_many_conversations(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        await quiet(at)
        await indexed(at)
        [state] = await states(at)
        for number in range(260):
            place = at.server.add_channel(at.workspace, f"place-{number}", members=[at.anna])
            # In many that are newer he is not; in many others nothing was shared.
            if number < 60:
                share = replace(state.share, channel=place.id, ts=f"{9999000000 + number}.000000")
                await store(at, replace(state, share=share, at=float(share.ts)))
            else:
                place.members.append(at.bo.id)
        at.server.slack.channels[at.channel.id] = at.server.slack.channels.pop(at.channel.id)  # listed last
        await home_of(at, at.bo)
    assert "Board meeting.mp3" in str(at.server.home(at.bo).blocks)
    assert len(at.server.called("users.conversations")) == 2
    assert "place-" not in str(at.server.home(at.bo).blocks)


async def test_home_is_shown_where_slack_does_not_say_where_a_recording_is(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await at.answered(message)
        await at.deliver(saying("Hello there"))
        at.server.fail("chat.getPermalink", refusal("message_not_found"), *[rate_limited(60)] * 2)
        await home_of(at, at.bo)
        del at.server.slack.homes[at.bo.id]
        await home_of(at, at.bo)
    assert "Board meeting.mp3" in str(at.server.home(at.bo).blocks)


async def test_home_shows_what_is_in_all_workspaces_of_an_organisation_that_somebody_is_in(
    tmp_path: Path,
) -> None:
    async with organisation(tmp_path) as (at, nina, sven):
        south = at.server.slack.workspaces[sven.team]
        apart = at.server.add_workspace("Apart", enterprise_id="E0ORG", install=False)
        places = [at.server.add_channel(south, "southern", creator=sven, members=[sven])]
        away = at.server.add_user(apart, "away")
        hidden = at.server.add_channel(apart, "hidden", creator=away, members=[away])
        nina.also_in.append(south.id)  # Slack tells it with who she is
        places[0].members.append(nina.id)
        async with at.running():
            await shared(at, places[0], sven, "southern.mp3")
            await shared(at, hidden, away, "hidden.mp3")
            await shared(at, at.channel, sven, "northern.mp3")
            await home_of(at, nina)
    home = str(at.server.home(nina).blocks)
    assert "northern.mp3" in home
    assert "southern.mp3" in home
    assert "hidden.mp3" not in home
    asked = {call.args["team_id"] for call in at.server.called("users.conversations")}
    assert asked == {nina.team, south.id}


# --- replies ---


async def test_an_answer_is_found_again_behind_thousands_of_replies(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await quiet(at)
        talk(at, message, 2_100)
        at.server.fail("chat.postMessage", "lost")
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        [answer] = await at.answered(message)
        await quiet(at)
        await at.deliver(saying("Hello there"))
        assert at.answers(message) == [answer]
        assert "Hello" in answer.shown


async def test_for_an_answer_only_the_end_of_a_long_thread_is_read(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        at.server.advance(-86_400)  # yesterday
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        await quiet(at)
        talk(at, message, 600)
        at.server.advance(86_400)
        at.server.fail("chat.postMessage", "lost")
        await at.server.shortcut(message, at.bo, ids.SHORTCUT)
        [_] = await at.answered(message)
        await quiet(at)
        assert len(at.answers(message)) == 1
        [call] = [each for each in at.server.called("conversations.replies") if "oldest" in each.args]
        assert len(call.answer["messages"]) < 10


async def test_what_is_meant_at_the_end_of_a_very_long_thread_is_found(tmp_path: Path) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE="asked") as at, at.running():
        at.server.advance(-3 * 86_400)
        root = await at.server.say(at.channel, at.bo, "Our thread")
        talk(at, root, 2_100)
        at.server.advance(3 * 86_400)
        message, _ = await at.server.share(at.channel, at.anna, TALK, thread_ts=root.ts)
        me = at.server.installation(at.workspace).bot_user_id
        await at.server.say(at.channel, at.bo, f"<@{me}> please", thread_ts=root.ts)
        [_] = await at.answered(message)


# --- words ---


async def test_a_long_vocabulary_holds_for_another_try_too(at: Desk) -> None:
    terms = tuple(f"Erni term number {number:03} & more" for number in range(100))
    async with at.running():
        await at.server.slash(at.channel, at.anna, "settings")
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"vocabulary": "\n".join(terms), "speakers": "3"})
        await quiet(at)
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.deliver(saying("Hello there"))
        await at.server.slash(at.channel, at.anna, "settings")
        await at.server.until(lambda: len(at.server.views) == 1)
        await at.server.submit_view(at.server.views[-1], {"vocabulary": "Other", "formats": ["txt"]})
        await quiet(at)
        await at.server.press(answer, ids.RETRY, at.bo)
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[-1], {"languages": "German", "speakers": "2"})
        await at.server.until(lambda: len(at.jobs.views) == 2)
    first, second = (recording.policy for recording in at.recordings())
    assert first.vocabulary == terms
    assert second.vocabulary == terms  # what was used before, not what holds by now
    assert second.languages == ("de",)
    assert (second.min_speakers, second.max_speakers) == (2, 2)
    assert second.formats == ("txt",)


@pytest.mark.parametrize(
    ("mode", "says"), [("all", "Every recording that is shared here"), ("asked", "when somebody asks")]
)
async def test_help_says_what_holds_in_the_channel(tmp_path: Path, mode: str, says: str) -> None:
    async with desk(tmp_path, SLACK_TRANSCRIBE=mode) as at, at.running():
        me = at.server.slack.users[at.server.installation(at.workspace).bot_user_id].name
        for text in ("", "help"):
            before = len(at.server.ephemerals)
            await at.server.slash(at.channel, at.bo, text)
            await at.server.until(lambda before=before: len(at.server.ephemerals) > before)  # type: ignore[misc]
            assert says in at.server.ephemerals[-1].shown
            assert "/transcribe status" in at.server.ephemerals[-1].shown
            assert me in at.server.ephemerals[-1].shown
        await at.server.say(at.channel, at.bo, f"<@{at.server.installation(at.workspace).bot_user_id}> hello")
        await at.server.until(lambda: len(at.server.ephemerals) == 3)
        assert says in at.server.ephemerals[-1].shown


async def test_in_a_direct_message_the_app_is_asked_by_mention_as_in_a_channel(at: Desk) -> None:
    place = at.server.add_channel(at.workspace, kind="im", creator=at.anna, members=[at.anna])
    me = at.server.installation(at.workspace).bot_user_id
    async with at.running():
        await at.server.slash(place, at.anna, "settings")
        await at.server.until(lambda: at.server.views)
        await at.server.submit_view(at.server.views[0], {"mode": "asked"})
        await quiet(at)
        message, _ = await at.server.share(place, at.anna, TALK)
        await at.server.say(place, at.anna, "never mind", thread_ts=message.ts)
        await quiet(at)
        assert not at.jobs.views
        await at.server.say(place, at.anna, f"<@{me}> please", thread_ts=message.ts)
        await at.server.until(lambda: at.answers(message, place))
        await at.server.say(place, at.anna, f"<@{me}|erni>")
        await at.server.until(lambda: at.server.ephemerals)
        assert "/transcribe status" in at.server.ephemerals[-1].shown
        second, _ = await at.server.share(place, at.anna, TALK, text=f"<@{me}>, and this one")
        await at.server.until(lambda: at.answers(second, place))
        await quiet(at)
    assert len(at.jobs.views) == 2
    assert len(at.answers(message, place)) == len(at.answers(second, place)) == 1


# --- workspaces ---


async def test_each_workspace_of_an_organisation_has_a_group_of_its_own_that_may_choose(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with organisation(tmp_path) as (at, _, sven):
        south = at.server.slack.workspaces[sven.team]
        nora, stan = at.server.add_user(at.workspace, "nora"), at.server.add_user(south, "stan")
        at.channel.members.append(nora.id)
        place = at.server.add_channel(south, "southern", creator=sven, members=[sven, stan])
        groups = [at.server.add_group(at.workspace, [nora]), at.server.add_group(south, [stan])]
        at.options["SLACK_SETTINGS_GROUP"] = ",".join(group.id for group in groups)
        at.adapter = at.open()
        async with at.running():
            await at.server.slash(at.channel, nora, "settings")
            await at.server.until(lambda: at.server.views)
            await at.server.slash(place, stan, "settings")
            await at.server.until(lambda: len(at.server.views) == 2)
            await at.server.submit_view(at.server.views[-1], {"mode": "never"})
            await quiet(at)
            message, _ = await at.server.share(place, sven, TALK)
            await quiet(at)
            assert not at.answers(message, place)
    found = {
        (call.args["team_id"], call.args["usergroup"])
        for call in at.server.called("usergroups.users.list")
        if call.error is None
    }
    assert found == {(at.workspace.id, groups[0].id), (south.id, groups[1].id)}
    assert "SLACK_SETTINGS_GROUP" not in caplog.text


async def test_who_is_in_several_workspaces_of_an_organisation_is_no_stranger_there(tmp_path: Path) -> None:
    async with organisation(tmp_path) as (at, _, sven):
        place = at.server.add_channel(at.workspace, "northern", creator=sven, members=[sven])
        async with at.running():
            await at.server.slash(place, sven, "settings")
            await at.server.until(lambda: at.server.ephemerals)
            assert not at.server.views
            sven.also_in.append(at.workspace.id)
            at.adapter = at.open()  # which has not asked Slack about him yet
        async with at.running():
            await at.server.slash(place, sven, "settings")
            await at.server.until(lambda: at.server.views)


@pytest.mark.parametrize("value", ["S0614TZR7,@admins", "S0614TZR7;S0614TZR8", "T0614TZR7"])
async def test_what_is_no_list_of_groups_is_refused(at: Desk, value: str) -> None:
    at.options["SLACK_SETTINGS_GROUP"] = value
    with pytest.raises(Misconfigured, match="SLACK_SETTINGS_GROUP"):
        at.open()


# --- people who left ---


async def test_what_somebody_shared_who_was_deactivated_since_comes_to_its_end(at: Desk) -> None:
    async with at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        [answer] = await at.answered(message)
        await at.server.deactivate(at.anna)
        await at.deliver(saying("Hello there"))
        assert "Hello" in answer.shown
        await at.server.press(answer, ids.RENAME, at.bo)
        await at.server.until(lambda: at.server.views)
        assert at.bo.id in str(at.server.views[0].blocks)
        await home_of(at, at.bo)
        assert "Board meeting.mp3" in str(at.server.home(at.bo).blocks)
        failed, _ = await at.server.share(at.channel, at.bo, TALK)
        [other] = await at.answered(failed)
        await at.server.deactivate(at.bo)
        await at.adapter.report_failure(at.job(), "There is no sound in it.")
        assert "no sound" in other.shown


# --- helpers ---


@asynccontextmanager
async def organisation(folder: Path) -> AsyncIterator[tuple[Desk, User, User]]:
    """The app in all of an organisation's workspaces: `nina` made the desk's channel in one, which `sven` of
    another is in too."""
    async with desk(folder) as at:
        north = at.server.add_workspace("North", enterprise_id="E0ORG", install=False)
        south = at.server.add_workspace("South", enterprise_id="E0ORG", install=False)
        nina, sven = at.server.add_user(north, "nina", is_admin=True), at.server.add_user(south, "sven")
        at.server.install(None, nina, enterprise_id="E0ORG")
        at.channel = at.server.add_channel(
            north, "both", creator=nina, members=[nina, sven], shared_with=[south]
        )
        at.workspace, at.anna = north, nina
        at.adapter = at.open()
        yield at, nina, sven


def old(state: State, number: int, *, channel: str) -> State:
    """Another share in that place, the older the smaller its number."""
    ts = f"{1_600_000_000 + number}.000000"
    share = replace(state.share, channel=channel, ts=ts, thread=ts, file=f"F{number}", user=f"U{number % 50}")
    return replace(state, share=share, at=float(ts))


async def store(at: Desk, state: State) -> None:
    async with at.adapter._answers.hold(state.share) as hold:
        await hold.save(state)


async def shared(at: Desk, place: Channel, user: User, name: str) -> None:
    message, _ = await at.server.share(place, user, replace(TALK, name=name))
    await at.server.until(lambda: at.answers(message, place))


def talk(at: Desk, message: Message, replies: int) -> None:
    """Much is said in a thread, of which the app is told nothing."""
    root = message.thread_ts or message.ts
    for number in range(replies):
        ts = at.server.slack.new_ts()
        said = Message(
            ts=ts,
            channel=at.channel.id,
            user=at.bo.id,
            text=f"Reply {number}",
            team=at.workspace.id,
            thread_ts=root,
        )
        at.server.slack.post(at.channel, said)


async def home_of(at: Desk, user: User) -> None:
    await at.server.open_home(at.workspace, user)
    await at.server.until(lambda: user.id in at.server.slack.homes)


async def indexed(at: Desk) -> None:
    await at.server.until(lambda: at.store.spaces.get("slack:index"))


async def states(at: Desk) -> list[State]:
    return await at.adapter._answers.states(at.workspace.id)


async def quiet(at: Desk) -> None:
    """Until everything that Slack told was acted on."""
    await at.server.delivered()
    await at.server.until(lambda: not at.store.spaces.get("slack:letters"))
