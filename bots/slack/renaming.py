"""The form that asks who is who: names for speakers, and speakers who are one person. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, unquote

from bots.slack import forms, ids, parts
from bots.slack.parts import Block, Element, View, paragraph, rich, words
from core.fitting import NAME
from core.model import Transcript
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
from core.render.safe import clean, isolate, shown, shown_names, visible

_OFFERED: Final = 25
_BLOCKS: Final = 100
_VIEW: Final = 200_000  # bytes; Slack takes 250,000
_LABEL: Final = 140  # a label comes back in values and ids of fields
_MEMBER: Final = re.compile(r"[A-Z0-9]{2,40}")
_EVERYBODY: Final = "More people are here than menus can list, so they offer everybody in the workspace."
_WHO, _USER, _OWN, _APART = "who:", "user:", "name:", "apart"


def rename_view(
    transcript: Transcript,
    members: Sequence[tuple[str, str]] | None,
    *,
    metadata: str,
    names: Mapping[str, str] = MappingProxyType({}),
    merged: Mapping[str, str] = MappingProxyType({}),
) -> View:
    """The form for a transcript as it was recognised, and for what was said of its speakers before: `names`
    and `merged`, as `core.relabelling.relabel` takes them. `members` are the people in the conversation, ids
    and names; if they are too many for a menu (also None), everybody in the workspace can be chosen.

    Raises ValueError as `relabel` does.
    """
    now = relabel(transcript, names, merged)
    found = _speakers(now)
    if not found:
        return forms.form(ids.RENAME_VIEW, TITLE, metadata, [rich(paragraph(words(NOBODY)))], submit=None)
    apart = _apart(transcript, now, merged)
    if members is not None and len(members) <= parts.OPTIONS:
        view = forms.form(
            ids.RENAME_VIEW, TITLE, metadata, [*_blocks(now, found, members), *apart], submit="Save"
        )
        if _most_options(view) <= parts.OPTIONS and len(json.dumps(view)) <= _VIEW:
            return view
    blocks = [*_blocks(now, found, None), *apart]
    return forms.form(ids.RENAME_VIEW, TITLE, metadata, blocks, submit="Save")


def read_names(state: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]] | dict[str, str]:
    """What the form changes, or complaints by field.

    First the names of labels: what was typed, or else the id of a member; empty where a name is taken away.
    Then into which label others are merged; empty where an earlier merge is taken back (see
    `core.relabelling.amended`). A name that was typed counts more than a choice.
    """
    labels = [_label(block.removeprefix(_OWN)) for block in forms.fields(state) if block.startswith(_OWN)]
    found = read_answers({label: _answer(state, label, labels) for label in labels})
    if isinstance(found, dict):
        return {
            (_OWN if problem.where == "own" else _WHO) + _key(label): problem.text
            for label, problem in found.items()
        }
    names, merged = found
    return names, dict.fromkeys(map(_label, forms.all_chosen(state, _APART)), "") | merged


def _answer(state: Mapping[str, Any], label: str, labels: Sequence[str]) -> Answer:
    own = forms.written(state, _OWN + _key(label))
    kind, _, value = (forms.chosen(state, _WHO + _key(label)) or "").partition(":")
    user = forms.chosen(state, _USER + _key(label)) or (value if kind == "member" else "")
    if kind == "same" and _label(value) in labels:
        return Answer(own=own, kind="same", value=_label(value))
    if _MEMBER.fullmatch(user):
        return Answer(own=own, kind="person", value=user)
    if kind == "name":
        return Answer(own=own, kind="person", value=value)
    return Answer(own=own, kind="nobody" if kind == "nobody" else "")


def _key(label: str) -> str:
    """A label as a part of values and of ids of fields, of which Slack takes few characters."""
    return quote(label, safe="", errors="surrogatepass")


def _label(key: str) -> str:
    return unquote(key, errors="surrogatepass")


def _speakers(transcript: Transcript) -> list[Share]:
    """The speakers whose labels a field can carry, those who talk most first."""
    return [each for each in speakers(transcript) if 0 < len(_key(str(each.speaker))) <= _LABEL]


def _blocks(
    transcript: Transcript, found: Sequence[Share], members: Sequence[tuple[str, str]] | None
) -> list[Block]:
    """Three fields for each speaker; where `members` can't be offered, four."""
    names = shown_names(transcript.names, transcript.suggestions)
    offered = found[: min(_OFFERED, (_BLOCKS - 4) // (3 if members is not None else 4))]
    labels = [str(speaker.speaker) for speaker in offered]
    said = quotes(transcript, labels)
    blocks = [rich(paragraph(words(INTRO)))]
    if members is None:
        blocks.append(parts.context(_EVERYBODY))
    for speaker, label in zip(offered, labels, strict=True):
        name = parts.speaker(shown(label, names))
        facts = f"  {speaker.shown_percent} · {times.duration(speaker.seconds)}"
        heard = [f"{times.clock(start)}  {parts.fit(text, QUOTE)}" for start, text in said[label]]
        blocks.append(
            rich(
                paragraph(words(name, bold=True), words(facts)),
                *([parts.quote(words("\n".join(heard)))] if heard else []),
            )
        )
        others = [
            parts.option(isolate(parts.fit(shown(other, names), 73)), f"same:{_key(other)}")
            for other in labels
            if other != label
        ]
        nobody = (
            [parts.option(f"No name: {parts.fit(shown(label, {}), 60)}", "nobody")]
            if label in transcript.names
            else []
        )
        groups = [("Sounds like", _suggested(transcript, label)), ("Same person as", others), ("Or", nobody)]
        question = f"Who is {parts.speaker(shown(label, transcript.names))}?"
        if members is not None:
            here = [
                parts.option(isolate(parts.line(called, 73) or user), f"member:{user}")
                for user, called in dict(members).items()
            ]
            groups.insert(1, ("People here", here))
        else:
            everybody: Element = {"type": "users_select", "placeholder": parts.plain("Choose a person")}
            blocks.append(forms.entry(_USER + _key(label), question, everybody))
            question = "Or the same as somebody else here?"
        if any(options for _, options in groups):
            menu = parts.menu("value", "Choose", groups=groups)
            blocks.append(forms.entry(_WHO + _key(label), question, menu))
        own: Element = {
            "type": "plain_text_input",
            "max_length": NAME,
            "placeholder": parts.plain("Type a name"),
        }
        blocks.append(forms.entry(_OWN + _key(label), "Or another name", own))
    if rest := len(found) - len(offered):
        blocks.append(parts.context(f"{rest} more speakers, who say little, can't be named here."))
    return blocks


def _most_options(view: View) -> int:
    """Options of the longest menu: Slack takes few, whatever groups they are in."""
    menus = (block.get("element", {}).get("option_groups", ()) for block in view["blocks"])
    return max(sum(len(group["options"]) for group in groups) for groups in menus)


def _suggested(transcript: Transcript, label: str) -> list[Element]:
    name = clean(transcript.suggestions.get(label, ""))
    if label in transcript.names or not visible(name) or parts.length(f"name:{name}") > parts.OPTION_VALUE:
        return []
    return [parts.option(isolate(parts.fit(name, 73)), f"name:{name}")]


def _apart(transcript: Transcript, now: Transcript, merged: Mapping[str, str]) -> list[Block]:
    """The field in which merges can be taken back."""
    names = shown_names(now.names, now.suggestions)
    options = [
        parts.option(
            f"{parts.fit(shown(label, {}), 30)}, now {isolate(parts.fit(shown(merged[label], names), 34))}",
            _key(label),
        )
        for label in merged_away(transcript, merged)
        if 0 < len(_key(label)) <= parts.OPTION_VALUE
    ][: parts.OPTIONS]
    if not options:
        return []
    menu: Element = {"type": "multi_static_select", "placeholder": parts.plain("Choose"), "options": options}
    return [forms.entry(_APART, APART, menu, hint=APART_HINT)]
