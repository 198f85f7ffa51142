"""What lies beside recordings in a folder of somebody's cloud, and what lies below what. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from core.filenames import PARTIAL_SUFFIXES, is_recording
from core.inbox import answer_names, output_folder
from core.known import folded
from core.remote import RemoteFile


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


class Neighbours:
    """Files that tell something about the recordings beside them: transcripts of ours, and marks of files
    that are still arriving."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._marks: set[str] = set()
        self._answers: dict[str, str] = {}

    def put(self, file: RemoteFile) -> None:
        """Take note of a file, if it is one of them."""
        self.discard(file.id)
        if file.made_from:
            self._paths[file.id] = file.path
            self._answers[file.path] = file.made_from
        elif _is_mark(file.name):
            self._paths[file.id] = file.path
            self._marks.add(file.path)

    def discard(self, file_id: str) -> None:
        """The file is not there any more; an unknown one is fine."""
        path = self._paths.pop(file_id, "")
        self._marks.discard(path)
        self._answers.pop(path, None)

    def labels(self) -> Iterable[tuple[str, str]]:
        """Id and path of each."""
        return self._paths.items()

    def arriving(self, path: str) -> bool:
        """Whether something beside it marks the recording at `path` as incomplete."""
        return any(path + suffix in self._marks for suffix in PARTIAL_SUFFIXES)

    def answered(self, path: str, content: str, output: str) -> bool:
        """Whether a transcript of just this content lies where that of the recording at `path` goes.
        `output`: see `core.inbox.output_folder`."""
        if not self._answers:
            return False
        folder, _, name = path.rpartition("/")
        folder = output_folder(folder, output)
        places = (f"{folder}/{answer}" if folder else answer for answer in answer_names(name))
        return any(self._answers.get(place) == content for place in places)


def _is_mark(name: str) -> bool:
    return any(
        name.endswith(suffix) and is_recording(name.removesuffix(suffix)) for suffix in PARTIAL_SUFFIXES
    )


def _places(path: str) -> Iterable[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
