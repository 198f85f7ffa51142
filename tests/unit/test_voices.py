"""Voices in a real store, learnt and recognised by a tiny network in its real child process."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from core.embedded import EmbeddedValkey
from core.errors import Misconfigured, Rejected, Transient
from core.ledger import PREFIX, Claim, Ledger
from core.model import Audio, Policy, Recording, Transcript, Utterance, Word
from core.ports import Readiness
from core.settings import Settings, load_settings
from core.store import RedisStore, pack
from core.vault import Vault
from core.voice_files import believed, checked_name, seal, unseal
from core.voice_samples import Sampled, Stretch, cut, listen_to
from core.voiceprints import Embedding, Voice
from core.voices import Voices
from tests.tiny_models import silence, voice, write_wav

KEY = Vault.new_key()


@dataclass(kw_only=True)
class Vendor:
    """Somebody who makes prints and finds them where a test says they are."""

    stretches: Sequence[Stretch] = ()
    trouble: Exception | None = None
    readiness: Readiness = field(default_factory=lambda: Readiness(usable=True))
    printed: list[float] = field(default_factory=list)
    asked: list[tuple[float, Mapping[str, str], float]] = field(default_factory=list)
    closed: int = 0

    async def check(self) -> Readiness:
        return self.readiness

    async def voiceprint(self, audio: Audio) -> str:
        assert audio.path.stat().st_size > 0
        if self.trouble:
            raise self.trouble
        self.printed.append(audio.seconds)
        return f"print {len(self.printed)}"

    async def identify(
        self, audio: Audio, voices: Mapping[str, str], *, threshold: float
    ) -> Sequence[Stretch]:
        assert audio.path.stat().st_size > 0
        self.asked.append((audio.seconds, dict(voices), threshold))
        if self.trouble:
            raise self.trouble
        keys = {value: key for key, value in voices.items()}
        return [(start, end, keys.get(who, who), sure) for start, end, who, sure in self.stretches]

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with EmbeddedValkey(tmp_path / "data") as valkey, Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    return Ledger(redis, Vault(KEY), worker="w1")


@pytest.fixture
def store(redis: Redis, ledger: Ledger) -> RedisStore:
    return RedisStore(redis, Vault(KEY), ledger)


def settings(folder: Path, models: Path | None = None, **changes: Any) -> Settings:
    given = {"voices": True, "encryption_key": KEY, "local_speakers": "toy-speakers"} | changes
    return load_settings(Settings, _env_file=None, data_dir=folder, models_dir=models or folder, **given)


def sampled(*, vector: tuple[float, ...] | None = None, **more: Any) -> Sampled:
    """What samples gave, without listening to any."""
    model = "net" if vector is not None else ""
    return Sampled(**{"samples": 1, "seconds": 10.0, "vector": vector, "model": model} | more)


def said(speaker: str, start: float, end: float) -> Utterance:
    word = Word(start=start, end=end, text="word")
    return Utterance(speaker=speaker, start=start, end=end, words=(word,))


TALK = Transcript(
    content_key="sha256:abc",
    languages=("en",),
    seconds=21,
    utterances=(said("Speaker 1", 0, 9), said("Speaker 2", 10, 19)),
    engine="fake",
)


def recorded(path: Path, *timbres: Any) -> Audio:
    """Nine seconds of each voice, with a second of silence after each."""
    parts = [part for timbre in timbres for part in (voice(timbre, 9), silence(1))]
    return Audio(path=path, seconds=write_wav(path, parts))


def talking(timbre: Any) -> list[Any]:
    """Eight seconds that the speech detector takes for speech throughout."""
    return [silence(1), voice(timbre, 8, seed=7)]


async def heard(
    folder: Path, models: Path | None, *files: Sequence[Any], vendor: Vendor | None = None
) -> Sampled:
    """What the real decoder, speech detector and network make of samples."""
    samples = [folder / f"sample{number}.wav" for number in range(len(files))]
    for sample, parts in zip(samples, files, strict=True):
        write_wav(sample, parts)
    work = folder / "work"
    work.mkdir()
    return await listen_to(samples, work, settings=settings(folder, models), vendor=vendor)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> dict[str, Sampled]:
    """Anna, who has the bright voice, and Ben, who has the dark one."""

    async def both() -> dict[str, Sampled]:
        return {
            "Anna": await heard(tmp_path_factory.mktemp("anna"), tiny_models, talking("bright")),
            "Ben": await heard(tmp_path_factory.mktemp("ben"), tiny_models, talking("dark")),
        }

    return asyncio.run(both())


# learning


async def test_a_voice_is_learnt_and_found_again(
    tmp_path: Path, tiny_models: Path, store: RedisStore, people: dict[str, Sampled]
) -> None:
    config = settings(tmp_path, tiny_models)
    voices = Voices(store, config)
    anna = await voices.add("t", "Anna", people["Anna"])
    assert anna.seconds > 5
    assert [found.seconds for found in anna.embeddings.values()] == [anna.seconds]
    audio = recorded(tmp_path / "talk.wav", "dark", "bright")
    found = await voices.label(TALK, audio, "t")
    # The other one is nobody that is known.
    assert (found.names, found.suggestions) == ({"Speaker 2": "Anna"}, {})
    assert replace(found, names={}) == TALK
    await voices.add("t", "Ben", people["Ben"])
    assert (await voices.label(TALK, audio, "t")).names == {"Speaker 1": "Ben", "Speaker 2": "Anna"}


async def test_a_voice_that_is_only_rather_alike_is_a_suggestion(
    tmp_path: Path, tiny_models: Path, store: RedisStore, people: dict[str, Sampled]
) -> None:
    config = settings(tmp_path, tiny_models, voices_sure=1.0)
    voices = Voices(store, config)
    await voices.add("t", "Anna", people["Anna"])
    found = await voices.label(TALK, recorded(tmp_path / "talk.wav", "dark", "bright"), "t")
    assert (found.names, found.suggestions) == ({}, {"Speaker 2": "Anna"})


async def test_in_a_draft_nobody_is_more_than_suggested(
    tmp_path: Path, tiny_models: Path, store: RedisStore, people: dict[str, Sampled]
) -> None:
    config = settings(tmp_path, tiny_models)
    voices = Voices(store, config)
    await voices.add("t", "Anna", people["Anna"])
    audio = recorded(tmp_path / "talk.wav", "dark", "bright")
    found = await voices.label(replace(TALK, draft=True), audio, "t")
    assert (found.names, found.suggestions) == ({}, {"Speaker 2": "Anna"})


async def test_more_samples_make_one_voice_and_other_peoples_are_refused(
    tmp_path: Path, store: RedisStore, people: dict[str, Sampled]
) -> None:
    voices = Voices(store, settings(tmp_path))
    first = await voices.add("t", "Anna", people["Anna"])
    more = replace(people["Anna"], vector=(-0.9, 0.435), seconds=2 * first.seconds, samples=2)
    both = await voices.add("t", "ANNA", more)
    assert (both.id, both.name, both.samples) == (first.id, "Anna", 3)
    assert both.seconds == pytest.approx(3 * first.seconds)
    old, new = (next(iter(found.embeddings.values())).vector[1] for found in (first, both))
    assert min(old, 0.435) < new < max(old, 0.435)
    assert abs(new - 0.435) < abs(new - old)  # it weighs twice as much
    with pytest.raises(Rejected, match="does not sound like the earlier samples"):
        await voices.add("t", "Anna", people["Ben"])
    assert await voices.all("t") == [both]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([1000 * silence(8)], "no speech in this. A voice needs at least 5 s"),
        ([silence(1), voice("dark", 3), silence(1)], r"There is [234]\.\d s of speech"),
        ([*talking("dark"), *talking("bright")], "More than one person"),
    ],
)
async def test_samples_that_will_not_do_are_refused_with_a_reason(
    tmp_path: Path, tiny_models: Path, parts: Any, reason: str
) -> None:
    with pytest.raises(Rejected, match=reason):
        await heard(tmp_path, tiny_models, parts)


async def test_a_file_that_is_no_recording_is_named(tmp_path: Path, tiny_models: Path) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(Rejected, match=r"^notes\.txt: "):
        await listen_to(
            [tmp_path / "notes.txt"], tmp_path, settings=settings(tmp_path, tiny_models), vendor=None
        )


async def test_the_vendor_gets_the_best_half_minute_of_all_samples(tmp_path: Path) -> None:
    vendor = Vendor()
    found = await heard(tmp_path, None, *[talking("dark")] * 4, vendor=vendor)
    assert (found.samples, found.vendor, found.vector) == (4, "print 1", None)
    assert vendor.printed == [found.vendor_seconds]
    assert found.vendor_seconds == pytest.approx(29.5, abs=0.01)
    assert found.seconds > 30


async def test_without_any_way_to_compare_voices_it_says_what_to_set_up(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"models fetch speakers.*PYANNOTEAI_API_KEY"):
        await heard(tmp_path, None, [voice("dark", 1)])


async def test_a_vendor_in_trouble_costs_only_its_own_print(tmp_path: Path, tiny_models: Path) -> None:
    vendor = Vendor(trouble=Transient("pyannoteAI answered 503."))
    found = await heard(tmp_path, tiny_models, talking("dark"), vendor=vendor)
    assert found.vector is not None
    assert found.vendor is None
    assert len(found.notes) == 1


async def test_a_vendor_in_trouble_that_is_the_only_way_says_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no credit"):
        await heard(
            tmp_path,
            None,
            talking("dark"),
            vendor=Vendor(readiness=Readiness(usable=False, reason="no credit")),
        )


# keeping


async def test_nothing_is_kept_unless_it_was_turned_on_and_is_encrypted(
    tmp_path: Path, store: RedisStore
) -> None:
    for changes, wanted in (({"voices": False}, "ERNI_VOICES=true"), ({"encryption_key": None}, "new-key")):
        voices = Voices(store, settings(tmp_path, **changes))
        assert not voices.on
        with pytest.raises(Misconfigured, match=wanted):
            await voices.add("t", "Anna", sampled(vector=(1.0, 0.0)))
        with pytest.raises(Misconfigured, match=wanted):
            await voices.take_in(
                "t", Voice(id="i", name="A", added_at=datetime.now(UTC), samples=1, seconds=9)
            )
        assert await voices.fingerprint("t") == ""
        assert await voices.label(TALK, Audio(path=tmp_path / "none.wav", seconds=1), "t") is TALK
    assert await Voices(store, settings(tmp_path)).all("t") == []


async def test_the_store_holds_neither_names_nor_prints_in_the_clear(
    tmp_path: Path, store: RedisStore, redis: Redis
) -> None:
    voices = Voices(store, settings(tmp_path))
    samples = sampled(vector=(0.123456, 0.98), vendor="print 7", vendor_seconds=9.0)
    await voices.add("t", "Anna Example", samples)
    async with voices.derived("t", replace(TALK, names={"Speaker 1": "Anna Example"}), "0" * 64):
        pass
    await voices.remove("t", "Anna Example")
    await voices.add("t", "Anna Example", samples)
    held: list[Any] = []
    for key in await redis.keys("*"):
        kind = await redis.type(key)
        held.append((key, await redis.hgetall(key) if kind == b"hash" else None))
        held.append(await redis.xrange(key) if kind == b"stream" else None)
    assert "voice-added" in repr(held)
    assert "voices:t" in repr(held)
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*.aof"))
    for secret in ("Anna", "Example", "0.1234", "print 7"):
        assert secret not in repr(held)
        assert secret.encode() not in on_disk


async def test_workspaces_know_nothing_of_each_other(
    tmp_path: Path, tiny_models: Path, store: RedisStore, people: dict[str, Sampled]
) -> None:
    config = settings(tmp_path, tiny_models)
    voices = Voices(store, config)
    await voices.add("t", "Anna", people["Anna"])
    audio = recorded(tmp_path / "talk.wav", "dark", "bright")
    assert (await voices.label(TALK, audio, "other")) == TALK
    assert await voices.all("other") == []
    assert await voices.fingerprint("other") == ""
    assert await voices.remove("other", "Anna") is None
    assert len(await voices.all("t")) == 1


async def test_the_fingerprint_changes_with_everything_that_names_depend_on(
    tmp_path: Path, store: RedisStore
) -> None:
    voices = Voices(store, settings(tmp_path))
    seen = [await voices.fingerprint("t")]
    assert seen == [""]
    await voices.add("t", "Anna", sampled(vector=(1.0, 0.0)))
    seen.append(await voices.fingerprint("t"))
    assert await voices.fingerprint("t") == seen[-1]
    await voices.add("t", "Anna", sampled(vector=(1.0, 0.1)))
    seen.append(await voices.fingerprint("t"))
    await voices.add("t", "Ben", sampled(vector=(0.0, 1.0)))
    seen.append(await voices.fingerprint("t"))
    seen.append(await Voices(store, settings(tmp_path, voices_sure=0.8)).fingerprint("t"))
    anna = (await voices.all("t"))[0]
    # The same voices in another workspace are not the same.
    await store.remember("voices:u", anna.id, await store.recall("voices:t", anna.id) or "")
    await voices.remove("t", "Ben")
    seen += [await voices.fingerprint("t"), await voices.fingerprint("u")]
    assert len(set(seen)) == len(seen) - 1  # without Ben it is what it was before him
    assert seen[5] == seen[2]


async def test_a_damaged_voice_is_passed_over(
    tmp_path: Path, store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    voices = Voices(store, settings(tmp_path))
    await voices.add("t", "Anna", sampled(vector=(1.0, 0.0)))
    await store.remember("voices:t", "broken", '{"name": "Secret Person"}')
    assert [found.name for found in await voices.all("t")] == ["Anna"]
    assert "voice broken is damaged" in caplog.text
    assert "Secret" not in caplog.text


async def test_a_vendors_print_is_replaced_by_one_from_no_less_speech(
    tmp_path: Path, store: RedisStore
) -> None:
    voices = Voices(store, settings(tmp_path))
    for vendor, seconds, kept in (("a", 20, "a"), ("b", 10, "a"), ("c", 20, "c"), (None, 30, "c")):
        found = await voices.add("t", "Anna", sampled(vendor=vendor, vendor_seconds=float(seconds)))
        assert found.vendor == kept


# recognising at the vendor


async def with_prints(store: RedisStore, config: Settings, vendor: Vendor, *names: str) -> Voices:
    voices = Voices(store, config, connect=lambda _settings: vendor)
    for name in names:
        await voices.add("t", name, sampled(vendor=name, vendor_seconds=20.0))
    return voices


async def test_the_vendor_hears_excerpts_and_no_names(tmp_path: Path, store: RedisStore) -> None:
    # Each speaker's nine seconds, half a second apart.
    vendor = Vendor(stretches=[(0, 9, "Ben", 0.9), (9.5, 18.5, "Anna", 0.65)])
    voices = await with_prints(store, settings(tmp_path), vendor, "Anna", "Ben")
    audio = recorded(tmp_path / "talk.wav", "dark", "bright")
    found = await voices.label(TALK, audio, "t")
    assert (found.names, found.suggestions) == ({"Speaker 1": "Ben"}, {"Speaker 2": "Anna"})
    (seconds, prints, threshold) = vendor.asked[0]
    assert seconds == pytest.approx(19.0)
    assert threshold == pytest.approx(0.6)
    assert sorted(prints.values()) == ["Anna", "Ben"]
    assert not {"Anna", "Ben"} & prints.keys()
    assert vendor.closed == 1
    assert [path.name for path in tmp_path.glob("*.wav")] == ["talk.wav"]


async def test_more_than_fifty_voices_are_paid_for_as_several_requests(
    tmp_path: Path, store: RedisStore
) -> None:
    vendor, purse = Vendor(stretches=[(0, 9, "P52", 0.9)]), Purse()
    await with_prints(store, settings(tmp_path), vendor, *(f"P{index}" for index in range(51)), "P52")
    voices = Voices(store, settings(tmp_path), connect=lambda _settings: vendor, accounts=purse, price="p")
    found = await voices.label(TALK, recorded(tmp_path / "talk.wav", "dark", "bright"), "t")
    assert found.names == {"Speaker 1": "P52"}
    assert purse.entries == [("t", "pyannoteai", "p", 38), ("receipt", 38)]


@pytest.mark.parametrize(
    "trouble", [Transient("503"), Rejected("no"), Misconfigured("x"), OSError("gone"), ValueError("odd")]
)
async def test_a_vendor_in_trouble_costs_names_but_no_transcript(
    tmp_path: Path, store: RedisStore, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    vendor = Vendor(trouble=trouble)
    voices = await with_prints(store, settings(tmp_path), vendor, "Anna Example")
    found = await voices.label(TALK, recorded(tmp_path / "talk.wav", "dark", "bright"), "t")
    assert found.warnings == (
        "The speakers could not be compared with the known voices, so no names were added.",
    )
    assert replace(found, warnings=()) == TALK
    assert "Anna" not in caplog.text
    assert vendor.closed == 1
    assert not list(tmp_path.glob("*-voices.wav"))


async def test_being_stopped_is_no_trouble_to_be_swallowed(tmp_path: Path, store: RedisStore) -> None:
    class Slow(Vendor):
        async def identify(
            self, audio: Audio, voices: Mapping[str, str], *, threshold: float
        ) -> Sequence[Stretch]:
            begun.set()
            await asyncio.Event().wait()
            return []

    begun = asyncio.Event()
    vendor = Slow()
    voices = await with_prints(store, settings(tmp_path), vendor, "Anna")
    task = asyncio.create_task(voices.label(TALK, recorded(tmp_path / "talk.wav", "dark"), "t"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert vendor.closed == 1


async def test_this_machine_is_asked_first_and_takes_over(
    tmp_path: Path, tiny_models: Path, store: RedisStore, people: dict[str, Sampled]
) -> None:
    config = settings(tmp_path, tiny_models)
    vendor = Vendor(trouble=Transient("503"))
    voices = Voices(store, config, connect=lambda _settings: vendor)
    await voices.add("t", "Anna", people["Anna"])
    await voices.add("t", "Anna", sampled(vendor="Anna", vendor_seconds=9.0))
    audio = recorded(tmp_path / "talk.wav", "dark", "bright")
    assert (await voices.label(TALK, audio, "t")).names == {"Speaker 2": "Anna"}
    assert vendor.asked == []
    # The vendor knows one voice more, but is in trouble.
    await voices.add("t", "Ben", sampled(vendor="Ben", vendor_seconds=9.0))
    found = await voices.label(TALK, audio, "t")
    assert (found.names, found.warnings) == ({"Speaker 2": "Anna"}, ())
    assert len(vendor.asked) == 1


async def test_damaged_models_and_voices_of_other_models_give_no_names(
    tmp_path: Path,
    tiny_models: Path,
    store: RedisStore,
    people: dict[str, Sampled],
    caplog: pytest.LogCaptureFixture,
) -> None:
    models = tmp_path / "models"
    shutil.copytree(tiny_models, models)
    config = settings(tmp_path, models)
    voices = Voices(store, config, connect=lambda _settings: None)
    await voices.add("t", "Anna", people["Anna"])
    audio = recorded(tmp_path / "talk.wav", "dark", "bright")
    embedding = models / "toy-speakers" / "embedding.onnx"
    embedding.write_bytes(embedding.read_bytes()[:-40])
    assert await Voices(store, config).label(TALK, audio, "t") == TALK
    assert "none of the 1 voices" in caplog.text
    (digest_now,) = {await Voices(store, config)._comparison._model.digest()}
    anna = (await voices.all("t"))[0]
    broken = replace(anna, embeddings={digest_now: next(iter(anna.embeddings.values()))})
    await voices._keep("t", broken)
    found = await Voices(store, config).label(TALK, audio, "t")
    assert found.names == {}
    assert len(found.warnings) == 1


@dataclass
class Purse:
    """Accounts that only note what is set aside and booked."""

    broke: bool = False
    permits: int = 0
    entries: list[tuple[Any, ...]] = field(default_factory=list)

    @asynccontextmanager
    async def permit(self, account: str, *, concurrency: int, per_minute: int | None) -> AsyncIterator[None]:
        self.permits += 1
        yield

    async def pause(self, account: str, seconds: float) -> None: ...

    async def resting(self, engine: str) -> float:
        return 0

    async def worked(self, engine: str) -> None: ...

    async def failed(self, engine: str) -> None: ...

    async def undecided(self, engine: str) -> None: ...

    async def reserve(self, tenant: str, engine: str, price: str, seconds: float) -> str:
        if self.broke:
            raise Rejected("This month's budget is spent.")
        self.entries.append((tenant, engine, price, round(seconds)))
        return "receipt"

    async def settle(self, receipt: str, seconds: float) -> None:
        self.entries.append((receipt, round(seconds)))


async def test_identification_is_paid_from_the_workspaces_budget(tmp_path: Path, store: RedisStore) -> None:
    vendor, purse = Vendor(), Purse()
    await with_prints(store, settings(tmp_path), vendor, "Anna")
    voices = Voices(
        store, settings(tmp_path), connect=lambda _settings: vendor, accounts=purse, price="identify"
    )
    audio = recorded(tmp_path / "talk.wav", "dark", "bright")
    await voices.label(TALK, audio, "t")
    assert purse.entries == [("t", "pyannoteai", "identify", 19), ("receipt", 19)]
    assert purse.permits == 1
    vendor.trouble = Transient("503")
    await voices.label(TALK, audio, "t")
    assert purse.entries[-1] == ("receipt", 0)
    purse.broke = True
    asked = len(vendor.asked)
    assert (await voices.label(TALK, audio, "t")).names == {}
    assert len(vendor.asked) == asked


# everything derived


NAMED = replace(TALK, names={"Speaker 1": "Anna"}, suggestions={"Speaker 2": "Ben"})


async def keep(ledger: Ledger, transcript: Transcript, key: str) -> Claim:
    """Let a job commit a transcript, whose delivery is owed then."""
    recording = Recording(
        key=f"share {key}",
        content_key="sha256:abc",
        platform="fake",
        door="fake",
        address="{}",
        name="meeting.m4a",
        shared_at=datetime(2026, 11, 22, tzinfo=UTC),
        policy=Policy(tenant="t"),
    )
    _, ticket = await ledger.submit(recording, "short")
    claim = await ledger.begin(ticket.job_id, ticket.run, max_crashes=3, poison_message="poison")
    assert isinstance(claim, Claim)
    await ledger.lead(claim, key)
    blob = Vault(KEY).seal(pack(transcript))
    tickets = await ledger.commit(claim, key, blob, life_seconds=600, budget_bytes=10**6)
    assert isinstance(tickets, list)
    delivering = await ledger.begin(tickets[0].job_id, tickets[0].run, max_crashes=3, poison_message="poison")
    assert isinstance(delivering, Claim)
    return delivering


async def two_people(store: RedisStore, config: Settings) -> Voices:
    voices = Voices(store, config)
    await voices.add("t", "Anna", sampled(vector=(1.0, 0.0)))
    await voices.add("t", "Ben", sampled(vector=(0.0, 1.0)))
    return voices


async def test_removing_a_voice_deletes_the_transcripts_that_name_it(
    tmp_path: Path, store: RedisStore, ledger: Ledger, redis: Redis
) -> None:
    voices = await two_people(store, settings(tmp_path))
    for key, transcript in (("a", NAMED), ("b", replace(NAMED, suggestions={})), ("c", TALK)):
        async with voices.derived("t", transcript, key):
            claim = await keep(ledger, transcript, key)
        await ledger.settle(claim, "{}")
    assert await voices.remove("t", "ben") == 1
    assert await store.transcript("a") is None
    assert await store.transcript("b") == replace(NAMED, suggestions={})
    assert await store.transcript("c") == TALK
    assert set(await redis.hkeys(f"{PREFIX}:sizes")) == {b"b", b"c"}
    assert set(await redis.zrange(f"{PREFIX}:results", 0, -1)) == {b"b", b"c"}
    assert await voices.remove("t", "Anna") == 1
    assert await store.memories("voices:t") == {}
    assert await store.memories("voices-named:t") == {}
    entries = [entry async for entry in store.audit_entries()]
    assert [entry["transcripts"] for entry in entries if entry["event"] == "voice-removed"] == ["1", "1"]
    assert "Anna" not in json.dumps(entries)


async def test_a_transcript_that_is_still_to_be_delivered_loses_the_name_only(
    tmp_path: Path, store: RedisStore, ledger: Ledger, redis: Redis
) -> None:
    voices = await two_people(store, settings(tmp_path))
    async with voices.derived("t", NAMED, "a"):
        claim = await keep(ledger, NAMED, "a")
    life = await redis.pttl(f"{PREFIX}:result:a")
    assert await voices.remove("t", "Anna") == 1
    assert await store.transcript("a") == replace(NAMED, names={})
    assert 0 < await redis.pttl(f"{PREFIX}:result:a") <= life
    size = await redis.strlen(f"{PREFIX}:result:a")
    assert int(await redis.hget(f"{PREFIX}:sizes", "a") or 0) == size
    assert await voices.remove("t", "Ben") == 1
    assert await store.transcript("a") == TALK
    assert await ledger.settle(claim, "{}")


async def test_a_voice_removed_while_a_transcript_is_made_is_not_named_in_it(
    tmp_path: Path, store: RedisStore, ledger: Ledger
) -> None:
    voices = await two_people(store, settings(tmp_path))
    async with voices.derived("t", NAMED, "a"):
        await voices.remove("t", "Anna")
        await keep(ledger, NAMED, "a")
    assert await store.transcript("a") == replace(NAMED, names={})
    await voices.remove("t", "Ben")
    async with voices.derived("t", NAMED, "b"):  # both were removed since it was labelled
        await keep(ledger, NAMED, "b")
    assert await store.transcript("b") == TALK


async def test_what_is_noted_of_transcripts_that_are_gone_is_tidied_up(
    tmp_path: Path, store: RedisStore, ledger: Ledger
) -> None:
    voices = await two_people(store, settings(tmp_path))
    for key in ("expired", "ab", "00ff"):
        async with voices.derived("t", NAMED, key):
            if key != "expired":
                await keep(ledger, NAMED, key)
    assert set(await store.memories("voices-named:t")) == {"ab", "00ff"}
    assert not await store.drop_result("expired", lambda found: found)


async def test_a_store_that_restarts_costs_no_labelled_transcript(
    tmp_path: Path, store: RedisStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = await two_people(store, settings(tmp_path))
    monkeypatch.setattr("core.voices._PAUSES", (0.0, 0.0))
    outages: list[Exception | None] = [ConnectionError(), None, RedisConnectionError(), None]
    memories = store.memories

    async def unreliable(space: str) -> Mapping[str, str]:
        if outages and (outage := outages.pop(0)):
            raise outage
        return await memories(space)

    monkeypatch.setattr(store, "memories", unreliable)
    async with voices.derived("t", NAMED, "a"):
        await keep(ledger, NAMED, "a")
    assert not outages
    monkeypatch.undo()
    assert set(await store.memories("voices-named:t")) == {"a"}
    assert await store.transcript("a") == NAMED


# files


def test_exported_voices_come_back_whole() -> None:
    voice_ = Voice(
        id="i",
        name="Zoë Ünal",
        added_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        samples=2,
        seconds=31.5,
        embeddings={"net": Embedding(vector=(0.25, -0.5), seconds=31.5)},
        vendor="print",
        vendor_seconds=29.5,
    )
    data = seal([voice_], "correct horse battery")
    assert unseal(data, "correct horse battery") == [voice_]
    assert "Zoë".encode() not in data
    assert b"print" not in data
    broken = bytearray(data)
    broken[len(data) // 2] ^= 1
    with pytest.raises(Misconfigured, match="damaged"):
        unseal(bytes(broken), "correct horse battery")
    with pytest.raises(Misconfigured, match="at least 12"):
        seal([voice_], "short")


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"erni-audio voices 2\n" + bytes(99), b"erni-audio voices 1\n", b"\x00" * 1000],
)
def test_files_that_are_no_voices_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(Misconfigured) as caught:
        unseal(data, "correct horse battery")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "Speaker 2"},
        {"name": "x" * 101},
        {"seconds": -1},
        {"seconds": "NaN"},
        {"embeddings": {"net": {"vector": [], "seconds": 1}}},
        {"embeddings": {"net": {"vector": [1e999], "seconds": 1}}},
        {"embeddings": {"net": {"vector": [0.0] * 5000, "seconds": 1}}},
        {"embeddings": {"net": {"vector": [1.0], "seconds": 0}}},
        {"samples": "many"},
    ],
)
def test_a_file_from_somebody_with_the_passphrase_is_not_believed_either(change: dict[str, Any]) -> None:
    given = {"id": "i", "name": "Anna", "added_at": "2026-11-22T12:00:00Z", "samples": 1, "seconds": 9.0}
    assert [found.name for found in believed(json.dumps([given]).encode())] == ["Anna"]
    with pytest.raises(Misconfigured):
        believed(json.dumps([given | change]).encode())


async def test_imported_voices_are_new_and_never_replace_anybody(tmp_path: Path, store: RedisStore) -> None:
    voices = await two_people(store, settings(tmp_path))
    anna = (await voices.all("t"))[0]
    assert not await voices.take_in("t", replace(anna, name="ANNA"))
    assert await voices.take_in("u", anna)
    copy = (await voices.all("u"))[0]
    assert copy.id != anna.id
    assert replace(copy, id=anna.id) == anna


@pytest.mark.parametrize(
    ("given", "kept"),
    [("  Anna\tB. ", "Anna B."), ("Zoe\u0308", "Zoë"), ("\x1b[31mEva\x00", "[31mEva"), ("שרה", "שרה")],
)
def test_names_are_kept_fit_to_be_shown(given: str, kept: str) -> None:
    assert checked_name(given) == kept


@pytest.mark.parametrize("name", ["", " ", "\u200b", "\x00\x01", "x" * 101, "Speaker 2", "unknown SPEAKER"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(Misconfigured):
        checked_name(name)


async def test_stretches_are_cut_out_to_the_sample(tmp_path: Path) -> None:
    seconds = write_wav(tmp_path / "a.wav", [voice("dark", 3)])
    places, whole = await cut(
        [(tmp_path / "a.wav", (0.5, 1.5)), (tmp_path / "a.wav", (2.5, 9.0))], tmp_path / "b.wav", gap=0.5
    )
    assert places == [(0.0, 1.0), (1.5, pytest.approx(1.5 + seconds - 2.5))]
    assert whole == pytest.approx(places[1][1] + 0.5)
