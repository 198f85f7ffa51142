"""The form that asks who is who: names for speakers, and speakers who are one person. Pure.

Labels and people go back and forth once, as lists; fields and choices name them by their place in these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bots.teams import cards, forms, ids, presses
from bots.teams.cards import Element, box, rich, run, small
from bots.teams.forms import Dialog, Fields, Mistakes, Sent
from core.fitting import NAME, fit, line
from core.model import Transcript
from core.questions import Question
from core.quotes import (
    APART,
    APART_HINT,
    INTRO,
    NOBODY,
    QUOTE,
    TITLE,
    Answer,
    merged_away,
    quotes,
    read_answers,
    speakers,
)
from core.relabelling import relabel
from core.render import times
from core.render.layout import Share
from core.render.safe import isolate, shown, shown_names

_LABEL: Final = 140  # characters of a label that can be named
_APARTS: Final = 20
_TRIES: Final = (
    (16, True),
    (12, True),
    (8, True),
    (6, True),
    (12, False),
    (6, False),
    (2, False),
    (1, False),
)
"""How many speakers are offered, and whether with the people: the first that is not too heavy."""

_TYPED: Final = 4  # the first of these without the people
_MOST_PEOPLE: Final = 600  # more would be too heavy for even one speaker

_WHO, _OWN, _APART = "who:", "own:", "apart"
_LABELS, _PEOPLE, _MERGED = "labels", "people", "merged"
_KEEP, _NOBODY, _EVERY = "keep", "nobody", "every"
_PERSON, _SAME = "person:", "same:"
_CHOICE_TITLE: Final = 73


def rename_dialog(
    transcript: Transcript,
    people: Sequence[str],
    *,
    share: str,
    version: int = 0,
    names: Mapping[str, str] = MappingProxyType({}),
    merged: Mapping[str, str] = MappingProxyType({}),
    mistakes: Mistakes | None = None,
) -> Dialog:
    """The form for a transcript as it was recognised, and for what was said of its speakers before: `names`
    and `merged`, as `core.relabelling.relabel` takes them. `people` are the names of those in the
    conversation; where they are too many to choose from, names are typed. Where the speakers are too many for
    one form, those without a name come first. `version` is whose speakers they are, and comes back.

    Raises ValueError as `relabel` does.
    """
    now = relabel(transcript, names, merged)
    found = [each for each in speakers(now) if 0 < len(str(each.speaker)) <= _LABEL]
    if not found:
        return Dialog(title=TITLE, card=cards.card(rich(run(NOBODY))), height="small")
    here = list(dict.fromkeys(filter(None, (line(name, NAME) for name in people))))
    away = [(label, merged[label]) for label in merged_away(transcript, merged) if len(label) <= _LABEL]
    for count, listed in _TRIES if len(here) <= _MOST_PEOPLE else _TRIES[_TYPED:]:
        sheet = _Sheet(
            now=now,
            speakers=len(found),
            offered=_offered(now, found, count),
            people=here if listed else [],
            away=away[:_APARTS],
        )
        dialog = sheet.dialog(share, version, mistakes)
        if cards.weight(dialog.card) <= cards.HEAVIEST:
            break
    return dialog


def read_names(data: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]] | dict[str, str]:
    """What the form changes, or complaints by field.

    First the names of labels, empty where a name is taken away. Then into which label others are merged;
    empty where an earlier merge is taken back (see `core.relabelling.amended`). A name that was typed counts
    more than a choice.
    """
    sent = Sent(data=data)
    labels, people, away = (_listed(data, name) for name in (_LABELS, _PEOPLE, _MERGED))
    found = read_answers({label: _answer(sent, place, labels, people) for place, label in enumerate(labels)})
    if isinstance(found, dict):
        return {
            f"{_OWN if problem.where == 'own' else _WHO}{labels.index(label)}": problem.text
            for label, problem in found.items()
        }
    names, merged = found
    chosen = sent.chosen(_APART)
    apart = away if chosen == _EVERY else [each for place, each in enumerate(away) if str(place) == chosen]
    return names, dict.fromkeys(apart, "") | merged


def _listed(data: Mapping[str, Any], name: str) -> list[str]:
    value = data.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _answer(sent: Sent, place: int, labels: Sequence[str], people: Sequence[str]) -> Answer:
    own, choice = sent.written(f"{_OWN}{place}"), sent.chosen(f"{_WHO}{place}") or ""
    if person := line(_numbered(choice, _PERSON, people), NAME):
        return Answer(own=own, kind="person", value=person)
    if other := _numbered(choice, _SAME, labels):
        return Answer(own=own, kind="same", value=other)
    return Answer(own=own, kind="nobody" if choice == _NOBODY else "")


def _numbered(choice: str, prefix: str, values: Sequence[str]) -> str:
    """What a choice of the form `prefix` and number stands for; empty if it is no such choice."""
    return next((value for place, value in enumerate(values) if choice == f"{prefix}{place}"), "")


def _offered(transcript: Transcript, found: Sequence[Share], count: int) -> list[Share]:
    """The speakers of one form."""
    if len(found) <= count:
        return list(found)
    return sorted(found, key=lambda each: each.speaker in transcript.names)[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """What one form is about: `now` is the transcript as people see it, of whose `speakers` some are
    `offered`; `people` are names to choose from, `away` the labels that were merged, and into which."""

    now: Transcript
    speakers: int
    offered: Sequence[Share]
    people: Sequence[str]
    away: Sequence[tuple[str, str]]

    @property
    def labels(self) -> list[str]:
        return [str(each.speaker) for each in self.offered]

    @property
    def everybody(self) -> list[str]:
        """Names by which choices are made: the people's, and those that voices may belong to."""
        hints = filter(None, (_suggested(self.now, label) for label in self.labels))
        return list(dict.fromkeys([*self.people, *hints]))

    def dialog(self, share: str, version: int, mistakes: Mistakes | None) -> Dialog:
        lists = {
            _LABELS: self.labels,
            _PEOPLE: self.everybody,
            _MERGED: [label for label, _ in self.away],
        }
        if mistakes is not None and any(mistakes.sent.get(name) != value for name, value in lists.items()):
            mistakes = None  # speakers or people are others since: what was filled in would stand elsewhere
        fields = Fields(mistakes)
        said = quotes(self.now, self.labels)
        body = [rich(run(INTRO))]
        body += [self._speaker(fields, place, said[label]) for place, label in enumerate(self.labels)]
        if rest := self.speakers - len(self.offered):
            more = f"{rest} more can be named afterwards: those without a name are offered first."
            body.append(small(more, spacing="medium"))
        if self.away:
            body.append(self._apart(fields))
        data = {
            presses.SHARE: share,
            presses.VERSION: version,
            "dialog": ids.RENAME_DIALOG,
            **lists,
        }
        return forms.form(TITLE, *body, submit="Save", data=data, height="large")

    def _speaker(self, fields: Fields, place: int, said: Sequence[tuple[float, str]]) -> Element:
        each = self.offered[place]
        name = cards.speaker(shown(each.speaker, shown_names(self.now.names, self.now.suggestions)))
        facts = f"  {each.shown_percent} · {times.duration(each.seconds)}"
        heard = [
            rich(run(f"{times.clock(start)}  ", subtle=True), run(fit(text, QUOTE)), spacing="small")
            for start, text in said
        ]
        who = Question(field=f"{_WHO}{place}", label="Who is this?", placeholder="Choose")
        own = Question(field=f"{_OWN}{place}", label="Or another name", placeholder="Type a name")
        options = self._options(place)
        return box(
            rich(run(name, bold=True, size="medium"), run(facts, subtle=True)),
            *([box(*heard, style="emphasis", spacing="small")] if heard else []),
            *([fields.choice(who, options, None, required=False)] if len(options) > 1 else []),
            fields.text(own, "", most=NAME),
            separator=True,
            spacing="large",
        )

    def _options(self, place: int) -> list[tuple[str, str]]:
        """What can be chosen for one speaker, each a value and what people read."""
        label, names = self.labels[place], shown_names(self.now.names, self.now.suggestions)
        hint = _suggested(self.now, label)
        found = [(_KEEP, "No change")]
        if hint:
            found.append((f"{_PERSON}{self.everybody.index(hint)}", f"Perhaps {isolate(hint)}"))
        found += [(f"{_PERSON}{n}", isolate(name)) for n, name in enumerate(self.people) if name != hint]
        found += [
            (f"{_SAME}{n}", f"Same person as {isolate(fit(shown(other, names), _CHOICE_TITLE))}")
            for n, other in enumerate(self.labels)
            if n != place
        ]
        if label in self.now.names:
            found.append((_NOBODY, f"No name: {fit(shown(label, {}), _CHOICE_TITLE)}"))
        return found

    def _apart(self, fields: Fields) -> Element:
        """The field in which merges can be taken back."""
        names = shown_names(self.now.names, self.now.suggestions)
        options = [
            (str(place), f"{fit(shown(label, {}), 30)}, now {isolate(fit(shown(into, names), 40))}")
            for place, (label, into) in enumerate(self.away)
        ]
        if len(options) > 1:
            options.append((_EVERY, "All of them"))
        question = Question(field=_APART, label=APART, hint=APART_HINT, placeholder="Choose")
        found = fields.choice(question, [(_KEEP, "No change"), *options], None, required=False)
        return box(found, separator=True, spacing="large")


def _suggested(transcript: Transcript, label: str) -> str:
    return "" if label in transcript.names else line(transcript.suggestions.get(label, ""), NAME)
