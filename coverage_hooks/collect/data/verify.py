"""Whether a raw copy is what its manifest says, and what its journals say.

What the manifest names of a journal was on the disk when it said so: size and hash have to be right, and each record
has to be sound, else nothing of the recording is used. What was appended after that counts as far as it is sound. What
does not pass is told apart, because each calls for something else: *truncated* and *gone* (copy it again), *damaged*
(the disk), *empty* (nothing of `run:source` ran).
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from coverage_hooks.collect.data import workers
from coverage_hooks.collect.data.contents import Content, DamagedError
from coverage_hooks.collect.data.journals import Journals, let_go
from coverage_hooks.collect.data.workers import WorkerLostError
from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.errors import VolumeError
from coverage_hooks.volume import access, layout
from coverage_hooks.volume.journal import Fingerprint
from coverage_hooks.volume.manifest import Begun, JournalFile, Manifest, Process

#: How many processes look at recordings, each at how many at once; and how many recordings are worth starting them.
WORKERS, AT_ONCE, MANY = min(4, os.cpu_count() or 1), 4, 256

#: How many bytes the journals of each of them have at most: several large ones at a time would fill the memory.
SMALL = 1 << 20

#: How many bytes are hashed at a time.
_CHUNK = 1 << 20

_EMPTY = "empty: it holds no line; nothing of `run:source` ran, or the operator's configuration names other code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a recording says, with the fingerprints of the files in it, and what had begun before.

    `problems` tell of which files there is no fingerprint that counts, and why, if that is known.
    """

    row: Row
    process: Process
    content: Content
    fingerprints: Mapping[str, Fingerprint]
    problems: Mapping[str, str]
    begun: list[Begun]

    @property
    def branch(self) -> bool:
        """Whether branches were measured, not lines."""
        return self.content.branch


def verify(ledger: Ledger, output: Path) -> Iterator[Verified]:
    """Yield what of the raw copies of *ledger* is sound, identical data once; the rest becomes losses.

    Whoever asks for the next one gives up the one before, so no more than a few are ever in memory.
    """
    first: dict[tuple[object, ...], str] = {}
    rows = [row for row in ledger.rows if row.folder]  # of the others retrieve has said why
    for row, found in zip(rows, _looked([output / row.folder for row in rows]), strict=True):
        if isinstance(found, VolumeError):
            row.fail(str(found), "empty" if str(found).startswith("empty") else "damaged")
            ledger.lose("verify", row, row.note, file=getattr(found, "file", layout.MANIFEST))
        elif found is not None:
            content = found.content
            row.files, row.lines, row.arcs = len(content.paths), content.line_count, content.arc_count
            if found.cut and row.lost_nothing:  # whatever its end cost, this did more
                row.lost_seconds, row.note = None, ""
            for name, reason in found.cut.items():
                row.note = row.note or f"{name} is {reason}"
                ledger.lose("verify", row, reason, file=name)
            if (twin := first.setdefault(found.same, row.recording)) != row.recording:
                row.note = f"the same data as {twin}: combined once"
                continue
            yield Verified(
                row=row,
                process=found.process,
                content=content,
                fingerprints=found.fingerprints,
                problems=found.problems,
                begun=found.begun,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sound:
    """What is known of a recording that is sound; two whose `same` is equal are combined once.

    `cut` says by journal what became of its end.
    """

    same: tuple[object, ...]
    process: Process
    content: Content
    fingerprints: Mapping[str, Fingerprint]
    problems: Mapping[str, str]
    begun: list[Begun]
    cut: Mapping[str, str]


#: A recording, or why it is of no use; None if it has no journal, or only empty ones.
_Found: TypeAlias = "_Sound | VolumeError | None"


def _looked(folders: list[Path]) -> Iterator[_Found]:
    """Yield what there is to say of the copy in each of *folders*.

    Many are looked at by processes of their own, a few ahead of the caller: half of the work is Python's, so threads
    would wait for each other.
    """
    done = 0
    if len(folders) >= MANY and WORKERS > 1 and all(_size(folder) <= SMALL for folder in folders):
        try:
            for found in workers.mapped(_look, folders, workers=WORKERS, at_once=AT_ONCE):
                yield found
                done += 1
        except WorkerLostError:  # one process, here, is enough
            pass
    yield from map(_look, folders[done:])


def _size(folder: Path) -> int:
    """Return how many bytes the journals in *folder* have; what cannot be seen is told when it is looked at."""
    try:
        return sum(path.stat().st_size for path in folder.iterdir() if path.name != layout.MANIFEST)
    except OSError:
        return 0


def _look(folder: Path) -> _Found:
    try:
        return _verify(folder, Manifest.parse(bytes(_content(folder, layout.MANIFEST))))
    except VolumeError as error:
        return error


def _verify(folder: Path, manifest: Manifest) -> _Sound | None:
    journals = Journals(branch=manifest.process.branch)
    listed = {each.file: each for each in manifest.journals}
    hashes: list[str] = []
    cut: dict[str, str] = {}
    size = 0
    for name in _names(folder, listed):
        content = _content(folder, name)
        size += len(content)
        try:
            hashes.append(_checked(content, listed.get(name)))
            sound, wrong = journals.read(content)
        except VolumeError as error:
            raise DamagedError(name, str(error)) from None
        if name in listed and sound < listed[name].size:
            raise DamagedError(name, f"damaged behind byte {sound}: {wrong or 'it ends within a record'}")
        if wrong:
            cut[name] = f"damaged behind byte {sound}: {wrong}; what came after it is lost"
    if not size:
        return None
    found = journals.content()
    if not (found.line_count or found.arc_count):
        raise DamagedError(*next(iter(cut.items()), (layout.journal_name(0), _EMPTY)))
    same = hashlib.sha256(str(manifest.begun).encode("utf-8", "backslashreplace") + "".join(hashes).encode()).digest()
    return _Sound(
        same=(same, manifest.process.branch),
        process=manifest.process,
        content=found,
        fingerprints=journals.fingerprints,
        problems=journals.problems,
        begun=manifest.begun,
        cut=cut,
    )


def _names(folder: Path, listed: Iterable[str]) -> list[str]:
    """Return the names of the journals in *folder*, and of those that are *listed* and should be, by number."""
    try:
        descriptor = _open_unfollowed(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DamagedError(layout.MANIFEST, f"gone: no folder of raw copies: {error.strerror or error}") from None
    try:
        found = {name for name in os.listdir(descriptor) if layout.JOURNAL.fullmatch(name)}  # noqa: PTH208 - of what is open
    finally:
        os.close(descriptor)
    return sorted(found.union(listed), key=lambda name: int(name.rpartition("-")[2]))


def _open_unfollowed(path: str | os.PathLike[str], flags: int) -> int:
    """Open *path* as it is: what a link leads to was not copied, and a FIFO would be waited for."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _open_regular(path: str, flags: int) -> int:
    """Open file *path*, which no link may be in the place of."""
    return access.only_regular(path, flags | os.O_NOFOLLOW)


def _content(folder: Path, name: str) -> memoryview:
    """Return what file *name* in *folder* holds, of which no more is in memory than is looked at."""
    try:
        with open(folder / name, "rb", opener=_open_regular) as file:
            is_empty = not os.fstat(file.fileno()).st_size
            return memoryview(b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise DamagedError(name, f"gone: the raw copy cannot be read: {error.strerror or error}") from None


def _checked(content: memoryview, listed: JournalFile | None) -> str:
    """Return the hash of journal *content*, which begins as the manifest says if it is *listed* there."""
    size = listed.size if listed is not None else 0
    if len(content) < size:
        raise VolumeError(f"truncated: {len(content)} of {size} bytes")
    sha256 = hashlib.sha256()
    _hash(sha256, content, 0, size)
    if listed is not None and sha256.hexdigest() != listed.sha256:
        raise VolumeError(f"damaged: the SHA-256 of its first {size} bytes differs from the manifest's")
    _hash(sha256, content, size, len(content))
    return sha256.hexdigest()


def _hash(sha256: hashlib._Hash, content: memoryview, first: int, end: int) -> None:
    """Add the bytes of *content* from *first* to *end* to *sha256*."""
    for at in range(first, end, _CHUNK):
        sha256.update(content[at : min(at + _CHUNK, end)])
        let_go(content, at, min(at + _CHUNK, end))
