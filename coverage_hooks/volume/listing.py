"""What lies on a volume, by name; whether it is sound, opening it will tell."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coverage_hooks.errors import VolumeError
from coverage_hooks.volume import access, layout, machine

#: More entries than any project has processes: beyond it, this is not a volume.
ENTRIES_LIMIT = 100_000


def recordings(volume: Path) -> list[str]:
    """Return the names of everything in folder *volume* that is named as a recording; `VolumeError` without one."""
    with access.open_folder(volume) as top:
        return sorted(name for name in _names(top) if layout.RECORDING.fullmatch(name))


@contextmanager
def open_recording(volume: Path, recording: str) -> Iterator[int]:
    """Open *recording* in folder *volume* for use as a ``dir_fd``."""
    with access.open_folder(volume) as top, access.open_folder(recording, parent=top) as folder:
        yield folder


def files(folder: int) -> list[str]:
    """Return the names of a recording's journals in *folder*, by number, and `layout.COMPLETE` if it is there.

    Where the file system has failed, the marker says nothing, as it could not be removed, and is not named.
    """
    names = _names(folder)
    found = [match for name in names if (match := layout.JOURNAL.fullmatch(name))]
    journals = [match[0] for match in sorted(found, key=lambda match: int(match["number"]))]
    complete = layout.COMPLETE in names and not machine.has_failed(folder)
    return [*journals, *([layout.COMPLETE] if complete else [])]


def _names(folder: int) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, ENTRIES_LIMIT + 1)]
    except OSError as error:
        raise VolumeError(f"cannot be listed: {error.strerror or error}") from None
    if len(names) > ENTRIES_LIMIT:
        raise VolumeError(f"more than {ENTRIES_LIMIT} entries: this is not a volume of recordings")
    return names
