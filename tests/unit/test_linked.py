"""People found again across pieces: by property on made-up evidence, and whole on speech, with and without
weights."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.linking import load
from core.child import Child, ChildFailed
from core.engines.linked import people
from core.engines.linking import Evidence, link, link_by_evidence
from core.errors import Misconfigured
from tests.tiny_models import RATE, silence, voice, write_wav
from tests.unit.test_draft_diarization import SAMPLES, meeting

__all__ = ["meeting"]

Voices = list[list[object]]
CUTS = (0.0, 36.9, 56.0)
"""Where the sample meeting is cut: in each of these three pieces everybody says something."""


def ignore(_: float) -> None:
    """Progress is of no interest here."""


def found(
    path: Path,
    voices: Voices,
    *,
    embedding: Path | None = None,
    least: int | None = None,
    most: int | None = None,
) -> list[int]:
    return people(
        path=str(path),
        voices=voices,
        embedding=str(embedding) if embedding else None,
        threads=1,
        least=least,
        most=most,
        report=ignore,
    )


def spoken() -> tuple[Voices, list[str]]:
    """The voices of the sample meeting's three pieces, and whose they are."""
    spans: dict[tuple[int, str], list[list[float]]] = {}
    for line in json.loads((SAMPLES / "meeting.seglst.json").read_text(encoding="utf-8")):
        piece = sum(line["start_time"] >= cut for cut in CUTS) - 1
        spans.setdefault((piece, line["speaker"]), []).append([line["start_time"], line["end_time"]])
    return [[piece, own] for (piece, _), own in spans.items()], [who for _, who in spans]


def same_groups(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


# made-up evidence


def evidence(places: npt.NDArray[np.float64], precision: float = 100.0) -> Evidence:
    weights = np.full(places.shape, precision)
    return Evidence(precision=weights, weighted=weights * places, prior=np.ones(places.shape[1]))


def heard(per_piece: Sequence[Sequence[int]], seed: int = 0) -> tuple[list[int], list[int], Evidence]:
    """The pieces, the people and the evidence of voices of people who are well apart."""
    rng = np.random.default_rng(seed)
    person = rng.standard_normal((12, 40))
    rows = [(piece, who) for piece, own in enumerate(per_piece) for who in own]
    places = np.array([person[who] + 0.1 * rng.standard_normal(40) for _, who in rows]).reshape(-1, 40)
    return [piece for piece, _ in rows], [who for _, who in rows], evidence(places)


_pieces = st.lists(st.lists(st.integers(0, 11), min_size=1, unique=True), min_size=1, max_size=6)


@given(_pieces)
def test_any_number_of_people_is_found_again(per_piece: list[list[int]]) -> None:
    pieces, truth, known = heard(per_piece)
    numbers = link_by_evidence(pieces, known, brief=np.zeros(len(pieces), dtype=bool))
    assert same_groups(numbers, truth)
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(-2, 2), st.booleans()), max_size=12),
    st.none() | st.integers(1, 14),
    st.none() | st.integers(1, 14),
)
def test_bounds_and_pieces_are_honoured_whatever_is_heard(
    rows: list[tuple[int, float, bool]], least: int | None, most: int | None
) -> None:
    pieces = [piece for piece, _, _ in rows]
    places = np.array([[place] for _, place, _ in rows]).reshape(-1, 1)
    if least is not None and most is not None and least > most:
        least, most = most, least
    brief = np.array([short for _, _, short in rows], dtype=bool)
    numbers = link_by_evidence(pieces, evidence(places), brief=brief, least=least, most=most)
    count = len(set(numbers))
    assert count >= min(least or 0, len(rows))
    assert most is None or count <= most
    together = max((pieces.count(piece) for piece in pieces), default=0)
    if most is None:
        for (a, one), (b, other) in itertools.combinations(zip(pieces, numbers, strict=True), 2):
            assert a != b or one != other
        assert count >= together
    assert list(dict.fromkeys(numbers)) == list(range(count))


def test_a_piece_is_matched_as_a_whole() -> None:
    # Both voices of the second piece are nearer to the first person, but only one of them can be that person.
    numbers = link_by_evidence(
        [0, 0, 1, 1],
        evidence(np.array([[0.0, 0.0], [1.5, 0.0], [0.55, 0.0], [0.3, 0.0]]), precision=4.0),
        brief=np.zeros(4, dtype=bool),
    )
    assert numbers == [0, 1, 1, 0]


def test_a_brief_voice_joins_only_whom_it_is_like() -> None:
    places = evidence(np.array([[0.0] * 6, [0.0] * 6, [0.6] * 6]), precision=10.0)
    sure = link_by_evidence([0, 1, 2], places, brief=np.array([False, False, False]))
    unsure = link_by_evidence([0, 1, 2], places, brief=np.array([False, False, True]))
    assert sure == [0, 0, 0]
    assert unsure == [0, 0, 1]


def test_embeddings_of_hardly_any_speech_are_linked_last() -> None:
    angles = np.deg2rad([0.0, 25.0, 5.0])  # the third is nearest to the first
    voices = [
        (piece, np.array([np.cos(at), np.sin(at)])) for piece, at in zip((0, 1, 1), angles, strict=True)
    ]
    assert link(voices) == [0, 1, 0]
    assert link(voices, seconds=[20.0, 20.0, 0.4]) == [0, 0, 1]  # which is taken when its turn comes


# speech


def test_the_sample_meeting_in_three_pieces(meeting: Path) -> None:
    voices, speakers = spoken()
    numbers = found(meeting, voices)
    assert same_groups(numbers, speakers)
    assert numbers[0] == 0


def test_the_order_in_which_an_engine_lists_speakers_decides_nothing(meeting: Path) -> None:
    voices, _ = spoken()
    expected = found(meeting, voices)
    order = list(range(len(voices)))
    random.Random(1).shuffle(order)
    numbers = found(meeting, [voices[index] for index in order])
    assert same_groups(numbers, [expected[index] for index in order])
    assert list(dict.fromkeys(numbers)) == [0, 1, 2]


def test_words_serve_as_well_as_turns(meeting: Path) -> None:
    voices, speakers = spoken()
    words: Voices = []
    for piece, spans in voices:
        assert isinstance(spans, list)
        # Each too short to be heard on its own.
        starts = [at for start, end in spans for at in np.arange(start, end - 0.05, 0.3).tolist()]
        words.append([piece, [[start, start + 0.04] for start in starts]])
    assert same_groups(found(meeting, words), speakers)


def test_bounds_on_speech(meeting: Path) -> None:
    voices, _ = spoken()
    assert set(found(meeting, voices, most=1)) == {0}
    assert len(set(found(meeting, voices, most=2))) == 2
    assert len(set(found(meeting, voices, least=5))) == 5
    assert found(meeting, voices, least=20) == list(range(len(voices)))


def test_nine_people(meeting: Path, tmp_path: Path) -> None:
    # The three voices as they are, and read faster and slower: of another pitch and another size of throat.
    sound = load(meeting)[0]
    voices, speakers = spoken()
    parts, listed, truth, at = [], [], [], 0.0
    for piece in range(len(CUTS)):
        for speed in (0.8, 1.0, 1.25):
            for (number, spans), speaker in zip(voices, speakers, strict=True):
                if number != piece:
                    continue
                assert isinstance(spans, list)
                own = np.concatenate([sound[int(a * RATE) : int(b * RATE)] for a, b in spans])
                parts.append(np.interp(np.arange(0, len(own), speed), np.arange(len(own)), own))
                listed.append([piece, [[at, at + len(parts[-1]) / RATE]]])
                truth.append((speaker, speed))
                at += len(parts[-1]) / RATE
    write_wav(tmp_path / "nine.wav", parts)
    assert same_groups(found(tmp_path / "nine.wav", listed), truth)


def test_somebody_alone_stays_one_person(meeting: Path) -> None:
    voices, speakers = spoken()
    for name in set(speakers):
        own = [one for one, speaker in zip(voices, speakers, strict=True) if speaker == name]
        assert found(meeting, own) == [0, 0, 0]


def test_what_cannot_be_heard_is_nobody_else(meeting: Path) -> None:
    voices, speakers = spoken()
    blank: Voices = [[0, []], [1, [[500.0, 510.0]]], [2, [[60.0, 60.01]]]]
    numbers = found(meeting, voices + blank)
    assert same_groups(numbers[: len(voices)], speakers)
    assert numbers[len(voices) :] == [3, 4, 5]
    assert found(meeting, []) == []
    assert found(meeting, blank) == [0, 1, 2]


def two_voices(path: Path) -> tuple[Path, Voices, list[str]]:
    who = ["dark", "bright", "bright", "dark"]
    write_wav(path, [part for index, one in enumerate(who) for part in (voice(one, 6, index), silence(1))])  # type: ignore[arg-type]
    return path, [[index // 2, [[7.0 * index, 7.0 * index + 6]]] for index in range(4)], who


async def test_with_weights_and_without_in_a_child(tiny_models: Path, tmp_path: Path) -> None:
    path, voices, who = two_voices(tmp_path / "two.wav")
    reports: list[float] = []
    async with Child() as child:
        for embedding in (str(tiny_models / "toy-speakers" / "embedding.onnx"), None):
            arguments = {"path": str(path), "voices": voices, "embedding": embedding, "threads": 1}
            numbers = await child.call(
                "core.engines.linked:people",
                arguments | {"least": None, "most": None},
                report=reports.append,
            )
            assert same_groups(numbers, who)
            assert reports[-1] == 1.0
        with pytest.raises(ChildFailed, match="RIFF"):
            await child.call(
                "core.engines.linked:people",
                arguments | {"path": str(Path(__file__)), "least": None, "most": None},
            )


def test_broken_weights_are_named(tmp_path: Path) -> None:
    path, voices, _ = two_voices(tmp_path / "two.wav")
    with pytest.raises(Misconfigured, match="can't be loaded"):
        found(path, voices, embedding=tmp_path / "missing.onnx")
