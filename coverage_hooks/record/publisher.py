"""Puts a recording on the volume so that whoever looks, whenever, finds one whole state of it.

Every file is written under a temporary name, synchronised, and renamed: data first, fingerprints next, the manifest
that names them last. A reader that follows the manifest therefore never sees a half-written file, and a process that is
killed in between leaves the previous state. Superseded files stay for `layout.SUPERSEDED_LIFETIME` seconds.

Not guaranteed: that the volume answers. Everything here may block for as long as the volume does, so only the pulse
calls it. Raises `OSError`; a state that could not be written is simply tried again with the next beat.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import DataFile, Fingerprint, Manifest, SourcesFile, sources_to_bytes

#: What file systems answer that cannot synchronise a folder; the files in it are synchronised all the same.
_NOT_FOR_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A whole state of what was recorded: a serialised data file with its counts, and the fingerprints by path."""

    data: bytes
    files: int
    lines: int
    arcs: int
    sources: dict[str, Fingerprint]


class Publisher:
    """The folder of one recording; not thread-safe, and meant for the pulse alone."""

    def __init__(self, directory: Path, recording: str) -> None:
        self._folder = directory / recording
        self._sequence = 0
        self._data: DataFile | None = None
        self._sources: SourcesFile | None = None
        self._known_sources = ""
        self._superseded: deque[tuple[float, str]] = deque()

    @property
    def sequence(self) -> int:
        """The number of states published so far."""
        return self._sequence

    @property
    def data(self) -> DataFile | None:
        """The data file that is on the volume and complete."""
        return self._data

    @property
    def sources(self) -> SourcesFile | None:
        """The fingerprints that are on the volume and complete."""
        return self._sources

    def make_folder(self) -> None:
        """Make the recording's folder, and the volume's if it is missing; nothing in it is taken for granted then."""
        self._known_sources = ""
        self._folder.mkdir(parents=True, exist_ok=True)
        _synchronise_folder(self._folder.parent)

    def is_robbed(self) -> bool:
        """Whether somebody took away what the manifest names."""
        named = (part.file for part in (self._data, self._sources) if part is not None)
        return not all((self._folder / file).exists() for file in named)

    def put_content(self, content: Content) -> None:
        """Write data and fingerprints; they count once a manifest naming them is written."""
        sequence = self._sequence + 1
        data = DataFile(
            file=layout.data_name(sequence),
            size=len(content.data),
            sha256=hashlib.sha256(content.data).hexdigest(),
            files=content.files,
            lines=content.lines,
            arcs=content.arcs,
        )
        self._write(data.file, content.data, durable=True)
        sources = self._put_sources(sequence, content.sources)
        self._supersede(self._data, data)
        self._supersede(self._sources, sources)
        self._sequence, self._data, self._sources = sequence, data, sources

    def put_manifest(self, manifest: Manifest, *, durable: bool) -> None:
        """Replace the manifest; a mere beat need not survive a power cut, so it is not *durable*."""
        self._write(layout.MANIFEST, manifest.to_bytes(), durable=durable)
        if durable:
            _synchronise_folder(self._folder)
        self._remove_superseded()

    def _put_sources(self, sequence: int, sources: dict[str, Fingerprint]) -> SourcesFile:
        content = sources_to_bytes(sources)
        sha256 = hashlib.sha256(content).hexdigest()
        if self._sources is not None and self._known_sources == sha256:
            return self._sources  # most growth is in files already known: saves a write and a sync per beat
        self._write(layout.sources_name(sequence), content, durable=True)
        self._known_sources = sha256
        return SourcesFile(file=layout.sources_name(sequence), sha256=sha256)

    def _write(self, name: str, content: bytes, *, durable: bool) -> None:
        temporary = self._folder / layout.temporary_name(name, os.getpid())
        try:
            with open(temporary, "xb", buffering=0) as file:
                view = memoryview(content)
                while view:
                    view = view[file.write(view) :]
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()  # on a full volume every attempt would otherwise leave a piece behind
            raise

    def _supersede(self, old: DataFile | SourcesFile | None, new: DataFile | SourcesFile) -> None:
        if old is not None and old.file != new.file:
            self._superseded.append((time.monotonic() + layout.SUPERSEDED_LIFETIME, old.file))

    def _remove_superseded(self) -> None:
        while self._superseded and self._superseded[0][0] <= time.monotonic():
            _, name = self._superseded.popleft()
            with contextlib.suppress(OSError):  # a file too many is no reason to call a state unpublished
                (self._folder / name).unlink()


def _synchronise_folder(folder: Path) -> None:
    """Make renames in *folder* survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise
    finally:
        os.close(descriptor)
