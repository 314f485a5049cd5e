"""Deleting recordings from a folder, on purpose and by name.

Only what a recorder writes is deleted, and a recording that holds anything else is left alone as a whole. No link is
followed: every folder is opened without, and a name is removed, never what it points to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from coverage_hooks.errors import UnsafeEntry, VolumeError
from coverage_hooks.volume import access, layout


def remove(volume: Path, recording: str) -> None:
    """Delete *recording* from folder *volume*; `VolumeError` when it is not one, or not only one."""
    if not layout.RECORDING.fullmatch(recording):
        raise UnsafeEntry(f"{recording!r} is not the name of a recording")
    with access.open_folder(volume) as top:
        with access.open_folder(recording, parent=top) as folder:
            try:
                names = os.listdir(folder)  # noqa: PTH208 - of a descriptor, not of a path
                _check(names, folder)
                # The manifest last: what is interrupted here is still seen as a recording, and can be pruned again.
                for name in sorted(names, key=lambda name: name == layout.MANIFEST):
                    os.unlink(name, dir_fd=folder)
            except OSError as error:
                raise VolumeError(f"{recording!r} cannot be deleted: {error.strerror or error}") from None
        try:
            os.rmdir(recording, dir_fd=top)
        except OSError as error:
            raise VolumeError(f"{recording!r} cannot be deleted: {error.strerror or error}") from None


def _check(names: list[str], folder: int) -> None:
    for name in names:
        ours = name in {layout.MANIFEST, layout.COMPLETE} or any(
            pattern.fullmatch(name) for pattern in (layout.JOURNAL, layout.TEMPORARY)
        )
        if not ours or stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise UnsafeEntry(f"it holds {name!r}, which no recorder writes; nothing was deleted")
