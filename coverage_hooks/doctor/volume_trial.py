"""Whether an operator that starts here could publish to its volume: by publishing something, and taking it away again.

What is tried has a name that no reader looks for, and is made by the publisher itself. A folder that is not there is
not made. Whoever asks waits for the volume as long as an operator would, and no longer.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from coverage_hooks.doctor.findings import Finding, note, ok, wrong
from coverage_hooks.record.journal import File, Journal
from coverage_hooks.record.publisher import Publisher
from coverage_hooks.settings import Settings
from coverage_hooks.volume import layout

#: Seconds that a volume has for an answer, at least.
PATIENCE = 5.0

#: Free bytes below which a few recordings may not fit.
LITTLE = 16 << 20

_MIB = 1 << 20
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mounted file system: where, and of which kind."""

    point: Path
    kind: str


def volume(settings: Settings, *, is_operators: bool) -> Iterator[Finding]:
    """Yield every finding about the folder that *settings* name; with *is_operators*, it should be a mounted one."""
    patience = max(PATIENCE, settings.exit_timeout)
    answer: Future[list[Finding]] = Future()

    def ask() -> None:
        try:
            answer.set_result(list(_volume(settings, is_operators=is_operators)))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever is waiting for it
            answer.set_exception(error)

    # A daemon: what hangs in a system call cannot be ended, and must not be waited for.
    threading.Thread(target=ask, name="coverage-hooks doctor", daemon=True).start()
    try:
        yield from answer.result(timeout=patience)
    except TimeoutError:
        yield wrong(
            f"{settings.directory} does not answer within {patience:g} s, so nothing can be recorded on it: is the "
            "server of the volume there?"
        )


def _volume(settings: Settings, *, is_operators: bool) -> Iterator[Finding]:
    directory = settings.directory
    try:
        there = nearest(directory)
        mount = mount_of(there)
        if is_operators and mount is not None and mount.point == Path("/"):
            yield wrong(
                f"{directory} is on the container's own file system, and gone with it: expected a mounted volume; "
                "mount one there, or let COVERAGE_HOOKS_DIR name where it is mounted"
            )
        if there != directory:
            yield _makeable(directory, there, mount)
            return
        if not directory.is_dir():
            yield wrong(f"{directory} is no folder: let COVERAGE_HOOKS_DIR name one")
            return
        yield _written(directory, mount, settings.exit_timeout)
        yield from _space(directory)
    except OSError as error:
        yield wrong(f"{directory} cannot be used: {error.strerror or error}{_owner(directory)}")


def nearest(path: Path) -> Path:
    """Return *path*, or the nearest of what is above it that is there; `PermissionError` when that cannot be seen."""
    for each in (path, *path.parents):
        try:
            each.lstat()  # a link that leads nowhere is there, too: no folder can be made in its place
        except (FileNotFoundError, NotADirectoryError):
            continue
        return each
    return path


def _makeable(directory: Path, above: Path, mount: Mount | None) -> Finding:
    """Return whether *directory* could be made below *above*, the nearest folder that is there."""
    if not above.is_dir():
        return wrong(f"{directory} cannot be made: {above} is no folder; let COVERAGE_HOOKS_DIR name another one")
    if _is_read_only(above):
        return wrong(
            f"{directory} is not there, and cannot be made: {_described(above, mount)} is read-only; mount a volume "
            "there"
        )
    if not os.access(above, os.W_OK | os.X_OK):
        return wrong(
            f"{directory} is not there, and cannot be made: no permission to write to {above}{_owner(above)}; make it, "
            "for that user, or mount a volume there"
        )
    return ok(f"{directory} is not there yet; recording would make it, below {above}")


def _written(directory: Path, mount: Mount | None, exit_timeout: float) -> Finding:
    """Publish something in *directory*, take it away again, and return how that went."""
    if _is_read_only(directory):
        return wrong(f"{_described(directory, mount)} is read-only; mount it writable for the operator")
    began = time.monotonic()
    name = layout.temporary_name("doctor", os.getpid())
    publisher = Publisher(directory, name)
    try:
        try:
            publisher.make_folder()
            journal = Journal(publisher.opened, lambda file: file.path)
            journal.append(File("doctor"), [(line, 0) for line in range(256)])
            journal.settle()
            journal.close()
        finally:
            _remove(directory / name)
    except OSError as error:
        return wrong(
            f"{_described(directory, mount)} cannot be written: {error.strerror or error}{_owner(directory)}; let the "
            "volume belong to this user (in a pod: fsGroup), and have room"
        )
    took = time.monotonic() - began
    text = f"{_described(directory, mount)}: written, synchronised and removed in {took:.3f} s"
    if took > exit_timeout:
        return wrong(f"{text}, more than the {exit_timeout:g} s that stopping waits; raise COVERAGE_HOOKS_EXIT_TIMEOUT")
    return ok(text)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _space(directory: Path) -> Iterator[Finding]:
    """Yield how much room there is for whoever runs this."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    text = f"{free / _MIB:.1f} MiB free ({free} bytes)"
    if status.f_files and not status.f_favail:
        yield wrong(
            f"no file can be made on {directory}: it has no inode left; remove files, or `coverage-hooks prune`"
        )
    elif free < LITTLE:
        yield note(
            f"{text} on {directory}: a recording of a large operator takes some MiB; `coverage-hooks prune` helps"
        )
    else:
        yield ok(f"{text} on {directory}")


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def mount_of(path: Path, mounts: Path = _MOUNTS) -> Mount | None:
    """Return the file system that existing *path* is on; None where nobody tells."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = path.resolve()
    found = None
    for line in lines:
        before, _, after = line.partition(" - ")
        parts, kind = before.split(" "), after.split(" ")[0]
        if len(parts) < 5:
            continue
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), parts[4]))
        # Of those at one place the last one counts: it hides the others.
        if real.is_relative_to(point) and (found is None or len(point.parts) >= len(found.point.parts)):
            found = Mount(point=point, kind=kind)
    return found


def _described(path: Path, mount: Mount | None) -> str:
    return f"{path} ({mount.kind}, mounted at {mount.point})" if mount is not None else str(path)


def _owner(path: Path) -> str:
    """Return who this is, and whose *path* is, to go on after a message."""
    text = f" (this is user {os.geteuid()}, group {os.getegid()}"
    try:
        status = path.stat()
    except OSError:
        return f"{text})"
    return f"{text}; it belongs to user {status.st_uid}, group {status.st_gid}, mode {status.st_mode & 0o7777:o})"
