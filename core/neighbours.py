"""What lies beside recordings in a folder of somebody's cloud, and what lies below what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from core.filenames import PARTIAL_SUFFIXES, folded, is_recording
from core.inbox import answer_sets, output_folder
from core.remote import RemoteFile

_MOST_MARKS = 1000  # they are kept with every cursor


class Tree:
    """Ids of files by path, and by every folder above, also where case or accents don't count."""

    def __init__(self, files: Iterable[tuple[str, str]] = ()) -> None:
        self._paths: dict[str, str] = {}
        self._under: dict[str, set[str]] = {}
        for file_id, path in files:
            self.put(file_id, path)

    def put(self, file_id: str, path: str) -> None:
        """The file is at this path now."""
        path = folded(path)
        if self._paths.get(file_id) == path:
            return
        self.discard(file_id)
        self._paths[file_id] = path
        for place in _places(path):
            self._under.setdefault(place, set()).add(file_id)

    def discard(self, file_id: str) -> None:
        """The file is nowhere; an unknown one is fine."""
        for place in _places(self._paths.pop(file_id, "")):
            ids = self._under[place]
            ids.discard(file_id)
            if not ids:
                del self._under[place]

    def under(self, path: str) -> frozenset[str]:
        """Files at or below the path."""
        return frozenset(self._under.get(folded(path), ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A transcript, what the names of its set begin with, and the number of that."""

    file: RemoteFile
    base: str
    number: int


class Neighbours:
    """Files that tell something about the recordings beside them: transcripts of ours, and marks of files
    that are still arriving."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._marks: dict[str, str] = {}
        self._answers: dict[str, RemoteFile] = {}

    def put(self, file: RemoteFile) -> None:
        """Take note of a file, if it is one of them."""
        self.discard(file.id)
        if file.made_from:
            self._paths[file.id] = file.path
            self._answers[file.path] = file
        elif _is_mark(file.name):
            self._paths[file.id] = file.path
            self._marks[file.path] = file.id

    def discard(self, file_id: str) -> None:
        """The file is not there any more; an unknown one is fine."""
        path = self._paths.pop(file_id, "")
        self._marks.pop(path, None)
        self._answers.pop(path, None)

    def marks(self) -> Mapping[str, str]:
        """What marks files that are still arriving: ids by path, some if there are very many."""
        return dict(islice(self._marks.items(), _MOST_MARKS))

    def recall(self, marks: Mapping[str, str]) -> None:
        """Take note of what `marks` said once."""
        self._marks.update(marks)
        self._paths.update((file_id, path) for path, file_id in marks.items())

    def labels(self) -> Iterable[tuple[str, str]]:
        """Id and path of each."""
        return self._paths.items()

    def arriving(self, path: str) -> bool:
        """Whether something beside it marks the recording at `path` as incomplete."""
        return any(path + suffix in self._marks for suffix in PARTIAL_SUFFIXES)

    def answers(self, path: str, content: str, output: str) -> Iterator[Answer]:
        """Transcripts of just this content where that of the recording at `path` goes. `output`: see
        `core.inbox.output_folder`."""
        folder, _, name = path.rpartition("/")
        folder = output_folder(folder, output)
        for base, number, outputs in answer_sets(name) if self._answers else ():
            for output_name in outputs:
                file = self._answers.get(f"{folder}/{output_name}" if folder else output_name)
                if file is not None and file.made_from == content:
                    yield Answer(file=file, base=base, number=number)


def _is_mark(name: str) -> bool:
    return any(
        name.endswith(suffix) and is_recording(name.removesuffix(suffix)) for suffix in PARTIAL_SUFFIXES
    )


def _places(path: str) -> Iterable[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
