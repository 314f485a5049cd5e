"""Whether a raw copy is what its manifest says, and whether it is safe to hand to coverage.py at all.

Size and hash come first, then SQLite's own checks on a read-only connection that runs nothing the file brings along and
stops at a deadline, then the counts. Only what passes everything is ever opened by coverage.py. What does not pass is
told apart, because each calls for something else: *truncated* (copy it again), *stale* (an older snapshot), *damaged*
(the disk), *foreign* (another program or version), *empty* (nothing of `run:source` ran).
"""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import signal
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import coverage

from coverage_hooks.collect.arcs import Parser
from coverage_hooks.collect.contents import Content, DamagedError, Schema, read_content, read_schema
from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.errors import VolumeError
from coverage_hooks.volume import layout
from coverage_hooks.volume.manifest import Begun, DataFile, Fingerprint, Manifest, Process, SourcesFile, parse_sources

#: How many processes look at recordings, each at how many at once; and how many recordings are worth starting them.
WORKERS, AT_ONCE, MANY = min(4, os.cpu_count() or 1), 4, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A data file that coverage.py may open, with the fingerprints of the files in it, and what had begun before."""

    row: Row
    process: Process
    path: Path
    content: Content
    fingerprints: Mapping[str, Fingerprint]
    begun: list[Begun]

    @property
    def branch(self) -> bool:
        """Whether branches were measured, not lines."""
        return self.content.branch


def verify(ledger: Ledger, output: Path) -> Iterator[Verified]:
    """Yield what of the raw copies of *ledger* is sound, identical data once; the rest becomes losses.

    Whoever asks for the next one gives up the one before, so no more than a few are ever in memory.
    """
    first: dict[tuple[str, str], str] = {}
    rows = [row for row in ledger.rows if row.folder]  # of the others retrieve has said why
    for row, found in zip(rows, _looked([output / row.folder for row in rows]), strict=True):
        if isinstance(found, VolumeError):
            row.fail(str(found), "empty" if str(found).startswith("empty") else "damaged")
            ledger.lose("verify", row, row.note, file=getattr(found, "file", layout.MANIFEST))
        elif found is not None:
            if (twin := first.setdefault(found.hashes, row.recording)) != row.recording:
                row.note = f"the same data as {twin}: combined once"
                continue
            yield Verified(
                row=row,
                process=found.process,
                path=found.path,
                content=found.content,
                fingerprints=_parse_sources(found.sources),
                begun=found.begun,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sound:
    """What is known of a recording that is sound: its hashes, and the text of its fingerprints, besides the rest."""

    hashes: tuple[str, str]
    process: Process
    path: Path
    content: Content
    sources: bytes
    begun: list[Begun]


#: A recording, or why it is of no use; None if nothing was published.
_Found: TypeAlias = "_Sound | VolumeError | None"


def _looked(folders: list[Path]) -> Iterator[_Found]:
    """Yield what there is to say of the copy in each of *folders*.

    Many are looked at by processes of their own, a few ahead of the caller: half of the work is Python's, so threads
    would wait for each other.
    """
    done = 0
    if len(folders) >= MANY and WORKERS > 1:
        try:
            for found in _looked_by_others(folders):
                yield found
                done += 1
        except BrokenProcessPool:  # one was ended, as for want of memory; one here is enough
            pass
    yield from map(_look, folders[done:])


def _looked_by_others(folders: list[Path]) -> Iterator[_Found]:
    waiting: deque[Future[list[_Found]]] = deque()
    # Started anew: a fork of a process with threads may hang, and this one has the caller's.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context, initializer=_ignore_interrupts) as pool:
        try:
            for start in range(0, len(folders), AT_ONCE):
                waiting.append(pool.submit(_look_at, folders[start : start + AT_ONCE]))
                if len(waiting) > 2 * WORKERS:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for each in waiting:  # of a caller that was interrupted
                each.cancel()


def _ignore_interrupts() -> None:
    """Leave an interrupt, which a terminal sends to all, to the process that was started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _look_at(folders: list[Path]) -> list[_Found]:
    return [_look(folder) for folder in folders]


def _look(folder: Path) -> _Found:
    try:
        manifest = Manifest.parse(_content(folder, layout.MANIFEST))
        return _verify(folder, manifest, manifest.data, manifest.sources)
    except VolumeError as error:
        return error


def _verify(folder: Path, manifest: Manifest, data: DataFile | None, sources: SourcesFile | None) -> _Sound | None:
    if data is None or sources is None:  # a manifest has both or neither
        return None
    _check_bytes(folder, data)
    content = read_content(folder / data.file, schema(), _parser())
    _check_counts(manifest, data, content)
    text = _content(folder, sources.file)
    if hashlib.sha256(text).hexdigest() != sources.sha256:
        raise DamagedError(sources.file, "damaged: not the fingerprints that the manifest names, the SHA-256 differs")
    try:
        _parse_sources(text)
    except VolumeError as error:
        raise DamagedError(sources.file, f"damaged: {error}") from None
    return _Sound(
        hashes=(data.sha256, sources.sha256),
        process=manifest.process,
        path=folder / data.file,
        content=content,
        sources=text,
        begun=manifest.begun,
    )


@functools.cache
def _parser() -> Parser:
    """Return the one of this process."""
    return Parser()


@functools.lru_cache(maxsize=4)
def _parse_sources(text: bytes) -> Mapping[str, Fingerprint]:
    """Parse *text* once for all replicas of an image, and keep it once."""
    return parse_sources(text)


def _content(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DamagedError(name, f"gone: the raw copy cannot be read: {error.strerror or error}") from None


def _check_bytes(folder: Path, data: DataFile) -> None:
    """Compare size and hash with the manifest's, and say what else it is when they differ."""
    path = folder / data.file
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DamagedError(data.file, f"gone: the raw copy cannot be read: {error.strerror or error}") from None
    if sha256 == data.sha256 and size == data.size:
        return
    if sha256 == data.sha256:
        raise DamagedError(data.file, f"damaged: the manifest claims {data.size} bytes of a file that has {size}")
    if older := _same_content(folder, data.file, sha256):
        raise DamagedError(data.file, f"stale: it holds the content of {older}, an older snapshot")
    if size < data.size:
        raise DamagedError(data.file, f"truncated: {size} of {data.size} bytes")
    try:
        read_content(path, schema())
    except DamagedError as error:
        raise DamagedError(data.file, f"{error}; and the SHA-256 differs from the manifest's") from None
    raise DamagedError(data.file, "replaced: a sound data file, but not the one that the manifest names: wrong SHA-256")


def _same_content(folder: Path, name: str, sha256: str) -> str:
    """Return the name of another data file in *folder* with that hash."""
    for path in sorted(folder.iterdir()):
        if path.name != name and layout.DATA.fullmatch(path.name):
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return path.name
    return ""


def _check_counts(manifest: Manifest, data: DataFile, content: Content) -> None:
    if not content.paths or not (content.line_count or content.arc_count):
        reason = (
            "empty: it holds no line; nothing of `run:source` ran, or the operator's configuration names other code"
        )
        raise DamagedError(data.file, reason)
    found = (len(content.paths), content.line_count, content.arc_count)
    claimed = (data.files, data.lines, data.arcs)
    if found != claimed:
        raise DamagedError(
            data.file,
            f"damaged: {found[0]} files, {found[1]} lines, {found[2]} arcs; "
            f"the manifest says {claimed[0]}, {claimed[1]}, {claimed[2]}",
        )
    if content.branch != manifest.process.branch:
        raise DamagedError(data.file, "damaged: manifest and data disagree on whether branches were measured")


@functools.cache
def schema() -> Schema:
    """Return the tables and indices that coverage.py makes, by asking coverage.py."""
    data = coverage.CoverageData(no_disk=True)
    try:
        data.add_lines({})  # whatever is added first brings the schema
        with closing(sqlite3.connect(data.data_filename(), uri=True)) as connection:
            return read_schema(connection)
    finally:
        data.close(force=True)
