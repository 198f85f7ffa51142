"""Fixtures for the whole suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.off_the_loop import off_the_loop

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Real recordings with references, where this checkout has them beside it."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real recordings (../shared/corpus) is not beside this checkout")
    return CORPUS


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with `toy` (Whisper) and `toy-speakers`, as `tests.tiny_models` describes them."""
    from tests.tiny_models import build_models

    folder = tmp_path_factory.mktemp("models")
    build_models(folder)
    return folder


@pytest.fixture(autouse=True)
def nothing_holds_up_the_event_loop() -> Iterator[None]:
    """No library that blocks is called on it."""
    with off_the_loop() as caught:
        yield
    assert caught == []
