"""A volume that is a folder here: a claim mounted on the test machine, or what an operator wrote under ``kopf run``.

Read as it is, and never written: see `coverage_hooks.volume.access` for what may lie in it.
"""

from __future__ import annotations

import os
from pathlib import Path

from coverage_hooks.collect import outputs
from coverage_hooks.collect.source import LET_READ, Announcement
from coverage_hooks.errors import NotPermitted, SourceError, VolumeError
from coverage_hooks.volume import access, layout, listing, machine
from coverage_hooks.volume.manifest import MANIFEST_LIMIT


class Directory:
    """The recordings in folder *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def recordings(self) -> list[str]:
        """Return the names of everything that is named as a recording, whatever it is."""
        try:
            return listing.recordings(self.path)
        except VolumeError as error:
            which = (
                "give --from the folder that COVERAGE_HOOKS_DIR named in the operator, or where its volume is mounted "
                "here"
            )
            advice = LET_READ if isinstance(error, NotPermitted) else which
            raise SourceError(f"no recordings can be read from {str(self.path)!r}: {error}; {advice}") from None

    def announcement(self, recording: str) -> Announcement:
        """Return the manifest of *recording* as it is now."""
        with listing.open_recording(self.path, recording) as folder:
            content, age = access.read_aged_file(layout.MANIFEST, parent=folder, limit=MANIFEST_LIMIT)
        return Announcement(content=content, age=age)

    def files(self, recording: str) -> list[str]:
        """Return the names of the journals of *recording*, by number, and `layout.COMPLETE` if it is there.

        The marker says nothing where the folder cannot be written: it is kept there, and nothing else is taken.
        """
        with listing.open_recording(self.path, recording) as folder:
            is_read_only = os.fstatvfs(folder).f_flag & os.ST_RDONLY
            return [name for name in listing.files(folder) if not (is_read_only and name == layout.COMPLETE)]

    def copy(self, recording: str, name: str, target: Path, *, limit: int) -> None:
        """Copy to *target* what journal *name* of *recording* has at the first look; at most *limit* bytes."""
        with (
            listing.open_recording(self.path, recording) as folder,
            access.open_file(name, parent=folder, limit=limit) as descriptor,
            outputs.replacing(target) as copy,
        ):
            size = min(os.fstat(descriptor).st_size, limit)  # it may have grown since it was opened
            for first in range(0, size, access.CHUNK):
                copy.write(access.read_range(name, descriptor, first, min(access.CHUNK, size - first)))
            access.check_same(name, descriptor, parent=folder, size=size)

    def boot(self) -> str:
        """Return the boot id of this machine."""
        return machine.boot_id()

    def close(self) -> None:
        """Nothing was taken."""
