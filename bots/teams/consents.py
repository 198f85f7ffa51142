"""Files in a chat with the app alone: Teams asks whether they are wanted, and says then where to put them.

There is one message for each: it asks, and shows the file once it is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bots.teams import notes
from bots.teams.access import Access
from bots.teams.answers import Answers, Hold, wait_for_graph
from bots.teams.files import CONSENT, FILE_INFO, consent_card, file_card
from bots.teams.letters import Consented
from bots.teams.notices import note
from bots.teams.shares import File, State, is_alone
from bots.teams.troubles import Denied, Gone, Refused
from bots.teams.upload import fill, shown_name
from core.model import Recording, Transcript
from core.ports import Jobs
from core.relabelling import relabel
from core.render.files import Rendered, rendered

logger = logging.getLogger(__name__)

_NOT_NOW = "A new transcript is being made. Its files can be accepted when it is there."


class Consents:
    """Asks for consent, and acts on it. What is handed over is made when it is wanted, so that it is as new
    as the answer."""

    def __init__(self, access: Access, answers: Answers, jobs: Jobs) -> None:
        self._access = access
        self._answers = answers
        self._jobs = jobs

    async def offer(self, hold: Hold, files: Sequence[Rendered]) -> None:
        """Ask for each of `files` that was not handed over as it is now. Repeatable."""
        for file in files:
            known = hold.state.files.get(file.format, File(name=file.name))
            if known.declined or (known.message and not (known.taken and known.digest != _digest(file))):
                continue  # asked already, or handed over, or not wanted
            asks = _asks(hold.state, file)
            if known.message:
                known = replace(known, name=file.name, taken=False, filling="", url="")
                await _keep(hold, file.format, known)
                await self._show(hold, known.message, asks)
                continue
            if known.posting:
                known = await self._found(hold, file.format, known)
            if not known.message:
                await _keep(hold, file.format, replace(known, posting=True, tried=time.time()))
                sent = await self._access.connector.send(hold.state.share.where, asks)
                await _keep(hold, file.format, replace(known, message=sent, posting=False))

    async def consented(self, letter: Consented) -> None:
        """Somebody wants a file, or does not. Repeatable."""
        state = await self._answers.state(letter.share)
        if state is None or state.share.where.conversation != letter.where.conversation:
            return
        if not is_alone(letter.where) or await self._answers.is_answer(letter.where, letter.card):
            return  # Teams asks nobody there: whoever sent that made it up
        async with self._answers.hold(state.share) as hold:
            known = hold.state.files.get(letter.format)
            if known is None or hold.state.phase in {"failed", "stopped", "deleted"}:
                if letter.card and (known is None or letter.card != known.message):
                    await self._remove(hold, letter.card)  # a question that was left over
                return
            if not letter.upload:
                await self._forgo(hold, letter, known)
            elif hold.state.phase != "done":
                await self._answers.tell(letter.where, note(_NOT_NOW))
            else:
                await self._wanted(hold, letter, known)

    async def _wanted(self, hold: Hold, letter: Consented, known: File) -> None:
        file = await self._made(hold.state, letter.format)
        if file is None:
            await self._answers.tell(letter.where, note(notes.NOT_KEPT))
            return
        other = known.message if letter.card not in {known.message, ""} else ""
        if known.taken and known.digest == _digest(file):
            if other:
                await self._remove(hold, letter.card)
            return
        # A question may be there twice, where it was not known that it had been asked: this one counts now.
        await self._hand_over(hold, letter, replace(known, message=letter.card or known.message), file)
        if other:
            await self._remove(hold, other)

    async def _hand_over(self, hold: Hold, letter: Consented, known: File, file: Rendered) -> None:
        began = hashlib.sha256(letter.upload.encode()).hexdigest()[:16]
        repeated = known.filling == began
        known = replace(known, filling=began)
        await _keep(hold, letter.format, known)
        try:
            await fill(self._access.client, letter.upload, file.data)
        except Gone:
            # An upload that was begun before a crash and is over now has arrived.
            if not repeated:
                await _keep(hold, letter.format, replace(known, filling=""))
                await self._show(hold, known.message, _asks(hold.state, file, late=True))
                return
        except Refused as error:
            await self._answers.tell(letter.where, note(error.user_message))
            return
        shown = file_card(
            letter.name or shown_name(file.name),
            unique_id=letter.unique_id,
            file_type=letter.file_type,
            url=letter.url,
        )
        await self._show(hold, known.message, _message(shown))
        taken = replace(known, taken=True, declined=False, digest=_digest(file), filling="")
        await _keep(hold, letter.format, taken)

    async def _forgo(self, hold: Hold, letter: Consented, known: File) -> None:
        """Nobody wants it: the question goes."""
        if letter.card not in {known.message, ""}:
            await self._remove(hold, letter.card)
        if known.taken:
            return
        if known.message:
            await self._remove(hold, known.message)
        await _keep(hold, letter.format, File(name=known.name, declined=True))

    async def _remove(self, hold: Hold, question: str) -> None:
        try:
            await self._access.connector.delete(hold.state.share.where, question)
        except Refused as error:
            logger.info("a question stays: %s", error.code)

    async def _made(self, state: State, format_name: str) -> Rendered | None:
        """The file as it is now; None if the transcript is not kept any more."""
        view, transcript = await self._jobs.view(state.job), await self._jobs.transcript(state.job)
        if view is None or transcript is None:
            return None
        return await asyncio.to_thread(_one, transcript, state, view.job.recording, format_name)

    async def _show(self, hold: Hold, message: str, activity: Mapping[str, Any]) -> None:
        try:
            await self._access.connector.update(hold.state.share.where, message, activity)
        except Gone:
            logger.info("a question about a file of share %s was deleted", hold.state.share.id)

    async def _found(self, hold: Hold, format_name: str, known: File) -> File:
        """The question that an earlier try may have posted."""
        try:
            async for message in self._answers.own(hold.state.share, hold.state.tried):
                for each in message.attachments:
                    is_file = each.kind in {CONSENT, FILE_INFO}  # the answer speaks of formats too
                    if is_file and hold.state.share.id in each.content and f'"{format_name}"' in each.content:
                        known = replace(known, message=message.id, posting=False)
                        await _keep(hold, format_name, known)
                        return known
        except (Denied, Refused) as error:
            logger.warning("share %s may have a question twice: %s", hold.state.share.id, error)
        else:
            wait_for_graph(known.tried)
        return known


def _one(transcript: Transcript, state: State, recording: Recording, format_name: str) -> Rendered | None:
    named = relabel(transcript, state.names, state.merged)
    return next(iter(rendered(named, recording, [format_name])), None)


async def _keep(hold: Hold, format_name: str, file: File) -> None:
    await hold.save(replace(hold.state, files={**hold.state.files, format_name: file}))


def _asks(state: State, file: Rendered, *, late: bool = False) -> Mapping[str, Any]:
    name, size = shown_name(file.name), len(file.data)
    return _message(consent_card(name, size, share=state.share.id, format_name=file.format, late=late))


def _message(attachment: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": "message", "attachments": [attachment]}


def _digest(file: Rendered) -> str:
    return hashlib.sha256(f"{file.name}\0".encode() + file.data).hexdigest()
