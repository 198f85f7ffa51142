"""The files that are in a watched folder now, and which of them are called alike. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from core.filenames import family, output_base
from core.sightings import Sighting


class Presence:
    """Sightings by path."""

    def __init__(self) -> None:
        self._there: dict[str, Sighting] = {}
        self._families: dict[str, set[str]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._there

    def __iter__(self) -> Iterator[Sighting]:
        return iter(self._there.values())

    def get(self, path: str) -> Sighting | None:
        """The file as it was last seen, None if it is not there."""
        return self._there.get(path)

    def put(self, sighting: Sighting) -> None:
        """It is there."""
        before = self._there.get(sighting.path)
        if before is None or before.label != sighting.label:
            self.discard(sighting.path)
            self._families.setdefault(_family(sighting.label), set()).add(sighting.path)
        self._there[sighting.path] = sighting

    def discard(self, path: str) -> None:
        """It is not there any more; an unknown path is fine."""
        sighting = self._there.pop(path, None)
        if sighting is None:
            return
        relatives = self._families[_family(sighting.label)]
        relatives.discard(path)
        if not relatives:
            del self._families[_family(sighting.label)]

    def base(self, path: str) -> str:
        """What the outputs of the recording at `path` are to be called."""
        sighting = self._there.get(path)
        shown = path if sighting is None else sighting.label
        relatives = self._families.get(_family(shown), {path}) - {path}
        return output_base(shown.rpartition("/")[2], bool(relatives))


def _family(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{family(name)}"
