"""A volume that is a folder here: a claim mounted on the test machine, or what an operator wrote under ``kopf run``.

Read as it is, and never written: see `coverage_hooks.volume.access` for what may lie in it.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coverage_hooks.collect import files
from coverage_hooks.collect.sources import Announcement
from coverage_hooks.errors import SourceError, TooLarge, VolumeError
from coverage_hooks.volume import access, layout
from coverage_hooks.volume.manifest import MANIFEST_LIMIT

#: More entries than any project has processes: beyond it, this is not a volume.
ENTRIES_LIMIT = 100_000


class Directory:
    """The recordings in folder *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def recordings(self) -> list[str]:
        """Return the names of everything that is named as a recording, whatever it is."""
        try:
            with access.open_folder(self.path) as top:
                names = _names(top)
        except VolumeError as error:
            raise SourceError(
                f"no recordings can be read from {str(self.path)!r}: {error}; give --from the folder that "
                "COVERAGE_HOOKS_DIR named in the operator, or where its volume is mounted here"
            ) from None
        return sorted(name for name in names if layout.RECORDING.fullmatch(name))

    def announcement(self, recording: str) -> Announcement:
        """Return the manifest of *recording* as it is now."""
        with self._folder(recording) as folder:
            with access.open_file(layout.MANIFEST, parent=folder, limit=MANIFEST_LIMIT) as descriptor:
                written = os.fstat(descriptor).st_mtime
            content = access.read_file(layout.MANIFEST, parent=folder, limit=MANIFEST_LIMIT)
        return Announcement(content=content, age=max(0.0, time.time() - written))

    def data_files(self, recording: str) -> list[str]:
        """Return the names of the data files of *recording*, the oldest first."""
        with self._folder(recording) as folder:
            found = [match for name in _names(folder) if (match := layout.DATA.fullmatch(name))]
        return [match[0] for match in sorted(found, key=lambda match: int(match["sequence"]))]

    def copy(self, recording: str, name: str, target: Path, *, limit: int) -> None:
        """Copy file *name* of *recording* to *target*; at most *limit* bytes, also if it grows meanwhile."""
        with (
            self._folder(recording) as folder,
            access.open_file(name, parent=folder, limit=limit) as descriptor,
            files.replacing(target) as copy,
        ):
            left = limit
            while chunk := _read(name, descriptor):
                left -= len(chunk)
                if left < 0:
                    raise TooLarge(f"{name!r} grew beyond the {limit} bytes allowed while it was read")
                copy.write(chunk)

    @contextmanager
    def _folder(self, recording: str) -> Iterator[int]:
        with access.open_folder(self.path) as top, access.open_folder(recording, parent=top) as folder:
            yield folder


def _names(folder: int) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, ENTRIES_LIMIT + 1)]
    except OSError as error:
        raise VolumeError(f"cannot be listed: {error.strerror or error}") from None
    if len(names) > ENTRIES_LIMIT:
        raise VolumeError(f"more than {ENTRIES_LIMIT} entries: this is not a volume of recordings")
    return names


def _read(name: str, descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except OSError as error:
        raise VolumeError(f"{name!r}: {error.strerror or error}") from None
