"""What people say of a transcript's speakers: their names, and which of them are one person. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from core.model import Transcript, Utterance
from core.render.safe import clean, visible
from core.segmentation import (
    LONG_PAUSE,
    SENTENCE_PAUSE,
    ends_sentence,
    is_punctuated,
    sentence_ends,
    spoken_ends,
)


def relabel(transcript: Transcript, names: Mapping[str, str], merged: Mapping[str, str]) -> Transcript:
    """The transcript with `names` by label, and with the speakers of `merged` as one with those they are
    merged into, over several steps if need be. An empty name takes a name away.

    Utterances that a merge makes neighbours are joined where attribution would not have cut them. A speaker
    without a name of their own takes over that of the first who is merged into them, and so with suggestions.
    What is said of labels that nobody has is ignored: the speakers may be others since.

    Raises ValueError if merges go round in circles.
    """
    spoken = (said.speaker for said in transcript.utterances if said.speaker is not None)
    labels = list(dict.fromkeys([*spoken, *transcript.names, *transcript.suggestions]))
    if circles(merged):
        raise ValueError("Speakers are merged in a circle.")
    roots = {label: root for label in labels if (root := _root(label, merged, set(labels))) != label}
    known = {**transcript.names, **{label: clean(name) for label, name in names.items()}}
    called: dict[str, str] = {}
    suggested: dict[str, str] = {}
    for root in (label for label in labels if label not in roots):
        family = [root, *(label for label in labels if roots.get(label) == root)]
        candidates = [root] if root in names else family
        if name := _first(known, candidates):
            called[root] = name
        elif hint := _first(transcript.suggestions, family):
            suggested[root] = hint
    return replace(
        transcript, utterances=_joined(transcript.utterances, roots), names=called, suggestions=suggested
    )


def circles(merged: Mapping[str, str]) -> frozenset[str]:
    """The labels that are merged into themselves, at once or over others."""
    found: set[str] = set()
    settled: set[str] = set()
    for start in merged:
        path: dict[str, None] = {}
        label = start
        while label in merged and label not in path and label not in settled:
            path[label] = None
            label = merged[label]
        if label in path:
            steps = list(path)
            found.update(steps[steps.index(label) :])
        settled.update(path)
    return frozenset(found)


def amended(earlier: Mapping[str, str], later: Mapping[str, str]) -> dict[str, str]:
    """Merges with what was said later: an empty one takes a merge back, and where both together would go
    round in circles the earlier ones give way. Raises ValueError if the later ones do so by themselves."""
    if circles(later):
        raise ValueError("Speakers are merged in a circle.")
    found = {label: into for label, into in {**earlier, **later}.items() if into}
    while stuck := circles(found) - later.keys():
        for label in stuck:
            del found[label]
    return found


def _root(label: str, merged: Mapping[str, str], known: Collection[str]) -> str:
    """The last one that is known on the way from `label`."""
    found = label
    while label in merged:
        label = merged[label]
        if label in known:
            found = label
    return found


def _first(texts: Mapping[str, str], labels: Iterable[str]) -> str:
    return next((text for label in labels if visible(clean(text := texts.get(label, "")))), "")


def _joined(utterances: Sequence[Utterance], roots: Mapping[str, str]) -> tuple[Utterance, ...]:
    """All utterances under their new labels."""
    punctuated = is_punctuated(sentence_ends([word for said in utterances for word in said.words]))
    found: list[Utterance] = []
    label: str | None = None
    for said in utterances:
        new = _relabelled(said, roots)
        if found and said.speaker != label and _are_one(found[-1], new, punctuated=punctuated):
            before = found.pop()
            new = replace(
                before,
                end=max(before.end, new.end),
                words=before.words + new.words,
                overlap=before.overlap or new.overlap,
            )
        found.append(new)
        label = said.speaker
    return tuple(found)


def _are_one(before: Utterance, after: Utterance, *, punctuated: bool) -> bool:
    """Whether two utterances of one speaker would be one if it had been known that they are."""
    if before.gap or after.gap or before.speaker is None or before.speaker != after.speaker:
        return False
    if not before.words or not after.words:
        return False
    last, first = before.words[-1], after.words[0]
    enough = SENTENCE_PAUSE if ends_sentence(last.text) or not punctuated else LONG_PAUSE
    return last.start <= first.start < spoken_ends([last])[0] + enough


def _relabelled(said: Utterance, roots: Mapping[str, str]) -> Utterance:
    words = tuple(
        replace(word, speaker=roots[word.speaker])
        if word.speaker is not None and word.speaker in roots
        else word
        for word in said.words
    )
    speaker = said.speaker if said.speaker is None else roots.get(said.speaker, said.speaker)
    return replace(said, speaker=speaker, words=words)
