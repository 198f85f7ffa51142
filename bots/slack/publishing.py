"""A transcript on its way into the thread: as people named its speakers, in the files that they chose."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bots.slack.answers import Answers, Hold
from bots.slack.fetching import lacking
from bots.slack.parts import Message
from bots.slack.results import Shown, result
from bots.slack.shares import Good, led_to
from bots.slack.troubles import MissingScope
from core.errors import Rejected
from core.filenames import output_base
from core.model import Recording, Transcript
from core.ports import Jobs
from core.relabelling import relabel
from core.render.files import rendered

logger = logging.getLogger(__name__)

_TO_MEND: Final = (
    "Please tell whoever looks after this app: they have to add it on the app's page OAuth & Permissions and "
    "reinstall the app. After that, “Get as…” or “Try again…” brings the files."
)
_OLDER: Final = "The files that are there are older than this."


async def publish(answers: Answers, hold: Hold, transcript: Transcript, recording: Recording) -> None:
    """Show the transcript in the answer that `hold` holds, and attach its files. Repeatable. Raises Rejected
    if there is no place for it any more."""
    message = await _made(answers, hold, transcript, recording)
    await hold.save(replace(hold.state, phase="done"))  # first, so that no bar that is late covers it
    await answers.say(hold, message)


async def _made(answers: Answers, hold: Hold, transcript: Transcript, recording: Recording) -> Message:
    """Attach the transcript's files; what the answer says."""
    state = hold.state
    named = await asyncio.to_thread(relabel, transcript, state.names, state.merged)
    formats = tuple(dict.fromkeys((*recording.policy.formats, *state.formats)))
    files = await asyncio.to_thread(rendered, named, recording, formats)
    trouble = await _attach(answers, hold, {file.name: file.data for file in files})
    shown = Shown(share=state.share.id, name=state.share.name)
    there = bool(hold.state.files) and not trouble
    return await asyncio.to_thread(result, shown, named, files=there, trouble=trouble)


async def _attach(answers: Answers, hold: Hold, files: Mapping[str, bytes]) -> str:
    """Attach `files`. What keeps them from the thread, and what to do; empty if they are there. The text is
    what counts: it is shown also without them."""
    try:
        await answers.attach(hold, files)
    except Rejected as error:
        logger.warning("files of a transcript can't be attached: %s", type(error).__name__)
        why = error.user_message
    except MissingScope as error:
        logger.error("files of a transcript can't be attached: %s", error)  # noqa: TRY400  (the operator's)
        why = f"{lacking(error)} {_TO_MEND}"
    else:
        return ""
    older = f" {_OLDER}" if hold.state.files else ""
    return f"The files could not be put into this thread: {why}{older}"


async def attach_own(answers: Answers, hold: Hold, recording: Recording, text: str) -> bool:
    """Attach Slack's own transcript as a file in the thread. False: that can't be done there, or there are
    files of an earlier try, which are worth more."""
    if hold.state.good is not None:
        return False
    name = f"{output_base(recording.name, shared=False)}.slack.txt"
    try:
        await answers.attach(hold, {name: text.encode()})
    except (Rejected, MissingScope) as error:
        logger.info("Slack's own transcript is shown in part: %s", type(error).__name__)
        return False
    return True


async def restore(answers: Answers, hold: Hold, jobs: Jobs, why: str) -> bool:
    """Show the transcript of an earlier version again, as there is none of the newest: `why`. False: there
    is no earlier one (any more). Repeatable, until the end is remembered."""
    good = hold.state.good
    if good is None:
        return False
    view, transcript = await jobs.view(good.job), await jobs.transcript(good.job)
    if view is None or transcript is None:
        return False
    await hold.save(replace(hold.state, names=good.names, merged=good.merged))
    told = replace(transcript, warnings=(f"{why} This is the earlier transcript.", *transcript.warnings))
    message = await _made(answers, hold, told, view.job.recording)
    try:
        await answers.say(hold, message)
    except Rejected:  # there is no place for it any more
        await _restored(hold, good)
        raise
    await _restored(hold, good)
    return True


async def _restored(hold: Hold, good: Good) -> None:
    await hold.save(replace(led_to(hold.state, good.job), phase="done", kept_from=good.kept_from))
