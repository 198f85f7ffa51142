"""Turn a shared file into audio that engines can hear. The decoding itself is done by a child process."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

from core.child import ONE_THREAD, ChildDied, ChildFailed, run_in_child
from core.errors import Transient
from core.model import Audio
from core.ports import Report
from core.refusals import Refusal
from core.settings import Settings

logger = logging.getLogger(__name__)

_ENDED_BY_OTHERS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL})
_OUR_FAULT = frozenset(
    {"ImportError", "ModuleNotFoundError", "OSError", "FileNotFoundError", "PermissionError"}
)


async def decode(
    source: Path,
    into: Path,
    *,
    settings: Settings,
    report: Report,
    announced_name: str,
    timeout: float | None = None,  # noqa: ASYNC109  (the child must be killed, not only left)
) -> Audio:
    """Decode the file `source` into WAV files in the existing directory `into`.

    `announced_name` is the name that the sharer gave it: of that only the ending is used, and only for
    telephone recordings without a header. `report` gets the finished fraction, counted from the bytes read.

    Raises Rejected, with a sentence for the sharer, for every way in which the file itself is at fault:
    also if it crashes the decoder or takes it to its memory or processor limit. Raises Transient where the
    machine may be: the disk is full, `timeout` seconds passed, or somebody else ended the process.
    ChildFailed means that this installation is broken.
    """
    try:
        fields = await run_in_child(
            "core.decoding:decode_file",
            {
                "source": str(source),
                "into": str(into),
                "announced_name": announced_name,
                "max_seconds": settings.max_seconds,
            },
            report=report,
            memory_bytes=settings.decode_memory_bytes,
            cpu_seconds=settings.decode_cpu_seconds,
            timeout=timeout,
            environment=ONE_THREAD,
        )
    except TimeoutError:
        raise Transient("Decoding took longer than it was given.") from None
    except ChildDied as error:
        logger.warning("the decoder died: signal %s", error.signal_number)
        if error.signal_number is None or error.signal_number in _ENDED_BY_OTHERS:
            raise Transient("The decoder was ended from outside.") from error
        demanding = error.signal_number == signal.SIGXCPU
        raise (Refusal.TOO_DEMANDING if demanding else Refusal.CRASHED).rejected() from error
    except ChildFailed as error:
        logger.warning("the decoder failed: %s", error.kind)
        if error.kind in _OUR_FAULT:
            raise
        demanding = error.kind == "MemoryError"
        raise (Refusal.TOO_DEMANDING if demanding else Refusal.CRASHED).rejected() from error
    return Audio(
        path=Path(fields["path"]),
        seconds=fields["seconds"],
        channels=tuple(Path(channel) for channel in fields["channels"]),
        warnings=tuple(fields["warnings"]),
    )
