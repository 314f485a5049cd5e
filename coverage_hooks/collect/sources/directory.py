"""A volume that is a folder here: a claim mounted on the test machine, or what an operator wrote under ``kopf run``.

Read as it is, and never written: see `coverage_hooks.volume.access` for what may lie in it.
"""

from __future__ import annotations

from pathlib import Path

from coverage_hooks.collect import files
from coverage_hooks.collect.sources import LET_READ, Announcement
from coverage_hooks.errors import NotPermitted, SourceError, TooLarge, VolumeError
from coverage_hooks.volume import access, layout, listing
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

    def data_files(self, recording: str) -> list[str]:
        """Return the names of the data files of *recording*, the oldest first."""
        with listing.open_recording(self.path, recording) as folder:
            return listing.data_files(folder)

    def copy(self, recording: str, name: str, target: Path, *, limit: int) -> None:
        """Copy file *name* of *recording* to *target*; at most *limit* bytes, also if it grows meanwhile."""
        with (
            listing.open_recording(self.path, recording) as folder,
            access.open_file(name, parent=folder, limit=limit) as descriptor,
            files.replacing(target) as copy,
        ):
            left = limit
            while chunk := access.read_chunk(name, descriptor):
                left -= len(chunk)
                if left < 0:
                    raise TooLarge(f"{name!r} grew beyond the {limit} bytes allowed while it was read")
                copy.write(chunk)

    def close(self) -> None:
        """Nothing was taken."""
