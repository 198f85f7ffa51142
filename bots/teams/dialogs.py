"""The dialogs: asking for a transcript, a conversation's settings, another try, and adding the app. Pure.

Each form has a function that makes it, also after mistakes, and one that reads what was sent, which returns
complaints by field where something can't be understood. `data` is what comes back with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bots.teams import cards, forms, ids
from bots.teams.cards import Element, rich, run
from bots.teams.forms import Dialog, Fields, Mistakes, Sent
from bots.teams.renaming import read_names, rename_dialog
from core import questions
from core.fitting import fit, line
from core.policies import MOST_DAYS, ChannelPolicy, write_languages, write_speakers, write_vocabulary
from core.questions import Question
from core.render.safe import isolate
from core.wording import offered_formats

__all__ = [
    "Dialog",
    "Mistakes",
    "Wish",
    "install_dialog",
    "is_installed",
    "nothing_dialog",
    "read_dialog",
    "read_names",
    "read_retry",
    "read_settings",
    "read_transcribe",
    "rename_dialog",
    "retry_dialog",
    "settings_dialog",
    "transcribe_dialog",
]

_ALL: Final = "all"
_OFFERED: Final = 20  # recordings to choose from
_WHICH: Final = Question(field="which", label="Which recording?")
_ASKING: Final = "From the message's menu, or by mention"
_DIALOGS: Final = frozenset({ids.TRANSCRIBE_DIALOG, ids.SETTINGS_DIALOG, ids.RENAME_DIALOG, ids.RETRY_DIALOG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants transcribed, by the ids of recordings (none: whatever is there), and how."""

    recordings: tuple[str, ...]
    policy: ChannelPolicy


def read_dialog(data: Any) -> str:
    """Which of the dialogs sent `data`; empty if none did."""
    found = data.get("dialog") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) and found in _DIALOGS else ""


# --- asking for a transcript ---


def transcribe_dialog(
    policy: ChannelPolicy,
    recordings: Sequence[tuple[str, str]],
    *,
    data: Mapping[str, Any],
    mistakes: Mistakes | None = None,
) -> Dialog:
    """The form for a message with `recordings`, ids and names, filled in with what holds in its conversation:
    one press on the button is enough."""
    fields = Fields(mistakes)
    offered = recordings[:_OFFERED]
    body: list[Element] = []
    if len(offered) == 1:
        name = cards.title(offered[0][1])
        body.append(
            rich(run("The transcript of "), run(name, bold=True), run(" comes into the conversation."))
        )
    else:
        body.append(rich(run("The transcript comes into the conversation.")))
    if len(offered) > 1:
        every = "Both recordings" if len(offered) == 2 else f"All {len(offered)} recordings"
        each = [(str(place), cards.title(name, 80)) for place, (_, name) in enumerate(offered)]
        body.append(fields.choice(_WHICH, [(_ALL, every), *each], _ALL))
    body += [
        _languages(fields, policy),
        _speakers(fields, policy),
        fields.choices(questions.FILES, tuple(offered_formats().items()), policy.formats, required=True),
    ]
    return forms.form(
        "Transcribe recording",
        *body,
        submit="Transcribe",
        data={
            **data,
            "dialog": ids.TRANSCRIBE_DIALOG,
            "recordings": [recording for recording, _ in offered],
        },
        height="large",
    )


def read_transcribe(data: Mapping[str, Any], policy: ChannelPolicy) -> Wish | dict[str, str]:
    """`policy` with what was chosen in `transcribe_dialog`, and for which recordings; or complaints."""
    found = questions.read_request(Sent(data=data), policy)
    if isinstance(found, dict):
        return found
    given = data.get("recordings")
    known = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
    which = Sent(data=data).chosen(_WHICH.field) or _ALL
    if which != _ALL:
        known = [each for place, each in enumerate(known) if str(place) == which]
        if not known:
            return {_WHICH.field: "Please choose one."}
    return Wish(recordings=tuple(known), policy=found)


def nothing_dialog(text: str) -> Dialog:
    """Why nothing can be transcribed there."""
    return Dialog(title="Transcribe recording", card=cards.card(rich(run(text))), height="small")


def install_dialog(me: str) -> Dialog:
    """The app, called `me`, is not in the conversation, so it could not answer there. Teams adds it when the
    button is pressed and asks anew; see `is_installed`."""
    name = isolate(line(me, 80)) or "The app"
    return Dialog(
        title=fit(f"Add {name}", 60),
        card=cards.card(
            rich(run(f"{name} is not in this conversation yet, so it can't bring a transcript here.")),
            rich(
                run("Add it, and go on right away. If Teams does not let you, ask an owner."), spacing="small"
            ),
            actions=(forms.send("Add it here", {"msteams": {"justInTimeInstall": True}}),),
        ),
        height="small",
    )


def is_installed(data: Any) -> bool:
    """Whether a submit says that the button of `install_dialog` was pressed and the app is there now."""
    extra = data.get("msteams") if isinstance(data, Mapping) else None
    return isinstance(extra, Mapping) and extra.get("justInTimeInstall") is True


# --- settings ---


def settings_dialog(
    policy: ChannelPolicy,
    name: str,
    *,
    methods: Sequence[str],
    data: Mapping[str, Any],
    defaults: ChannelPolicy,
    keeps_days: float | None = None,
    mistakes: Mistakes | None = None,
) -> Dialog:
    """The form for the policy of the conversation `name`. `methods` are those that can run here, `defaults`
    what holds where nobody has chosen, `keeps_days` how long the service keeps transcripts (None: for
    good)."""
    fields = Fields(mistakes)
    where = isolate(line(name, 80)) or "this conversation"
    modes = [(mode.value, f"{text} ({more})") for mode, (text, more) in questions.modes(_ASKING).items()]
    vocabulary = write_vocabulary(policy.vocabulary)
    return forms.form(
        "Transcripts",
        rich(
            run("These settings are for "),
            run(where, bold=True),
            run(". Nobody has changed them yet." if policy == defaults else "."),
        ),
        fields.choice(questions.MODE, modes, policy.mode.value, open_=True),
        _languages(fields, policy),
        fields.text(questions.VOCABULARY, vocabulary, lines=True, most=3_000),
        _speakers(fields, policy),
        fields.choices(questions.FILES, tuple(offered_formats().items()), policy.formats, required=True),
        _method(fields, policy.method, methods),
        fields.number(
            replace(questions.DAYS, hint=questions.days_hint(keeps_days)),
            policy.retention_days,
            low=1,
            high=MOST_DAYS,
        ),
        fields.choices(
            questions.EXTRAS, tuple(questions.EXTRA_NAMES.items()), questions.extras_chosen(policy)
        ),
        submit="Save",
        data={**data, "dialog": ids.SETTINGS_DIALOG},
        height="large",
    )


def read_settings(data: Mapping[str, Any]) -> ChannelPolicy | dict[str, str]:
    """The policy that was chosen in `settings_dialog`, or complaints."""
    return questions.read_policy(Sent(data=data))


# --- another try ---


def retry_dialog(
    policy: ChannelPolicy,
    name: str,
    *,
    methods: Sequence[str],
    data: Mapping[str, Any],
    mistakes: Mistakes | None = None,
) -> Dialog:
    """The form for another try of the recording `name`, filled in with what was used before."""
    fields = Fields(mistakes)
    return forms.form(
        "Try again",
        rich(
            run(cards.title(name), bold=True),
            run(" is transcribed anew. The new transcript takes the place of the old one."),
        ),
        _languages(fields, policy),
        _speakers(fields, policy),
        _method(fields, policy.method, methods),
        submit="Transcribe again",
        data={**data, "dialog": ids.RETRY_DIALOG},
    )


def read_retry(data: Mapping[str, Any], policy: ChannelPolicy) -> ChannelPolicy | dict[str, str]:
    """`policy` with what was chosen in `retry_dialog`, or complaints."""
    return questions.read_another_try(Sent(data=data), policy)


# --- fields ---


def _languages(fields: Fields, policy: ChannelPolicy) -> Element:
    return fields.text(questions.LANGUAGES, write_languages(policy.languages))


def _speakers(fields: Fields, policy: ChannelPolicy) -> Element:
    return fields.text(questions.SPEAKERS, write_speakers(policy.min_speakers, policy.max_speakers), most=40)


def _method(fields: Fields, chosen: str | None, methods: Sequence[str]) -> Element:
    options = tuple(questions.methods_offered(chosen, methods).items())
    return fields.choice(questions.METHOD, options, chosen or questions.AUTOMATIC)
