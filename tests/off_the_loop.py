"""Watches that what takes long in the libraries of Dropbox and Google is not done on the event loop."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_LONG = (
    ("requests", "Session.send"),
    ("httplib2", "Http.request"),
    ("connectors.dropbox.entries", "digest"),
    ("connectors.gdrive.writing", "digest"),
    ("connectors.gdrive.credentials", "_service"),  # parses a private key
)


@contextmanager
def off_the_loop() -> Iterator[list[str]]:
    """While it is open what takes long raises in a thread with a running event loop, and is noted: whoever
    calls may swallow what is raised. Modules that are not imported by now are left alone."""
    caught: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for module, path in _LONG:
            owner: Any = sys.modules.get(module)
            if owner is None:
                continue
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent)
            patch.setattr(owner, name, _guarded(getattr(owner, name), f"{module}.{path}", caught))
        yield caught


def _guarded(call: Callable[..., Any], name: str, caught: list[str]) -> Callable[..., Any]:
    @functools.wraps(call)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return call(*args, **kwargs)
        caught.append(name)
        raise AssertionError(f"{name} holds up the event loop.")

    return guarded
