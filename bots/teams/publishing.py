"""A transcript on its way into the conversation: as people named its speakers, with the files they chose.

Files lie beside the recording, or in the channel's files where that lies with another service. In a chat with
the app alone people are asked whether they want them: what is taken is put into their OneDrive by
`bots.teams.consents`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace

from bots.teams.access import Access
from bots.teams.answers import Answers, Hold
from bots.teams.audience import Audience
from bots.teams.cards import Message
from bots.teams.consents import Consents
from bots.teams.drives import WRITE
from bots.teams.records import DriveItem
from bots.teams.results import FILES, Link, Shown, result
from bots.teams.shares import File, Good, Phase, Share, State, is_alone, left_behind
from bots.teams.troubles import Conflict, Denied, Gone, Refused
from core.errors import Rejected, Transient
from core.model import Recording, Transcript
from core.ports import Jobs
from core.relabelling import relabel
from core.render.files import Rendered, rendered

logger = logging.getLogger(__name__)

_NO_PLACE = (
    "There are no files of this transcript: the recording lies with another service, and a chat has no folder"
    " of its own to put them into. All of the transcript can be read here; where it is long, with “Show the"
    " whole transcript”."
)


class Publishing:
    """Puts transcripts into `answers`."""

    def __init__(self, access: Access, answers: Answers, consents: Consents, jobs: Jobs) -> None:
        self._jobs = jobs
        self._access = access
        self._answers = answers
        self._consents = consents

    async def publish(
        self, hold: Hold, transcript: Transcript, recording: Recording, *, phase: Phase = "done"
    ) -> None:
        """Show the transcript in the answer that `hold` holds, which is in `phase` then, and hand over its
        files. Repeatable. Raises Rejected if there is no place for it any more."""
        named = await asyncio.to_thread(relabel, transcript, hold.state.names, hold.state.merged)
        formats = tuple(dict.fromkeys((*recording.policy.formats, *hold.state.formats)))
        files = await asyncio.to_thread(rendered, named, recording, formats)
        alone = is_alone(hold.state.share.where)
        if not alone:
            try:
                await self._put_beside(hold, files)
            except Transient:
                # The text is what counts: it is shown also while files are not possible.
                await self._show(hold, named, phase, offered=False)
                raise
        await self._show(hold, named, phase, offered=alone and bool(files))
        if alone:
            await self._consents.offer(hold, files)

    async def restore(self, hold: Hold, why: str) -> bool:
        """Show the transcript of an earlier version again, as there is none of the newest: `why`. False:
        there is no earlier one (any more). Repeatable, until the end is remembered."""
        good = hold.state.good
        if good is None:
            return False
        view, transcript = await self._jobs.view(good.job), await self._jobs.transcript(good.job)
        if view is None or transcript is None:
            return False
        await hold.save(replace(hold.state, names=good.names, merged=good.merged, said={}))
        told = replace(transcript, warnings=(f"{why} This is the earlier transcript.", *transcript.warnings))
        try:
            await self.publish(hold, told, view.job.recording, phase=hold.state.phase)
        except Rejected:  # there is no place for it any more
            await _restored(hold, good)
            raise
        await _restored(hold, good)
        return True

    async def _show(self, hold: Hold, named: Transcript, phase: Phase, *, offered: bool) -> None:
        message = await asyncio.to_thread(shown_result, hold.state, named, offered=offered)
        smaller = await asyncio.to_thread(shown_result, hold.state, named, offered=offered, short=True)
        await hold.save(replace(hold.state, phase=phase))  # first, so that no bar that is late covers it
        await self._answers.say(hold, message, smaller=smaller)

    async def _put_beside(self, hold: Hold, files: list[Rendered]) -> None:
        """Make `files` the transcript's where they belong. What keeps it from that is in `trouble`."""
        share, trouble = hold.state.share, ""
        if files and share.is_link and share.where.kind != "channel":
            trouble = _NO_PLACE
        elif any(_digest(each) != hold.state.files.get(each.format, _NONE).digest for each in files):
            try:
                await self._put_all(hold, files)
            except Rejected as error:
                trouble = f"{_not_put(share)}: {error.user_message}"
            except Denied as error:
                trouble = f"{_not_put(share)}. {error}"
        if trouble:
            logger.warning("files of share %s can't be put anywhere", share.id)
        await hold.save(replace(hold.state, trouble=trouble))

    async def _put_all(self, hold: Hold, files: list[Rendered]) -> None:
        share = hold.state.share
        drive, folder = await self._folder(share)
        audience = Audience(self._access, share.where)
        for each in files:
            known = hold.state.files.get(each.format, _NONE)
            if known.digest == _digest(each):
                continue
            item = await self._put(drive, folder, known, each)
            url, closed = known.url, known.closed
            if known.item != item.id:
                url, closed = item.web_url, await audience.let_in(item)
            put = File(
                name=item.name,
                digest=_digest(each),
                drive=item.drive,
                item=item.id,
                ctag=item.ctag,
                url=url,
                closed=closed,
            )
            await hold.save(replace(hold.state, files={**hold.state.files, each.format: put}))

    async def _folder(self, share: Share) -> tuple[str, str]:
        """The drive and the folder that its files belong into."""
        if not share.is_link:
            recording = await self._access.recording(share)
            return recording.drive, recording.parent
        place = await self._access.place(share.where, share.team, share.user)
        folder = await self._access.drives.folder(place, WRITE)
        return folder.drive, folder.id

    async def _put(self, drive: str, folder: str, known: File, file: Rendered) -> DriveItem:
        """In place of what we put there before; what somebody changed meanwhile stays as it is."""
        if known.item:
            try:
                return await self._access.upload.replace(known.drive, known.item, file.data, ctag=known.ctag)
            except (Conflict, Gone):
                logger.info("a file of a transcript was changed or deleted: another one is put there")
        return await self._access.upload.beside(drive, folder, file.name, file.data)

    async def detach(self, hold: Hold) -> bool:
        """Take the transcript's files away. False: not all of them can be."""
        left = {}
        for name, file in hold.state.files.items():
            try:
                if file.item:
                    await self._access.drives.delete(file.drive, file.item)
                elif file.message:
                    await self._access.connector.delete(hold.state.share.where, file.message)
            except Gone:
                continue
            except (Refused, Denied) as error:
                logger.warning("a file of share %s can't be deleted: %s", hold.state.share.id, error.code)
                left[name] = file
        await hold.save(replace(hold.state, files=left, trouble=""))
        return not left


def shown_result(state: State, named: Transcript, *, offered: bool, short: bool = False) -> Message:
    """The result of a share, with where its files are. See `bots.teams.results.result`."""
    links = [Link(name=file.name, url=file.url) for file in state.files.values() if file.url]
    closed = next((file.closed for file in state.files.values() if file.closed), "")
    about = Shown(share=state.share.id, name=state.share.name)
    return result(
        about,
        named,
        files=links[:FILES],
        offered=offered,
        trouble=state.trouble or closed,
        alone=is_alone(state.share.where),
        short=short,
    )


async def _restored(hold: Hold, good: Good) -> None:
    await hold.save(left_behind(replace(hold.state, job=good.job, phase="done"), hold.state.job))


def _not_put(share: Share) -> str:
    where = "into the channel's files" if share.is_link else "beside the recording"
    return f"The files could not be put {where}"


def _digest(file: Rendered) -> str:
    return hashlib.sha256(f"{file.name}\0".encode() + file.data).hexdigest()


_NONE = File(name="")
