"""The forms: a channel's settings, another try, and who is who (in `bots.slack.renaming`). Pure.

Each form has a function that makes it and one that reads what was sent. The latter returns complaints by
field, for Slack's `response_action: errors`, where something can't be understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bots.slack import forms, ids, parts
from bots.slack.parts import Block, Element, View, paragraph, rich, words
from bots.slack.renaming import read_names, rename_view
from core import questions
from core.policies import MOST_DAYS, ChannelPolicy, write_languages, write_speakers, write_vocabulary
from core.questions import LANGUAGES, SPEAKERS, VOCABULARY, Question
from core.render.safe import isolate

__all__ = [
    "read_names",
    "read_retry",
    "read_settings",
    "rename_view",
    "retry_view",
    "settings_view",
]

_ASKING: Final = "From the message's menu, by mention or with /transcribe"


class _Sent:
    """What Slack sends for a form, read by field."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._state = state

    def written(self, field: str) -> str:
        return forms.written(self._state, field)

    def chosen(self, field: str) -> str | None:
        return forms.chosen(self._state, field)

    def all_chosen(self, field: str) -> tuple[str, ...]:
        return forms.all_chosen(self._state, field)


def settings_view(
    policy: ChannelPolicy,
    channel_name: str,
    *,
    methods: Sequence[str],
    metadata: str,
    defaults: ChannelPolicy,
    keeps_days: float | None = None,
) -> View:
    """The form for a channel's policy. `methods` are those that can run here, `defaults` what holds where
    nobody has chosen, `keeps_days` how long the service keeps transcripts (None: for good)."""
    modes = [parts.option(text, mode, more) for mode, (text, more) in questions.modes(_ASKING).items()]
    extras = [parts.option(text, value) for value, text in questions.EXTRA_NAMES.items()]
    chosen = [each for each in extras if each["value"] in questions.extras_chosen(policy)]
    where = isolate(parts.line(channel_name, 80)) or "this conversation"
    return forms.form(
        ids.SETTINGS_VIEW,
        "Transcripts",
        metadata,
        submit="Save",
        blocks=[
            rich(
                paragraph(
                    words("These settings are for "),
                    words(where, bold=True),
                    words(". Nobody has changed them yet." if policy == defaults else "."),
                )
            ),
            _field(
                questions.MODE,
                {
                    "type": "radio_buttons",
                    "options": modes,
                    "initial_option": next(each for each in modes if each["value"] == policy.mode),
                },
                optional=False,
            ),
            _languages(policy.languages),
            _field(
                VOCABULARY,
                _text(write_vocabulary(policy.vocabulary), VOCABULARY.placeholder, lines=True, most=3000),
            ),
            _speakers(policy),
            _field(questions.FILES, _formats(policy.formats), optional=False),
            _method(policy.method, methods),
            _field(
                questions.DAYS,
                {
                    "type": "number_input",
                    "is_decimal_allowed": False,
                    "min_value": "1",
                    "max_value": str(MOST_DAYS),
                }
                | ({} if policy.retention_days is None else {"initial_value": str(policy.retention_days)}),
                hint=questions.days_hint(keeps_days),
            ),
            _field(
                questions.EXTRAS,
                {"type": "checkboxes", "options": extras} | ({"initial_options": chosen} if chosen else {}),
            ),
        ],
    )


def read_settings(state: Mapping[str, Any]) -> ChannelPolicy | dict[str, str]:
    """The policy that was chosen in `settings_view`, or complaints. `state` is the view's."""
    return questions.read_policy(_Sent(state))


def retry_view(policy: ChannelPolicy, name: str, *, methods: Sequence[str], metadata: str) -> View:
    """The form for another try of the recording `name`, filled in with what was used before."""
    return forms.form(
        ids.RETRY_VIEW,
        "Try again",
        metadata,
        submit="Transcribe again",
        blocks=[
            rich(
                paragraph(
                    words(parts.title(name), bold=True),
                    words(" is transcribed anew. The new transcript takes the place of the old one."),
                )
            ),
            _languages(policy.languages),
            _speakers(policy),
            _method(policy.method, methods),
        ],
    )


def read_retry(state: Mapping[str, Any], policy: ChannelPolicy) -> ChannelPolicy | dict[str, str]:
    """`policy` with what was chosen in `retry_view`, or complaints."""
    return questions.read_another_try(_Sent(state), policy)


# --- fields ---


def _text(value: str, placeholder: str, *, lines: bool = False, most: int = 300) -> Element:
    found: Element = {
        "type": "plain_text_input",
        "multiline": lines,
        "max_length": most,
        "placeholder": parts.plain(placeholder, 150),
    }
    return found | ({"initial_value": parts.fit(value, most)} if value else {})


def _languages(codes: Sequence[str]) -> Block:
    return _field(LANGUAGES, _text(write_languages(codes), LANGUAGES.placeholder))


def _speakers(policy: ChannelPolicy) -> Block:
    bounds = write_speakers(policy.min_speakers, policy.max_speakers)
    return _field(SPEAKERS, _text(bounds, SPEAKERS.placeholder, most=40))


def _formats(chosen: Sequence[str]) -> Element:
    options = parts.format_options()
    initial = [each for each in options if each["value"] in chosen]
    found: Element = {
        "type": "multi_static_select",
        "placeholder": parts.plain("Choose", 150),
        "options": options,
    }
    return found | ({"initial_options": initial} if initial else {})


def _method(chosen: str | None, methods: Sequence[str]) -> Block:
    offered = questions.methods_offered(chosen, methods)
    options = [parts.option(text, value) for value, text in offered.items()]
    menu = parts.menu("value", "Choose", options, initial=chosen or questions.AUTOMATIC)
    return _field(questions.METHOD, menu, optional=False)


def _field(question: Question, element: Element, *, hint: str = "", optional: bool = True) -> Block:
    return forms.entry(question.field, question.label, element, hint=hint or question.hint, optional=optional)
