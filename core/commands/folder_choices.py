"""What people choose for a watched folder, as they write it in a command, and as they read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import typer

from core.connecting import Option
from core.places import WatchedFolder, check_output
from core.policies import (
    ChannelPolicy,
    read_days,
    read_languages,
    read_speakers,
    read_vocabulary,
    write_languages,
    write_speakers,
)
from core.registry import FORMATS, METHODS
from core.render.safe import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What somebody wrote; None, or nothing, where they did not. An empty text takes a choice back."""

    languages: Sequence[str] | None = None
    vocabulary: Sequence[str] | None = None
    speakers: str | None = None
    formats: Sequence[str] | None = None
    method: str | None = None
    keep_days: str | None = None
    delete_with_recording: bool | None = None
    output: str | None = None
    recursive: bool | None = None
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is to be changed: fields of `core.policies.ChannelPolicy`, of `core.places.WatchedFolder`, and
    options of the connector."""

    policy: Mapping[str, Any] = field(default_factory=dict)
    folder: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def applied_to(self, folder: WatchedFolder) -> WatchedFolder:
        """The folder with them; the rest stays."""
        return replace(
            folder,
            policy=replace(folder.policy, **self.policy),
            options={**folder.options, **self.options},
            **self.folder,
        )


def read(written: Written, offered: Mapping[str, Option], title: str) -> Choices:
    """Understand it. `offered` are the options of the connector, which people call `title`. Raises
    BadParameter with what to do."""
    try:
        policy = dict(_policy(written))
        output = None if written.output is None else check_output(written.output.strip() or "beside")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if written.delete_with_recording is not None:
        policy["delete_with_recording"] = written.delete_with_recording
    folder = {"output": output, "recursive": written.recursive}
    return Choices(
        policy=policy,
        folder={name: value for name, value in folder.items() if value is not None},
        options=dict(_option(text, offered, title) for text in written.options),
    )


def _policy(written: Written) -> Iterator[tuple[str, Any]]:
    """Raises ValueError and BadParameter."""
    if written.languages is not None:
        yield "languages", read_languages(",".join(written.languages))
    if written.vocabulary is not None:
        yield "vocabulary", read_vocabulary(",".join(written.vocabulary))
    if written.speakers is not None:
        low, high = read_speakers(written.speakers)
        yield "min_speakers", low
        yield "max_speakers", high
    if written.formats is not None:
        yield "formats", _formats(",".join(written.formats))
    if written.method is not None:
        if written.method and written.method not in METHODS:
            raise ValueError(f"There is no method {written.method!r}. There are: {', '.join(METHODS)}.")
        yield "method", written.method or None
    if written.keep_days is not None:
        yield "retention_days", read_days(written.keep_days)


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"There is no format {name!r}. There are: {', '.join(FORMATS)}.")
    if not names:
        raise ValueError(f"Name a format. There are: {', '.join(FORMATS)}.")
    return names


def _option(text: str, offered: Mapping[str, Option], title: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    if name not in offered:
        there = "; ".join(f"{each}={'|'.join(option.values)}" for each, option in offered.items())
        raise typer.BadParameter(f"{title} has no option {name!r}. There are: {there}.")
    if value not in offered[name].values:
        raise typer.BadParameter(f"Write {name}={'|'.join(offered[name].values)}, one of them.")
    return name, value


def summary(folder: WatchedFolder) -> str:
    """What was chosen, in a line: `languages: German; speakers: 2-4; md, srt beside the recording`."""
    policy = folder.policy
    return "; ".join(filter(None, [*_of_recognition(policy), _of_output(folder), *_rest(folder)]))


def _of_recognition(policy: ChannelPolicy) -> Iterator[str]:
    if policy.languages:
        yield f"languages: {write_languages(policy.languages)}"
    if count := write_speakers(policy.min_speakers, policy.max_speakers):
        yield f"speakers: {count}"
    if policy.vocabulary:
        yield f"vocabulary: {', '.join(map(clean, policy.vocabulary))}"
    if policy.method:
        yield f"method: {policy.method}"


def _of_output(folder: WatchedFolder) -> str:
    where = (
        "beside the recording" if folder.output == "beside" else f"in the subfolder {clean(folder.output)}"
    )
    return f"{', '.join(folder.policy.formats)} {where}"


def _rest(folder: WatchedFolder) -> Iterator[str]:
    if folder.backfill:
        yield "also what lay there before"
    if not folder.recursive:
        yield "without its subfolders"
    if days := folder.policy.retention_days:
        yield f"kept in the store for {days} day{'' if days == 1 else 's'}"
    if not folder.policy.delete_with_recording:
        yield "transcripts outlive their recordings"
    for name, value in sorted(folder.options.items()):
        if value != "no":
            yield f"{clean(name)}={clean(value)}"


def document(folder: WatchedFolder, account: str) -> dict[str, Any]:
    """For programs. `account` is what people know it by."""
    policy = folder.policy
    return {
        "connector": folder.connector,
        "id": folder.id,
        "name": folder.name,
        "link": folder.link,
        "account": account,
        "since": folder.since,
        "output": folder.output,
        "recursive": folder.recursive,
        "backfill": folder.backfill,
        "languages": policy.languages,
        "vocabulary": policy.vocabulary,
        "min_speakers": policy.min_speakers,
        "max_speakers": policy.max_speakers,
        "formats": policy.formats,
        "method": policy.method,
        "keep_days": policy.retention_days,
        "delete_with_recording": policy.delete_with_recording,
        "options": dict(folder.options),
    }
