"""`erni-audio voices`: the voices of people who asked to be recognised."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.commands import exits
from core.engines.voice_embedding import VoiceModel
from core.errors import Misconfigured, Rejected
from core.render.safe import clean
from core.settings import Settings, load_settings
from core.state import State, open_any_state
from core.telemetry import configure_logging
from core.voice_files import checked_name, read, require_new, seal, unseal, write
from core.voice_samples import Sampled, listen_to, pyannoteai
from core.voiceprints import Voice, refusal
from core.voices import Voices
from core.workspace import workspace

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    help="People whose voices are recognised: their names stand in transcripts instead of Speaker 1.\n\n"
    "Voiceprints are biometric data. Ask the people first; they are kept encrypted and apart for each "
    "workspace, and `voices remove` deletes them with everything made from them. Needs ERNI_VOICES=true and "
    "ERNI_ENCRYPTION_KEY.",
)

Workspace = Annotated[
    str,
    typer.Option(
        "--workspace",
        metavar="ID",
        help="Whose recordings they are recognised in; docs/voices.md lists the ids.",
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="File whose first line is the passphrase. Without it you are asked.",
    ),
]


@app.command("add")
def add_voice(
    name: Annotated[str, typer.Argument(help="What the person is called in transcripts.")],
    samples: Annotated[
        list[Path],
        typer.Argument(
            metavar="SAMPLE...",
            exists=True,
            dir_okay=False,
            help="Recordings in which only this person talks, 5 s or more in all; half a minute is good.",
        ),
    ],
    *,
    workspace_id: Workspace = "default",
    here_only: Annotated[
        bool, typer.Option("--here-only", help="Send nothing to pyannoteAI, although its key is set.")
    ] = False,
) -> None:
    """Add a person, or more samples of one. Ask them first.

    The voice is learnt on this machine if the speaker models are here, and by pyannoteAI, which gets half a
    minute of the samples, if PYANNOTEAI_API_KEY is set. The samples themselves are not kept.

    Exit codes: 0; 1, the samples won't do, and why; 2, something must be set up first.
    """
    settings = _settings(adding=True)
    person = checked_name(name)

    async def work() -> int:
        try:
            sampled = await _listen(settings, samples, here_only=here_only)
            async with _voices(settings) as (voices, _):
                voice = await voices.add(_tenant(workspace_id), person, sampled)
        except Rejected as error:
            sys.stderr.write(f"erni-audio: {error.user_message}\n")
            return exits.FAILED
        for note in sampled.notes:
            sys.stderr.write(f"Note: {note}\n")
        sys.stderr.write(f"✓ {_line(voice, '')}\n")
        return exits.OK

    raise typer.Exit(exits.run_to_end(work()))


async def _listen(settings: Settings, samples: list[Path], *, here_only: bool) -> Sampled:
    vendor = None if here_only else pyannoteai(settings)
    try:
        with workspace(settings) as directory:
            return await listen_to(samples, directory, settings=settings, vendor=vendor)
    finally:
        if vendor is not None:
            await vendor.close()


@app.command("list")
def list_voices(
    *,
    workspace_id: Workspace = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the people whose voices are known in a workspace."""
    settings = _settings()

    async def work() -> int:
        async with _voices(settings, reading=True) as (voices, _):
            found = await voices.all(_tenant(workspace_id))
        model = VoiceModel(settings)
        digest = await model.digest() if model.installed else ""
        if as_json:
            sys.stdout.write(json.dumps([_document(voice) for voice in found], indent=2) + "\n")
        else:
            sys.stdout.writelines(f"{_line(voice, digest)}\n" for voice in found)
            if not found:
                sys.stderr.write("No voices are known here.\n")
        return exits.OK

    raise typer.Exit(exits.run_to_end(work()))


@app.command("remove")
def remove_voice(
    name: Annotated[str, typer.Argument(help="The person, as `voices list` shows it.")],
    *,
    workspace_id: Workspace = "default",
) -> None:
    """Delete a person's voice and everything made from it, and the name from stored transcripts.

    Transcripts that were delivered already stay as they are. Works also where ERNI_VOICES is off.

    Exit codes: 0; 1, nobody of that name is known there; 2, nothing is kept in this data directory.
    """
    settings = _settings()

    async def work() -> int:
        async with _voices(settings, reading=True) as (voices, state):
            cleared = await voices.remove(_tenant(workspace_id), name)
            if cleared is None:
                sys.stderr.write(f"erni-audio: No voice of {clean(name)} is known in this workspace.\n")
                return exits.FAILED
            if settings.redis_url is None:
                await _compact(state.redis)
        sys.stderr.write(f"✓ Removed, and from {_count(cleared, 'stored transcript')}.\n")
        return exits.OK

    raise typer.Exit(exits.run_to_end(work()))


@app.command("export")
def export_voices(
    file: Annotated[Path, typer.Argument(help="File to make.")],
    *,
    workspace_id: Workspace = "default",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write a workspace's voices to a file, encrypted under a passphrase and readable by you only."""
    settings = _settings()
    require_new(file)
    passphrase = _passphrase(passphrase_file, new=True)

    async def work() -> int:
        async with _voices(settings, reading=True) as (voices, _):
            found = await voices.all(_tenant(workspace_id))
        if not found:
            sys.stderr.write("erni-audio: No voices are known here, so no file was made.\n")
            return exits.FAILED
        write(file, await asyncio.to_thread(seal, found, passphrase))
        sys.stderr.write(f"✓ {_count(len(found))} in {file}.\n")
        return exits.OK

    raise typer.Exit(exits.run_to_end(work()))


@app.command("import")
def import_voices(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File that `export` made.")],
    *,
    workspace_id: Workspace = "default",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Add the voices of a file to a workspace. People who are known there already are passed over.

    Exit codes: 0; 1, somebody was passed over; 2, the file can't be used.
    """
    settings = _settings(adding=True)
    found = unseal(read(file), _passphrase(passphrase_file, new=False))

    async def work() -> int:
        taken = 0
        async with _voices(settings) as (voices, _):
            for voice in found:
                if await voices.take_in(_tenant(workspace_id), voice):
                    taken += 1
                else:
                    sys.stderr.write(f"{clean(voice.name)} is known here already and was passed over.\n")
        sys.stderr.write(f"✓ {_count(taken)} added.\n")
        return exits.OK if taken == len(found) else exits.FAILED

    raise typer.Exit(exits.run_to_end(work()))


def _settings(*, adding: bool = False) -> Settings:
    """Raises Misconfigured if voices are to be added and may not be."""
    settings = exits.quiet_by_default(load_settings(Settings))
    configure_logging(settings)
    if adding and (reason := refusal(settings)):
        raise Misconfigured(reason)
    return settings


@asynccontextmanager
async def _voices(settings: Settings, *, reading: bool = False) -> AsyncIterator[tuple[Voices, State]]:
    """The voices in the store: of the service that runs on this data directory, or opened for this call."""
    async with open_any_state(settings, reading=reading) as state:
        try:
            yield Voices(state.store, settings), state
        except RedisError as error:
            raise Misconfigured(f"The store does not answer: {type(error).__name__}.") from None


async def _compact(redis: Redis) -> None:
    """Write our own store's file anew, so that what was removed is not in its history any more."""
    asked = False
    for _ in range(1200):  # a minute
        about = await redis.info("persistence")
        busy = about["aof_rewrite_in_progress"] or about["aof_rewrite_scheduled"]
        if asked and not busy:
            return
        if not busy:
            asked = bool(await redis.bgrewriteaof())
        await asyncio.sleep(0.05)
    sys.stderr.write("Note: the store still writes its file anew; until then it holds old data.\n")


def _tenant(workspace_id: str) -> str:
    if not workspace_id.strip() or len(workspace_id) > 200 or not workspace_id.isprintable():
        raise Misconfigured("A workspace has an id of visible characters, at most 200.")
    return workspace_id.strip()


def _passphrase(path: Path | None, *, new: bool) -> str:
    if path is not None:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            return file.readline(4096).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("Nobody is there to be asked for the passphrase. Give --passphrase-file.")
    found: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
    return found


def _line(voice: Voice, digest: str) -> str:
    """`Anna: 2 samples, 41 s of speech, since 2026-11-22, recognised here and by pyannoteAI`."""
    ways = []
    if voice.embeddings:
        usable = not digest or digest in voice.embeddings
        ways.append("here" if usable else "by speaker models that are not here any more")
    if voice.vendor is not None:
        ways.append("by pyannoteAI")
    return (
        f"{clean(voice.name)}: {_count(voice.samples, 'sample')}, {voice.seconds:.0f} s of speech, "
        f"since {voice.added_at:%Y-%m-%d}, recognised {' and '.join(ways) or 'nowhere'}"
    )


def _document(voice: Voice) -> dict[str, Any]:
    return {
        "id": voice.id,
        "name": voice.name,
        "added_at": voice.added_at.isoformat(timespec="seconds"),
        "samples": voice.samples,
        "seconds": round(voice.seconds, 1),
        "networks": sorted(voice.embeddings),
        "pyannoteai": voice.vendor is not None,
    }


def _count(number: int, what: str = "voice") -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
