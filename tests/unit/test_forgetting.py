"""What somebody deletes does not come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from core.intake import Intake
from core.jobs import Queue
from core.ledger import Claim, follow_up_key, job_id
from core.model import JobState, Recording, Transcript
from core.settings import Settings, load_settings
from core.state import open_state
from core.store import pack
from core.telemetry import Metrics


async def test_speakers_that_are_being_told_do_not_bring_a_forgotten_transcript_back(tmp_path: Path) -> None:
    settings = load_settings(Settings, _env_file=None, data_dir=tmp_path / "data")
    recording = Recording(
        key="hand:a",
        content_key="hand:a",
        platform="fake",
        door="hand",
        address="{}",
        name="a.mp3",
        shared_at=datetime.now(UTC),
    )
    transcript = Transcript(content_key="sha256:0", languages=(), seconds=1.0, utterances=(), engine="fake")
    async with (
        open_state(settings, own=True) as state,
        Queue(state.url, state.ledger, redelivery_seconds=5, drain_seconds=0.2, worker="w") as queue,
    ):
        intake = Intake(state.ledger, queue, state.store, settings, Metrics(CollectorRegistry()))
        blob = state.vault.seal(pack(transcript))
        job = await intake.submit(recording)
        claim = await state.ledger.begin(job, 1, max_crashes=9, poison_message="")
        assert isinstance(claim, Claim)
        await state.ledger.commit(claim, "result", blob, life_seconds=60, budget_bytes=10**6)
        later = replace(recording, key=follow_up_key(recording.key), follows="result")
        _, ticket = await state.ledger.submit(later, "short")
        follow_up = await state.ledger.begin(ticket.job_id, 1, max_crashes=9, poison_message="")
        assert isinstance(follow_up, Claim)
        assert ticket.job_id == job_id("hand:a#speakers")

        await intake.cancel(job)
        await intake.forget(job)
        assert await state.store.transcript("result") is None
        view = await state.ledger.view(ticket.job_id)
        assert view is not None
        assert view.state is JobState.CANCELLED
        done = await state.ledger.commit(follow_up, "result", blob, life_seconds=60, budget_bytes=10**6)
        assert done == "void"
        assert await state.store.transcript("result") is None


async def test_the_record_of_a_forgotten_job_names_nobody_and_is_still_known(tmp_path: Path) -> None:
    settings = load_settings(Settings, _env_file=None, data_dir=tmp_path / "data")
    recording = Recording(
        key="hand:b",
        content_key="hand:b",
        platform="fake",
        door="hand",
        address='{"user": "U1"}',
        name="Salaries of Ann.mp3",
        shared_by="U1",
        shared_at=datetime.now(UTC),
    )
    async with (
        open_state(settings, own=True) as state,
        Queue(state.url, state.ledger, redelivery_seconds=5, drain_seconds=0.2, worker="w") as queue,
    ):
        intake = Intake(state.ledger, queue, state.store, settings, Metrics(CollectorRegistry()))
        job = await intake.submit(recording)
        await intake.forget(job)  # under way: what is owed to its sharer needs the record
        view = await state.ledger.view(job)
        assert view is not None
        assert view.job.recording == recording
        await intake.cancel(job)
        await intake.forget(job)
        view = await state.ledger.view(job)
        assert view is not None
        assert (view.job.recording.name, view.job.recording.address, view.job.recording.shared_by) == (
            "",
            "{}",
            None,
        )
        assert view.state is JobState.CANCELLED
        new, _ = await state.ledger.submit(recording, "short")
        assert not new


async def test_one_copy_serves_all_shares_of_the_same_bytes_and_is_forgotten_with_any(tmp_path: Path) -> None:
    """The doors tell people of the other shares that it is not kept any more, and offer to try again."""
    settings = load_settings(Settings, _env_file=None, data_dir=tmp_path / "data")
    transcript = Transcript(content_key="sha256:0", languages=(), seconds=1.0, utterances=(), engine="fake")
    async with (
        open_state(settings, own=True) as state,
        Queue(state.url, state.ledger, redelivery_seconds=5, drain_seconds=0.2, worker="w") as queue,
    ):
        intake = Intake(state.ledger, queue, state.store, settings, Metrics(CollectorRegistry()))
        jobs = []
        for name, blob in (("c", state.vault.seal(pack(transcript))), ("d", b"")):
            recording = Recording(
                key=f"hand:{name}",
                content_key="hand:same",
                platform="fake",
                door="hand",
                address="{}",
                name=f"{name}.mp3",
                shared_at=datetime.now(UTC),
            )
            jobs.append(await intake.submit(recording))
            claim = await state.ledger.begin(jobs[-1], 1, max_crashes=9, poison_message="")
            assert isinstance(claim, Claim)
            tickets = await state.ledger.commit(claim, "r", blob, life_seconds=60, budget_bytes=10**6)
            assert isinstance(tickets, list)
            claim = await state.ledger.begin(jobs[-1], tickets[0].run, max_crashes=9, poison_message="")
            assert isinstance(claim, Claim)
            assert await state.ledger.settle(claim, "{}")
        assert await intake.transcript(jobs[1]) == transcript
        await intake.forget(jobs[0])
        assert await intake.transcript(jobs[1]) is None
        assert await intake.view(jobs[1]) is not None
