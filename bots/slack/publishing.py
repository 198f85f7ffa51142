"""A transcript on its way into the thread: as people named its speakers, in the files that they chose."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from bots.slack.answers import Answers, Hold
from bots.slack.results import Shown, result
from bots.slack.troubles import MissingScope
from core.errors import Rejected
from core.filenames import output_base
from core.model import Recording, Transcript
from core.ports import Jobs
from core.relabelling import relabel
from core.render.files import rendered

logger = logging.getLogger(__name__)


async def publish(answers: Answers, hold: Hold, transcript: Transcript, recording: Recording) -> None:
    """Show the transcript in the answer that `hold` holds, and attach its files. Repeatable. Raises Rejected
    if there is no place for it any more."""
    state = hold.state
    named = await asyncio.to_thread(relabel, transcript, state.names, state.merged)
    formats = tuple(dict.fromkeys((*recording.policy.formats, *state.formats)))
    files = await asyncio.to_thread(rendered, named, recording, formats)
    try:
        await answers.attach(hold, {file.name: file.data for file in files})
    except Rejected as error:
        # The text is what counts: it is shown even where files are not allowed.
        logger.warning("files of a transcript can't be attached: %s", type(error).__name__)
        note = f"The files could not be attached: {error.user_message}"
        named = replace(named, warnings=(*named.warnings, note))
    shown = Shown(share=state.share.id, name=state.share.name)
    message = await asyncio.to_thread(result, shown, named, files=bool(hold.state.files))
    await hold.save(replace(hold.state, phase="done"))  # first, so that no bar that is late covers it
    await answers.say(hold, message)


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
    is no earlier one (any more)."""
    good = hold.state.good
    if good is None:
        return False
    view, transcript = await jobs.view(good.job), await jobs.transcript(good.job)
    if view is None or transcript is None:
        return False
    state = replace(hold.state, job=good.job, names=good.names, merged=good.merged, kept_from=good.kept_from)
    await hold.save(replace(state, phase="done"))
    told = replace(transcript, warnings=(f"{why} This is the earlier transcript.", *transcript.warnings))
    await publish(answers, hold, told, view.job.recording)
    return True
