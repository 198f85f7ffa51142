"""What the benchmark of Slack counts is what its page says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from benchmarks.platforms import Found, figures, report
from benchmarks.sharing import Outcome, another, made_recording, times
from benchmarks.slack import SLACK
from benchmarks.slack_load import outcome
from core.decoding import decode_file
from tests.adapters.slack_desk import TALK, desk, saying

FINE = Outcome(replied=0.2, transcribed=9.0, surplus=0, failed=False, complete=True)


def found(*outcomes: Outcome) -> Found:
    return Found(
        outcomes=outcomes,
        acknowledged={"": [0.01] * 98 + [0.5, 0.6]},
        sent=101,
        unacknowledged=1,
        late=[0.001],
        lags=[0.002],
        calls={"chat.postMessage": (4, 2), "chat.update": (4, 0)},
        waiting=1,
        busy=0.93,
    )


def test_people_share_as_often_as_they_should_at_moments_of_their_own() -> None:
    when = times(200, 3, seed=1)
    assert len(when) == 600
    assert when == sorted(when)
    assert when[0] > 0
    assert abs(when[-1] - 180) < 1e-6
    assert len({round(after - before, 3) for before, after in pairwise(when)}) > 100


def test_every_recording_is_another_file_with_the_same_sound(tmp_path: Path) -> None:
    recording = made_recording(3)
    sounds = []
    for number in (1, 2):
        file, into = tmp_path / f"{number}.mp4", tmp_path / str(number)
        into.mkdir()
        file.write_bytes(another(recording, number))
        audio = decode_file(str(file), str(into), file.name, 60, lambda _: None)
        sounds.append(Path(audio["path"]).read_bytes())
        assert 3 <= audio["seconds"] < 3.5
        assert not audio.get("warnings")
    assert sounds[0] == sounds[1]
    assert another(recording, 1) != another(recording, 2)


async def test_losses_and_what_is_there_twice_are_seen(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, at.running():
        message, _ = await at.server.share(at.channel, at.anna, TALK)
        assert outcome(at.server, message).replied is None
        await at.answered(message)
        waiting = outcome(at.server, message)
        assert waiting.replied is not None
        assert (waiting.lost, waiting.surplus) == (True, 0)
        await at.deliver(saying("Good morning"))
        assert not outcome(at.server, message).lost
        assert outcome(at.server, message).surplus == 0
        for reply in at.thread(message):
            again = replace(reply, ts=at.server.slack.new_ts(), versions=[])
            at.server.slack.post(at.channel, again)
        assert outcome(at.server, message).surplus == 2
        assert outcome(at.server, message).lost, "not the files that there should be"

        other, _ = await at.server.share(at.channel, at.anna, replace(TALK, name="two.mp3"))
        await at.answered(other)
        await at.adapter.report_failure(at.job(), "There is no sound in it.")
        assert outcome(at.server, other).failed
        assert outcome(at.server, other).lost


def test_the_page_counts_shares_and_not_calls() -> None:
    lost = replace(FINE, transcribed=None, complete=False, failed=True, replied=3.0)
    twice = replace(FINE, surplus=2)
    column = figures(SLACK, found(FINE, FINE, lost, twice))
    assert column["shares"] == "4"
    assert column["shares without their transcript"] == "1"
    assert column["- of them told that it failed"] == "1"
    assert column["answers or files twice"] == "2"
    assert column["acknowledged after, p50 (ms)"] == "10.0"
    assert column["acknowledged after, p99 (ms)"] == "500.0"
    assert column["acknowledged after, most (ms)"] == "600.0"
    assert column["first reply after, p99 (s)"] == "3.00"
    assert column["calls of the Web API a share"] == "2.0"
    assert column["requests refused for their rate"] == "2"
    page = report(SLACK, {"Socket Mode": found(FINE), "HTTP": found(FINE, lost)}, 900, "a machine")
    assert "| chat.postMessage | 4.00 (2.00) | 2.00 (1.00) |" in page
    assert "under 100" in page
