"""Puts the manifest on the volume so that a reader, whenever it looks, finds a whole one.

It is written under a temporary name, synchronised, and renamed. Not guaranteed: that the volume answers. Everything
here may block for as long as the volume does, so only the pulse calls it. Raises `OSError`; the next beat tries again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from coverage_hooks.record.folder import Folder
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Manifest

#: What file systems answer that cannot synchronise a folder; the files in it are synchronised all the same.
_NOT_FOR_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


class Publisher:
    """The folder of one recording; not thread-safe, and meant for the pulse alone."""

    def __init__(self, directory: Path, recording: str) -> None:
        self.folder = directory / recording
        self.opened = Folder(self.folder)

    def make_folder(self) -> None:
        """Make the recording's folder, and the volume's if it is missing."""
        self.opened.look()
        if self.opened.at() < 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            _synchronise(os.open(self.folder.parent, os.O_RDONLY | os.O_DIRECTORY))

    def put_manifest(self, manifest: Manifest, *, durable: bool) -> None:
        """Replace the manifest; a mere beat need not survive a power cut, so it is not *durable*."""
        self._write(layout.MANIFEST, manifest.to_bytes(), durable=durable)
        if durable:
            _synchronise(os.dup(self._at()))

    def _at(self) -> int:
        at = self.opened.at()
        if at < 0 and self.opened.failure is not None:
            raise self.opened.failure
        return at

    def _write(self, name: str, content: bytes, *, durable: bool) -> None:
        at, temporary = self._at(), layout.temporary_name(name, os.getpid())
        try:
            with open(temporary, "xb", buffering=0, opener=lambda path, flags: os.open(path, flags, dir_fd=at)) as file:
                view = memoryview(content)
                while view:
                    view = view[file.write(view) :]
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=at)  # on a full volume every attempt would otherwise leave a piece behind
            raise


def _synchronise(descriptor: int) -> None:
    """Make renames in the folder that is open as *descriptor* survive a power cut, and close it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(descriptor)
