"""What a watched folder in somebody's cloud shows: from what the platform tells to what `Watched` sees."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from core.following import Selection
from core.neighbours import Answer, Neighbours, Tree
from core.remote import Gone, RemoteFile
from core.watching import Watched


class RemoteView:
    """Of the files of one folder, as they were last told. Those that are waited for are kept as a whole."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._awaited: dict[str, RemoteFile] = {}
        self._neighbours = Neighbours()
        self._tree: Tree | None = None  # made when a platform names what is gone by path

    def begin(self) -> RemoteView:
        """An empty view of the same files, to be filled by a listing."""
        view = RemoteView(self._selection)
        view._awaited = self._awaited
        return view

    def see(self, watched: Watched, file: RemoteFile, now: float, *, keep: bool = True) -> bool:
        """Take note of a file; whether it is one that may be taken. `keep`: it may be waited for."""
        self._neighbours.put(file)
        if self._tree is not None:
            self._tree.put(file.id, file.path)
        if not self._selection.wants(file):
            watched.lose(file.id, now)
            self._awaited.pop(file.id, None)
            return False
        watched.see([file.sighting()], now)
        if keep and watched.is_open(file.id):
            self._awaited[file.id] = file
        else:
            self._awaited.pop(file.id, None)
        return True

    def lose(self, watched: Watched, file_id: str, now: float) -> None:
        """Take note that a file is not there."""
        watched.lose(file_id, now)
        self._neighbours.discard(file_id)
        self._awaited.pop(file_id, None)
        if self._tree is not None:
            self._tree.discard(file_id)

    def marks(self) -> Mapping[str, str]:
        """What `recall` needs in another process that goes on from here without a listing."""
        return self._neighbours.marks()

    def recall(self, marks: Mapping[str, str]) -> None:
        """Take note of what marks recordings as incomplete, as it was."""
        self._neighbours.recall(marks)

    async def named(self, watched: Watched, gone: Gone) -> Collection[str]:
        """The ids of what is gone."""
        if gone.id:
            return (gone.id,)
        if self._tree is None:
            self._tree = await asyncio.to_thread(Tree, chain(watched.labels(), self._neighbours.labels()))
        return self._tree.under(gone.path)

    def keep(self, file: RemoteFile) -> None:
        """Wait for the file once more."""
        self._awaited[file.id] = file

    def take(self, file_id: str) -> RemoteFile | None:
        """A file that was waited for."""
        return self._awaited.pop(file_id, None)

    def arriving(self, path: str) -> bool:
        """Whether something beside it marks the recording at `path` as incomplete."""
        return self._neighbours.arriving(path)

    def answers(self, path: str, content: str) -> Iterator[Answer]:
        """Transcripts of just this content where that of the recording at `path` goes."""
        return self._neighbours.answers(path, content, self._selection.output)
