"""Writes what a process runs to its journal, point by point or in bulk, and sees to it that it gets to the disk.

::

    put     a point, right before its line runs, in the thread that runs it
    append  the points of a file that are new, in the pulse's thread
    settle  what could not be written before, fsync, and the hash of what is there; in the pulse's thread

A point is one write of 16 bytes to a file that is open for appending, so no lock is needed: not between threads, and
none that a fork could leave locked. What cannot be written stays pending until `settle` has written it. A forked child
opens a journal of its own with its first new point.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import RECORD, Fingerprint, Name
from coverage_hooks.volume.manifest import JournalFile

#: From which number on the descriptor is: operators close and reuse the low ones, and our bytes must not land there.
_DESCRIPTORS = 900

#: How far the numbers of one process's journals are apart, if it needs several: more than there are process ids.
_APART = 1 << 22

#: How many journals a manifest names; those of more children are read without it.
_NAMED = 1000

_MODE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_pack, _SIZE = RECORD.pack, RECORD.size
_os_write = os.write  # as it is now: tests of operators patch it


def _is_from_elsewhere(error: OSError) -> bool:
    """Whether *error* is of a signal handler of the operator, such as a TimeoutError, and not of the call it came from.

    The call itself is one of C, in the frame that catches it.
    """
    return error.__traceback__ is not None and error.__traceback__.tb_next is not None


def _write(descriptor: int, content: bytes, size: int) -> int:
    """Write *content*, which has *size* bytes, and return how many bytes were written, or -1."""
    try:
        return _os_write(descriptor, content[:size])
    except OSError as error:
        if _is_from_elsewhere(error):
            raise
        return -1


try:
    import ctypes

    # Unlike `os.write` it keeps the interpreter lock: beside busy threads a line waits a thousand times longer else.
    write: Callable[[int, bytes, int], int] = ctypes.PyDLL(None).write
except (ImportError, OSError, AttributeError):
    write = _write


class File:
    """A measured file: its path, the number that it has in the journal of `epoch`, and what is known of it."""

    __slots__ = ("epoch", "fingerprint", "number", "path", "problem", "tracer")

    def __init__(self, path: str, tracer: str = "") -> None:
        self.path = path
        self.tracer = tracer
        self.number = 0
        self.epoch: object = None
        self.fingerprint: Fingerprint | None = None
        self.problem = ""


class Journal:
    """The journal of this process in *folder*.

    *identify* is called with a file that is about to be named, in whichever thread runs its first line: it may fill in
    the fingerprint, and raises nothing of its own. With *immediate* the marker `layout.COMPLETE` is kept while
    nothing is pending. *replay* is called when everything has to be written again, as the journal is gone.
    """

    def __init__(
        self,
        folder: Path,
        identify: Callable[[File], str],
        *,
        immediate: bool = False,
        replay: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._identify = identify
        self._immediate = immediate
        self._replay = replay
        self._base = 0
        self._prefixes: dict[str, tuple[Any, int]] = {}
        self._forked = False
        self._owed = 0  # how often everything is still to be written again
        self._renewed = False
        self._unmarked = False  # the mark is missing, and may be made again once nothing is pending
        self._pending: list[tuple[File, int, int]] = []
        self._old: list[int] = []
        self._begin()

    def _begin(self) -> None:
        """Have no journal yet: the next point opens one, with names and numbers of its own."""
        self._epoch = object()
        self._descriptor = -1
        self._file = ""
        self._inode = 0
        self._written = 0
        self._torn = b""
        self._may_open = [None]
        self._numbers = itertools.count(1)
        self.failure: OSError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every point that was put is in the journal."""
        return not (self.failure or self._pending or self._owed)

    # -- in the thread that runs a line -------------------------------------------------------------------------------

    def put(self, file: File, start: int, end: int) -> None:
        """Write one point of *file*; never raises, but for what a signal handler of the operator raises meanwhile."""
        if self.failure is None:
            descriptor = self._descriptor  # before the epoch is asked for: see `_renew`
            if file.epoch is self._epoch:
                record = _pack(file.number, 0, start, end)
                if (done := write(descriptor, record, _SIZE)) == _SIZE:
                    self._written += _SIZE
                    return
                if self._write_slowly(descriptor, record, done):
                    return
            elif self._introduce(file, ((start, end),)):
                return
        self._pending.append((file, start, end))
        if self.failure is None:  # mended in between: nothing else comes for this point
            self._put_pending()

    def _introduce(self, file: File, points: Iterable[tuple[int, int]]) -> bool:
        """Write the name of *file* with its first *points*; False if it cannot be written."""
        while True:
            if self._descriptor < 0 and not self._open():
                return False
            epoch = self._epoch
            descriptor, numbers = self._descriptor, self._numbers
            if epoch is self._epoch and descriptor >= 0:  # else the pulse has begun another file in between
                break
        number = next(numbers)
        content = self._name(file, number) + b"".join([_pack(number, 0, start, end) for start, end in points])
        if (done := write(descriptor, content, len(content))) == len(content):
            self._written += done
        elif not self._write_slowly(descriptor, content, done):
            return False
        file.number, file.epoch = number, epoch
        return True

    def _name(self, file: File, number: int) -> bytes:
        path = self._identify(file)
        return Name(
            number=number, path=path, fingerprint=file.fingerprint, tracer=file.tracer, problem=file.problem
        ).to_bytes()

    def _write_slowly(self, descriptor: int, content: bytes, done: int = -1) -> bool:
        """Write *content*, of which *done* bytes are written, and find out what keeps it from being written.

        False if nothing of it could be written; what was cut short is finished by `settle`.
        """
        if done < 0:
            try:
                done = _os_write(descriptor, content)
            except OSError as error:
                if _is_from_elsewhere(error):
                    raise
                self._fail(error)
                return False
        self._written += done
        if done < len(content):
            self._torn = content[done:]
            self._fail(OSError(errno.ENOSPC, "a write was cut short"))
        return True

    def _open(self) -> bool:
        """Open a journal; False if that does not work. Of several threads one does, and the others wait for it."""
        may_open = self._may_open
        try:
            may_open.pop()
        except IndexError:
            time.sleep(0.001)  # no lock: a fork would leave it taken
            return self.failure is None
        try:
            return self._descriptor >= 0 or self._open_alone()
        finally:
            may_open.append(None)

    def _open_alone(self) -> bool:
        for number in itertools.count(self._base, _APART):
            name = layout.journal_name(number)
            try:
                descriptor = os.open(self._folder / name, _MODE | os.O_EXCL, 0o666)
            except FileExistsError:
                continue
            except OSError as error:
                if _is_from_elsewhere(error):
                    raise
                self._fail(error)
                return False
            break
        self._keep(descriptor, name)
        if self._immediate and not (self._base or self._owed):
            self._mark()
        return True

    def _keep(self, descriptor: int, name: str) -> None:
        inode = os.fstat(descriptor).st_ino
        try:
            high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _DESCRIPTORS)
        except OSError as error:  # as where fewer are allowed
            if _is_from_elsewhere(error):
                raise
        else:
            os.close(descriptor)
            descriptor = high
        self._file, self._inode, self._descriptor = name, inode, descriptor

    def _fail(self, error: OSError) -> None:
        """Stop writing until `settle` has mended it."""
        self.failure = error
        if not self._immediate:
            return
        try:
            os.unlink(self._folder / layout.COMPLETE)  # noqa: PTH108 - one frame: see `_is_from_elsewhere`
            self._unmarked = not self._base
        except OSError as failed:  # if a child has removed it, what that child ran is missing for good
            if _is_from_elsewhere(failed):
                raise

    def _put_pending(self) -> None:
        with contextlib.suppress(IndexError):  # the pulse takes from it, too
            while self._pending and self.failure is None:
                self.put(*self._pending.pop())

    # -- in the pulse's thread ----------------------------------------------------------------------------------------

    def name(self, file: File) -> None:
        """Name *file*, which may have no point, or say of it what is known by now; `OSError` if that does not work."""
        self._write(file, (), again=True)

    def append(self, file: File, points: Iterable[tuple[int, int]]) -> None:
        """Write *points* of *file*; `OSError` if they cannot be written, or not all of them."""
        self._write(file, points)

    def _write(self, file: File, points: Iterable[tuple[int, int]], *, again: bool = False) -> None:
        if self.failure is not None:
            self._mend()
        if file.epoch is not self._epoch:
            self._introduce(file, points)
        else:
            name = self._name(file, file.number) if again else b""
            number = file.number
            self._write_slowly(
                self._descriptor, name + b"".join([_pack(number, 0, start, end) for start, end in points])
            )
        if self.failure is not None:
            raise self.failure

    def settle(self) -> bool:
        """Write what is pending, and get all of it to the disk; `OSError` if that does not work now.

        False if the journal was gone: then what was appended has to be appended again.
        """
        if self._descriptor >= 0 and not self._is_there():
            self._renew()
        if not self.is_whole:
            self._mend()
        if self.is_whole:
            while self._old:
                os.close(self._old.pop())
            if self._unmarked and not self._forked:
                self._mark()
        self._synchronise()
        renewed, self._renewed = self._renewed, False
        return not renewed

    def _is_there(self) -> bool:
        """Whether the journal was neither removed nor replaced nor cut, of which no write tells."""
        path = self._folder / self._file
        try:
            there = path.stat()
        except FileNotFoundError:
            return False
        if there.st_ino != self._inode or there.st_size < self._written:
            if there.st_ino == self._inode:  # cut: what is left of it may end within a record
                path.unlink()
            return False
        if not self._is_mine():  # other code closed the descriptor, or has it by now
            self._keep(os.open(path, _MODE), self._file)
        return True

    def _is_mine(self) -> bool:
        """Whether the descriptor is still the journal's, and not closed, or that of another file by now."""
        try:
            return os.fstat(self._descriptor).st_ino == self._inode
        except OSError:
            return False

    def _renew(self) -> None:
        """Begin another file, to which everything has to be written again.

        A thread may be about to write a record of the old file. So the epoch changes first, and the old descriptor
        stays open until the new file is whole: its number must not become that of the new file.
        """
        if self._descriptor >= 0 and self._is_mine():
            self._old.append(self._descriptor)
        self._prefixes.pop(self._file, None)
        # Twice: a thread may have written a point to the old file, and not added it to its set yet. `_pending` stays.
        self._owed, self._renewed, self._unmarked = 2, True, self._immediate
        if self._immediate:
            (self._folder / layout.COMPLETE).unlink(missing_ok=True)
        self._begin()

    def _mend(self) -> None:
        """Write what could not be written before; `OSError` if it still cannot be."""
        if self._torn and os.fstat(self._descriptor).st_size != self._written:  # a thread wrote behind it
            (self._folder / self._file).unlink(missing_ok=True)
            self._renew()
        while self._torn:
            done = _os_write(self._descriptor, self._torn)
            self._torn = self._torn[done:]
            self._written += done
        self.failure = None
        if self._owed:
            self._replay()
            self._owed -= 1
        self._put_pending()
        if self.failure is not None:
            raise self.failure

    def _mark(self) -> None:
        """Say that the journal is complete; without the mark it is not, so a mark that cannot be made costs nothing."""
        try:
            os.close(os.open(self._folder / layout.COMPLETE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
            self._unmarked = False
        except OSError as error:
            if _is_from_elsewhere(error):
                raise
            self._unmarked = True

    def _synchronise(self) -> None:
        if self._descriptor >= 0:
            self._hash(self._file, self._written // _SIZE * _SIZE)
        if self._forked:
            with os.scandir(self._folder) as entries:
                children = [entry for entry in entries if layout.JOURNAL.fullmatch(entry.name)]
            for entry in children[: _NAMED * 2]:
                if entry.name != self._file:
                    self._hash(entry.name, entry.stat(follow_symlinks=False).st_size // _SIZE * _SIZE)

    def _hash(self, name: str, size: int) -> None:
        """Get the first *size* bytes of journal *name* to the disk, and hash what is new of them."""
        content, before = self._prefixes.get(name) or (hashlib.sha256(), 0)
        if size <= before or (name not in self._prefixes and len(self._prefixes) >= _NAMED):
            return
        descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fdatasync(descriptor)
            while before < size and (part := os.pread(descriptor, min(1 << 20, size - before), before)):
                content.update(part)
                before += len(part)
                self._prefixes[name] = content, before
        finally:
            os.close(descriptor)

    def prefixes(self) -> list[JournalFile]:
        """Return what is on the disk for certain."""
        return [
            JournalFile(file=name, size=size, sha256=content.hexdigest())
            for name, (content, size) in self._prefixes.items()
        ]

    def close(self) -> None:
        """Let go of the file; for who writes nothing any more."""
        if self._descriptor >= 0 and self._is_mine():
            os.close(self._descriptor)
        self._descriptor = -1

    def relax(self) -> None:
        """Say that it is not complete, and never will be: points come from elsewhere, too."""
        self._immediate = self._unmarked = False
        (self._folder / layout.COMPLETE).unlink(missing_ok=True)

    # -- forks --------------------------------------------------------------------------------------------------------

    def forked(self) -> None:
        """Expect journals of children in the folder; for the parent of one."""
        self._forked = True

    def after_in_child(self) -> None:
        """Begin a journal of the child's own, with its first point."""
        self.close()
        self._base = os.getpid()
        self._pending = []
        self._prefixes, self._forked, self._owed, self._renewed, self._unmarked = {}, False, 0, False, False
        self._begin()
