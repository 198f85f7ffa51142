"""Decisions about files in a watched folder."""

from __future__ import annotations

from core.sightings import UNREAD, Decision, Entry, Sighting
from core.watching import KEEP_GONE_SECONDS, Watched

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def seen(
    path: str, *, size: int = 5, modified: int = 100, identity: str = "", busy: bool = False
) -> Sighting:
    return Sighting(path=path, size=size, modified=modified, identity=identity or path, busy=busy)


def watched(*, entries: dict[str, Entry] | None = None) -> Watched:
    return Watched(place="folder:n:r", entries=entries or {}, settle=2, empty_settle=60, grace=60)


def look(state: Watched, now: float, *sightings: Sighting, today: float = 0.0) -> None:
    state.begin()
    state.see(sightings, now)
    state.finish(now, today)


def take(state: Watched, sighting: Sighting, content: str, *, answered: str = "") -> Decision:
    decision = state.decide(sighting, content, answered=answered)
    state.apply(sighting.path, decision)
    return decision


def test_a_file_is_complete_once_size_and_time_rested() -> None:
    state = watched()
    look(state, 0, seen("a.mp3", size=1))
    assert state.due(1.9, 9) == []
    look(state, 1.9, seen("a.mp3", size=2))
    assert state.due(3.8, 9) == []
    assert state.next_due() is not None
    assert state.due(3.9, 9) == ["a.mp3"]
    assert state.ready("a.mp3", 3.9) == seen("a.mp3", size=2)


def test_a_time_in_the_future_is_no_obstacle() -> None:
    state = watched()
    look(state, 0, seen("a.mp3", modified=2**62))
    assert state.due(2, 9) == ["a.mp3"]


def test_a_file_with_a_partial_neighbour_waits_however_long() -> None:
    state = watched()
    for now in range(0, 100, 2):
        look(state, now, seen("a.mp3", busy=True))
        assert state.ready("a.mp3", now) is None
    look(state, 100, seen("a.mp3"))
    assert state.due(102, 9) == ["a.mp3"]


def test_an_empty_file_gets_more_time() -> None:
    state = watched()
    look(state, 0, seen("a.mp3", size=0))
    assert state.due(59, 9) == []
    assert state.due(60, 9) == ["a.mp3"]


def test_what_arrives_is_not_behind_what_lay_there() -> None:
    state = watched()
    old = [seen(f"old{index}.mp3") for index in range(10)]
    look(state, 0, *old)
    look(state, 1, *old, seen("new.mp3"))
    assert state.due(5, 3)[0] == "new.mp3"


def test_an_offer_that_was_not_answered_is_made_again() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    assert state.due(2, 9) == ["a.mp3"]
    assert state.due(2, 9) == ["a.mp3"]
    take(state, seen("a.mp3"), ONE)
    assert state.due(9, 9) == []


def test_the_key_of_a_first_share_is_its_content() -> None:
    one, two = watched(), watched()
    assert take(one, seen("a.mp3"), ONE).entry.key == take(two, seen("b/c.wav", modified=7), ONE).entry.key


def test_a_renamed_file_is_known_without_reading_it() -> None:
    state = watched()
    look(state, 0, seen("a.mp3", identity="7"))
    key = take(state, seen("a.mp3", identity="7"), ONE).entry.key
    look(state, 10, seen("b/c.mp3", identity="7"))
    assert state.due(100, 9) == []
    assert list(state.entries) == ["b/c.mp3"]
    assert state.entries["b/c.mp3"].key == key
    assert state.unsaved["a.mp3"] is None


def test_two_files_that_swap_names_are_both_known() -> None:
    state = watched()
    a, b = seen("a.mp3", identity="1"), seen("b.mp3", identity="2", size=6)
    look(state, 0, a, b)
    take(state, a, ONE)
    take(state, b, TWO)
    a2, b2 = seen("a.mp3", identity="2", size=6), seen("b.mp3", identity="1")
    look(state, 10, a2, b2)
    assert state.due(100, 9) == []
    assert {path: entry.content for path, entry in state.entries.items()} == {"a.mp3": TWO, "b.mp3": ONE}


def test_a_copy_is_a_share_of_its_own() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"), seen("b.mp3"))
    first, second = take(state, seen("a.mp3"), ONE), take(state, seen("b.mp3"), ONE)
    assert second.submit
    assert first.entry.key != second.entry.key
    assert first.entry.line != second.entry.line


def test_a_copy_whose_original_is_gone_is_a_move() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    take(state, seen("a.mp3"), ONE)
    look(state, 10, seen("b.mp3"))
    decision = take(state, seen("b.mp3"), ONE)
    assert (decision.submit, decision.moved_from) == (False, "a.mp3")
    assert list(state.entries) == ["b.mp3"]


def test_a_replaced_file_is_done_again_and_back_again() -> None:
    state = watched()
    keys = []
    for content, modified in ((ONE, 1), (TWO, 2), (ONE, 3)):
        look(state, modified * 10, seen("a.mp3", modified=modified))
        decision = take(state, seen("a.mp3", modified=modified), content)
        assert decision.submit
        keys.append(decision.entry.key)
    assert len(set(keys)) == 3
    assert (state.entries["a.mp3"].line, state.entries["a.mp3"].version) == (keys[0], 2)


def test_a_touched_file_is_not_done_again() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    take(state, seen("a.mp3"), ONE)
    look(state, 10, seen("a.mp3", modified=101))
    assert state.due(12, 9) == ["a.mp3"]
    assert not take(state, seen("a.mp3", modified=101), ONE).submit


def test_a_failed_file_saved_anew_is_tried_again() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    key = take(state, seen("a.mp3"), ONE).entry.key
    state.fail(key)
    look(state, 10, seen("a.mp3"))
    assert state.due(20, 9) == []  # but not by itself
    look(state, 30, seen("a.mp3", modified=101))
    again = take(state, seen("a.mp3", modified=101), ONE)
    assert again.submit
    assert again.entry.key != key
    assert not state.entries["a.mp3"].failed


def test_a_failure_reported_during_the_submit_counts() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    decision = state.decide(seen("a.mp3"), ONE)
    state.intend("a.mp3", decision)
    state.fail(decision.entry.key)
    state.apply("a.mp3", decision)
    assert state.entries["a.mp3"].failed


def test_a_file_deleted_and_dropped_again_is_done_again_unless_its_transcript_lies_there() -> None:
    for answered in ("", "a.transcript.md"):
        state = watched()
        look(state, 0, seen("a.mp3"))
        key = take(state, seen("a.mp3"), ONE).entry.key
        look(state, 10)
        look(state, 80, today=1000)
        assert state.entries["a.mp3"].gone == 1000
        look(state, 90, seen("a.mp3", modified=999, identity="new"))
        again = take(state, seen("a.mp3", modified=999, identity="new"), ONE, answered=answered)
        assert again.submit is not bool(answered)
        assert (again.entry.key == key) is bool(answered)
        assert again.entry.gone is None


def test_a_folder_that_was_away_brings_nothing_new() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    take(state, seen("a.mp3"), ONE)
    look(state, 10)
    look(state, 100)
    look(state, 200, seen("a.mp3"))
    assert state.due(300, 9) == []
    assert state.entries["a.mp3"].gone is None


def test_folders_that_could_not_be_read_are_not_taken_for_empty() -> None:
    state = watched()
    look(state, 0, seen("x/a.mp3"), seen("b.mp3"))
    for path in ("x/a.mp3", "b.mp3"):
        take(state, seen(path), ONE if path == "b.mp3" else TWO)
    for now in (10, 100):
        state.begin()
        state.finish(now, 1000, ["x"])
    assert state.entries["x/a.mp3"].gone is None
    assert state.entries["b.mp3"].gone == 1000


def test_nothing_is_remembered_for_ever() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    line = take(state, seen("a.mp3"), ONE).entry.line
    look(state, 10)
    look(state, 100, today=1000)
    state.unsaved.clear()
    look(state, 200, today=1001 + KEEP_GONE_SECONDS)
    assert state.entries == {}
    assert state.unsaved == {"a.mp3": None}
    assert state.retired == [line]


def test_an_answered_file_without_a_memory_is_only_remembered() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    assert not take(state, seen("a.mp3"), ONE, answered="a.transcript.md").submit
    assert state.entries["a.mp3"].content == ONE


def test_an_unreadable_file_is_one_share_until_it_can_be_read() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"), seen("b.mp3"))
    first, other = take(state, seen("a.mp3"), UNREAD), take(state, seen("b.mp3"), UNREAD)
    assert first.submit
    assert other.submit
    assert first.entry.key != other.entry.key
    state.postpone("a.mp3", 600)
    look(state, 10, seen("a.mp3"), seen("b.mp3"))
    assert state.due(599, 9) == []
    assert state.due(600, 9) == ["a.mp3"]
    assert take(state, seen("a.mp3"), ONE).entry.line == first.entry.line


def test_an_unsent_share_is_sent_again_under_its_key() -> None:
    state = watched()
    look(state, 0, seen("a.mp3", identity="7"))
    decision = state.decide(seen("a.mp3", identity="7"), ONE)
    state.intend("a.mp3", decision)
    same, moved = watched(entries=dict(state.entries)), watched(entries=dict(state.entries))
    look(same, 0, seen("a.mp3", identity="7"))
    assert same.due(2, 9) == ["a.mp3"]
    resent = take(same, seen("a.mp3", identity="7"), ONE)
    assert (resent.submit, resent.entry.key) == (True, decision.entry.key)
    look(moved, 0, seen("b.mp3", identity="7"))
    resent = take(moved, seen("b.mp3", identity="7"), ONE)
    assert (resent.submit, resent.entry.key, resent.entry.base) == (True, decision.entry.key, "b")


def test_what_lay_there_can_be_left_alone_until_it_changes() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"), seen("b.mp3"))
    state.skip_all()
    look(state, 10, seen("a.mp3"), seen("b.mp3", size=6), seen("c.mp3"))
    assert sorted(state.due(20, 9)) == ["b.mp3", "c.mp3"]
    assert take(state, seen("b.mp3", size=6), ONE).submit


def test_relatives_keep_their_transcripts_apart() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"), seen("A.wav"), seen("b.mp3"), seen("x/b.wav"))
    assert [state.base(path) for path in ("a.mp3", "A.wav", "b.mp3", "x/b.wav")] == [
        "a.mp3",
        "A.wav",
        "b",
        "b",
    ]


def test_a_base_stays_when_a_relative_comes_later() -> None:
    state = watched()
    look(state, 0, seen("a.mp3"))
    take(state, seen("a.mp3"), ONE)
    later = seen("a.mp3", modified=7)
    look(state, 10, later, seen("a.wav"))
    assert take(state, later, TWO).entry.base == "a"
    assert take(state, seen("a.wav"), "sha256:3").entry.base == "a.wav"


def test_entries_survive_as_text() -> None:
    entry = Entry(
        size=1,
        modified=2,
        identity="3",
        content=ONE,
        key="k",
        line="l",
        base="\udcff\n",
        gone=1.5,
        failed=True,
    )
    text = entry.to_json()
    assert text.isascii()
    assert Entry.from_json(text) == entry
