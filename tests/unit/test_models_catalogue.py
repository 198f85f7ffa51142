"""The catalogue is complete and pinned, and the choice of a model fits the machine."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engines import machine
from core.engines.catalogue import REQUIRED, SETS, catalogue, choose_model, fits, ideal_model

GIB = 2**30
SPEECH = [item.name for item in catalogue() if item.purpose == "speech"]


@pytest.mark.parametrize("item", catalogue(), ids=lambda item: item.name)
def test_every_set_is_pinned_and_complete(item: object) -> None:
    assert item in SETS.values()
    found = next(one for one in catalogue() if one is item)
    assert {file.name for file in found.files} >= set(REQUIRED[found.purpose])
    assert found.bytes == sum(file.bytes for file in found.files)
    for file in found.files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert re.fullmatch(r"[\w.-]+", file.name)
        assert file.bytes > 0
        assert file.licence
        assert file.url("https://mirror.example/hub/").startswith("https://mirror.example/hub/")
        assert file.url().startswith("https://huggingface.co/")


def test_folders_and_digests_of_weights_are_distinct() -> None:
    assert len({item.folder for item in catalogue()}) == len(catalogue())
    weights = [f.sha256 for item in catalogue() for f in item.files if f.bytes > 5_000_000]
    assert len(set(weights)) == len(weights)


@pytest.mark.parametrize(
    ("memory", "cores", "gpu", "expected"),
    [
        (1, 1, None, "tiny"),
        (1, 64, None, "tiny"),
        (2, 1, None, "base"),
        (3, 2, None, "small"),
        (8, 2, None, "small"),
        (8, 4, None, "large-v3-turbo"),
        (3, 8, None, "small"),
        (64, 64, None, "large-v3-turbo"),
        (16, 2, 1, "base"),
        (16, 2, 2, "small"),
        (16, 2, 4, "large-v3-turbo"),
        (16, 2, 6, "large-v3"),
        (16, 2, 80, "large-v3"),
        (16, 8, 0, "large-v3-turbo"),  # a GPU too small for anything: the processor does it
    ],
)
def test_the_ideal_model_for_a_machine(memory: int, cores: int, gpu: int | None, expected: str) -> None:
    gpu_bytes = None if gpu is None else gpu * GIB
    assert ideal_model(memory * GIB, cores, gpu_bytes) == expected
    assert choose_model(memory * GIB, cores, gpu_bytes, ()) == expected


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"small"}, "small"),
        ({"tiny", "base"}, "base"),
        ({"tiny", "large-v3"}, "tiny"),
        ({"medium"}, "medium"),  # larger, slow, but better than nothing
        ({"medium", "large-v3"}, "medium"),
        ({"speakers"}, "small"),
    ],
)
def test_what_is_installed_is_used(installed: set[str], expected: str) -> None:
    assert choose_model(8 * GIB, 2, None, installed) == expected


def test_an_installed_model_that_does_not_fit_is_not_used() -> None:
    assert choose_model(3 * GIB, 2, None, {"large-v3"}) == "small"


memories = st.integers(0, 256 * GIB)
gpus = st.none() | st.integers(0, 128 * GIB)


@given(memories, st.integers(1, 256), gpus, st.sets(st.sampled_from(SPEECH)))
def test_the_choice_is_ideal_or_installed(
    memory: int, cores: int, gpu: int | None, installed: set[str]
) -> None:
    chosen = choose_model(memory, cores, gpu, installed)
    ideal = ideal_model(memory, cores, gpu)
    assert chosen in installed | {ideal}
    if ideal in installed:
        assert chosen == ideal
    assert ideal == "tiny" or fits(ideal, memory, gpu) or fits(ideal, memory, None)


@given(memories, st.integers(1, 256))
def test_more_memory_never_means_a_smaller_model(memory: int, cores: int) -> None:
    assert SPEECH.index(ideal_model(memory + GIB, cores, None)) >= SPEECH.index(
        ideal_model(memory, cores, None)
    )


@given(st.integers(1, 512), st.booleans())
def test_cores_are_shared_without_starving_anyone(cores: int, gpu: bool) -> None:
    recogniser, diarizer = machine.share_cores(cores, gpu=gpu)
    assert recogniser >= 1
    assert diarizer >= 1
    assert recogniser + diarizer <= max(2, cores)


def test_the_limits_of_a_container_are_read() -> None:
    assert machine.parse_cpu_max("150000 100000\n") == 1.5
    assert machine.parse_cpu_max("max 100000\n") is None
    assert machine.parse_cpu_max("") is None
    assert machine.parse_cpu_max("1 0") is None
    assert machine.parse_memory_max("1073741824\n") == GIB
    assert machine.parse_memory_max("max\n") is None
    assert machine.parse_gpu_memory("24576\n81559\n") == 81559 * 2**20
    assert machine.parse_gpu_memory("[N/A]\n") is None


def test_this_machine_is_seen() -> None:
    seen = machine.probe()
    assert seen.cores >= 1
    assert seen.memory_bytes > 2**26
