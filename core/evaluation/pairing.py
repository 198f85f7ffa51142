"""Which reference belongs to which hypothesis. Recordings are found in files and folders, one file for each,
and matched by the names that they go by: the session id in the file, the file's name, the folder's name."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from core.evaluation.reading import SUFFIXES, format_suffix, read
from core.evaluation.session import NoTranscript, Session, Unreadable

_GENERIC = frozenset(
    {"ref", "reference", "hyp", "hypothesis", "transcript", "truth", "gold", "result", "output"}
)
"""File names that say what a file is for; the folder then says which recording it is about."""

_MEDIA = frozenset(
    {
        ".3gp",
        ".aac",
        ".aiff",
        ".amr",
        ".avi",
        ".flac",
        ".m4a",
        ".m4b",
        ".mkv",
        ".mov",
        ".mp3",
        ".mp4",
        ".mpeg",
    }
    | {".oga", ".ogg", ".opus", ".wav", ".webm", ".wma"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording of a side. `names` are what it goes by, the most telling first."""

    path: Path
    session: Session
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a file or folder holds, and one line for each file in it that can't be used."""

    recordings: tuple[Recording, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Pairs as (reference, hypothesis), in the order of the references, and what is left over."""

    pairs: tuple[tuple[Recording, Recording], ...]
    lone_references: tuple[Recording, ...]
    lone_hypotheses: tuple[Recording, ...]


def find(root: Path) -> Found:
    """The recordings in the file or folder `root`. Files that are not transcripts are passed over in a
    folder. Raises Unreadable if `root` is a file that can't be used, or holds no transcript at all."""
    if not root.is_dir():
        return Found(recordings=tuple(_recordings(root, root.parent)))
    recordings: list[Recording] = []
    problems: list[str] = []
    for candidates in _grouped(root):
        for path in candidates:
            try:
                recordings += _recordings(path, root)
            except NoTranscript:
                continue
            except Unreadable as error:
                problems.append(str(error))
            break
    if not recordings and not problems:
        raise Unreadable(f"{root}: no transcript in this folder; readable are {', '.join(SUFFIXES)}.")
    return Found(recordings=tuple(_named(recordings)), problems=tuple(problems))


def pair(references: Sequence[Recording], hypotheses: Sequence[Recording]) -> Pairing:
    """Match by the most telling name that both sides know; one recording on each side is always a pair.

    Names that several recordings of one side share match nothing.
    """
    if len(references) == 1 and len(hypotheses) == 1:
        return Pairing(pairs=((references[0], hypotheses[0]),), lone_references=(), lone_hypotheses=())
    ours, theirs = _unique_names(references), _unique_names(hypotheses)
    by_name = {name: place for place, names in enumerate(theirs) for name in names}
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for rank in range(max(map(len, ours), default=0)):
        for place, names in enumerate(ours):
            if place in partner or rank >= len(names):
                continue
            match = by_name.get(names[rank])
            if match is not None and match not in taken:
                partner[place] = match
                taken.add(match)
    return Pairing(
        pairs=tuple((references[place], hypotheses[partner[place]]) for place in sorted(partner)),
        lone_references=tuple(one for place, one in enumerate(references) if place not in partner),
        lone_hypotheses=tuple(one for place, one in enumerate(hypotheses) if place not in taken),
    )


def stem(path: PurePath) -> str:
    """The file name without what says format and purpose: `NAME.transcript.json` and `NAME.seglst.json` are
    NAME, `ref.words.seglst.json` is ref."""
    name = path.name
    first = name.split(".")[0]
    if first.lower() in _GENERIC:
        return first
    name = name[: len(name) - len(path.suffix)]
    for ending in (".seglst", ".transcript", ".words", ".ref", ".hyp"):
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
    return name


def _grouped(root: Path) -> list[list[Path]]:
    """The readable files under `root`, those of one recording together, the richest and plainest-named first:
    `ref.seglst.json` before `ref.words.seglst.json` before `ref.rttm`."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for folder, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and format_suffix(path):
                groups.setdefault((folder, stem(path)), []).append(path)
    return [sorted(paths, key=_richness) for paths in groups.values()]


def _refuse(error: OSError) -> None:
    raise Unreadable(f"{error.filename}: {error.strerror or 'cannot be read'}.")


def _richness(path: Path) -> tuple[int, int, str]:
    return SUFFIXES.index(path.suffix.lower()), len(path.name), path.name


def _recordings(path: Path, root: Path) -> Iterable[Recording]:
    sessions = read(path)
    if len(sessions) > 1:
        return [
            Recording(path=path, session=session, names=_once([session.session_id or stem(path)]))
            for session in sessions
        ]
    own = stem(path)
    folder = path.absolute().parent.name
    inside = PurePath(path.relative_to(root).parent, own).as_posix()
    names = [inside, own] if own.lower() not in _GENERIC else []
    if PurePath(own).suffix.lower() in _MEDIA:
        names.append(PurePath(own).stem)
    session_id = sessions[0].session_id
    known = [session_id] if session_id else []
    return [Recording(path=path, session=sessions[0], names=_once([*known, *names, folder]))]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(unicodedata.normalize("NFC", name) for name in names if name))


def _named(recordings: Sequence[Recording]) -> list[Recording]:
    """A session that a folder holds twice, in a file of many and in one of its own, counts once: the one with
    a file of its own is the more deliberate."""
    single = {one.names[0] for one in recordings if len(one.names) > 1}
    return [one for one in recordings if len(one.names) > 1 or one.names[0] not in single]


def _unique_names(recordings: Sequence[Recording]) -> list[tuple[str, ...]]:
    count = Counter(name for one in recordings for name in one.names)
    return [tuple(name for name in one.names if count[name] == 1) for one in recordings]
