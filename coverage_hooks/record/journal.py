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
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any

from coverage_hooks.record.folder import Folder, is_from_elsewhere, raised
from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import RECORD, Fingerprint, name_bytes, padded
from coverage_hooks.volume.manifest import JournalFile

#: How far the numbers of one process's journals are apart, if it needs several: more than there are process ids.
_APART = 1 << 22

#: How many journals a manifest names; those of more children are read without it.
_NAMED = 1000

_MODE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_pack, _SIZE = RECORD.pack, RECORD.size
_os_write = os.write  # as it is now: tests of operators patch it


#: Writes to a descriptor some bytes of a content, and returns how many, or -1.
Write = Callable[[int, bytes, int], int]


def _write(descriptor: int, content: bytes, size: int) -> int:
    """Write *content*, which has *size* bytes, and return how many bytes were written, or -1."""
    try:
        return _os_write(descriptor, content[:size])
    except OSError as error:
        if is_from_elsewhere(error):
            raise
        return -1


try:
    import ctypes

    # Unlike `os.write` it keeps the interpreter lock: beside busy threads a line waits a thousand times longer else.
    write: Write = ctypes.PyDLL(None).write
except (ImportError, OSError, AttributeError):
    write = _write


def make_room() -> None:
    """Have the kernel make room for our descriptor; once there are threads, it takes ten milliseconds to."""
    os.close(raised(os.open("/", os.O_RDONLY | os.O_CLOEXEC)))


class File:
    """A measured file: its path, the number that it has in the journal at `place`, and what is known of it."""

    __slots__ = ("fingerprint", "number", "path", "place", "problem", "tracer")

    def __init__(self, path: str, tracer: str = "") -> None:
        self.path = path
        self.tracer = tracer
        self.number = 0
        self.place: _Place | None = None
        self.fingerprint: Fingerprint | None = None
        self.problem = ""


class _Place:
    """One file of the journal while it is open; its names and numbers are its own.

    What a thread began to write when the file was another one goes to that one, and is noticed there.
    """

    __slots__ = ("descriptor", "inode", "name", "numbers", "torn", "torn_at", "written")

    def __init__(self, name: str = "", descriptor: int = -1) -> None:
        self.name = name
        self.numbers = itertools.count(1)
        self.written = self.torn_at = 0  # bytes of whole writes, so a prefix that may be named
        self.torn = b""  # what is missing of the record that ends at `torn_at`
        self.descriptor, self.inode = -1, 0
        if descriptor >= 0:
            self.keep(descriptor)

    def keep(self, descriptor: int) -> None:
        """Write to the file that is open as *descriptor* from now on."""
        self.inode = os.fstat(descriptor).st_ino
        self.descriptor = raised(descriptor)

    def is_mine(self) -> bool:
        """Whether the descriptor is still this file's, and not closed, or that of another file by now."""
        try:
            return os.fstat(self.descriptor).st_ino == self.inode
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the file; a thread that comes too late has no descriptor to write to."""
        descriptor, is_mine = self.descriptor, self.descriptor >= 0 and self.is_mine()
        self.descriptor = -1
        if is_mine:
            os.close(descriptor)


class Journal:
    """The journal of this process in *folder*.

    *identify* is called with a file that is about to be named, in whichever thread runs its first line: it may fill in
    the fingerprint, and raises nothing of its own. With *immediate* the marker `layout.COMPLETE` is kept while
    nothing is pending. *replay* is called when everything has to be written again, as the journal is gone.
    """

    def __init__(
        self,
        folder: Folder,
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
        self._owed = self._renewed = False  # everything is to be written again; it was, or is to be appended again
        self._marked = False
        self._pending: list[tuple[File, int, int]] = []
        self._begin()

    def _begin(self) -> None:
        """Have no file yet: the next point opens one."""
        self._place = _Place()
        self._opened: list[_Place] = []  # the first of it is the one
        self.failure: OSError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every point that was put is in the journal."""
        return not (self.failure or self._pending or self._owed)

    # -- in the thread that runs a line -------------------------------------------------------------------------------
    # Between any two calls of functions in C another thread or a signal handler may run, and the file be another one.

    def put(self, file: File, start: int, end: int) -> None:
        """Write one point of *file*; never raises, but for what a signal handler of the operator raises meanwhile."""
        while True:
            while self.failure is None:
                if file.place is (place := self._place):
                    record = _pack(file.number, 0, start, end)
                    if (done := write(place.descriptor, record, _SIZE)) == _SIZE:
                        place.written += _SIZE
                    elif not self._write_slowly(place, record, done):
                        continue
                    if place is self._place:
                        return
                elif self._introduce(file, ((start, end),)):
                    return
            if self._marked:  # by another thread's failure, which may not have come so far
                self._unmark()
            self._pending.append((file, start, end))
            if self.failure is not None:  # else mended in between, and nothing else comes for this point
                return

    def _introduce(self, file: File, points: Iterable[tuple[int, int]], writes: Write = write) -> bool:
        """Write the name of *file* with its first *points*; False if it cannot be written, or the file is gone."""
        place = self._place
        if place.descriptor < 0:
            if (opened := self._open()) is None:
                return False
            place = opened
        path = self._identify(file)
        if self.failure is not None:
            return False
        number = next(place.numbers)
        content = _name(file, number, path) + b"".join([_pack(number, 0, start, end) for start, end in points])
        if (done := writes(place.descriptor, content, len(content))) == len(content):
            place.written += done
        elif not self._write_slowly(place, content, done):
            return False
        file.number, file.place = number, place
        return place is self._place

    def _write_slowly(self, place: _Place, content: bytes, done: int = -1, *, may_reopen: bool = True) -> bool:
        """Write *content*, of which *done* bytes are written, and find out what keeps it from being written.

        False if nothing of it could be written; what was cut short is finished by `settle`.
        """
        if done < 0:
            try:
                done = _os_write(place.descriptor, content)
            except OSError as error:
                if is_from_elsewhere(error):
                    raise
                if place is self._place:
                    # At once, as a forked child has no pulse that would see to it.
                    if error.errno == errno.EBADF and may_reopen and self._reopen(place):
                        return self._write_slowly(place, content, may_reopen=False)
                    self._fail(error)
                return False
        if done == len(content):
            place.written += done
        else:
            place.torn, place.torn_at = content[done:], os.fstat(place.descriptor).st_size
            self._fail(OSError(errno.ENOSPC, "a write was cut short"))
        return True

    def _open(self) -> _Place | None:
        """Open a file, and return it; None if that does not work. Of threads that do so at once one has its way."""
        opened = self._opened
        for number in itertools.count(self._base, _APART):
            name = layout.journal_name(number)
            try:
                descriptor = os.open(name, _MODE | os.O_EXCL, 0o666, dir_fd=self._folder.at())
            except FileExistsError as error:
                if is_from_elsewhere(error):
                    raise
                continue
            except OSError as error:
                if is_from_elsewhere(error):
                    raise
                self._fail(self._folder.failure or error if error.errno == errno.EBADF else error)
                return None
            break
        mine = _Place(name, descriptor)
        opened.append(mine)
        if opened[0] is not mine:
            mine.close()
            self._unlink(name)
        elif self._immediate and not (self._base or self._owed):
            self._mark(first=True)
        if opened is not self._opened:  # removed meanwhile, or a signal handler forked, and this is the child
            mine.close()
            return None
        self._place = opened[0]
        return opened[0]

    def _reopen(self, place: _Place) -> bool:
        """Open the file of *place* again, whose descriptor other code has closed; False if it is gone."""
        try:
            descriptor = os.open(place.name, _MODE & ~os.O_CREAT, dir_fd=self._folder.at())
        except OSError as error:
            if is_from_elsewhere(error):
                raise
            return False
        if os.fstat(descriptor).st_ino != place.inode:
            os.close(descriptor)
            return False
        place.keep(descriptor)
        return True

    def _fail(self, error: OSError) -> None:
        """Stop writing until `settle` has mended it."""
        self.failure = error
        if self._marked:
            self._unmark()

    def _mark(self, *, first: bool = False) -> None:
        """Say that the journal is complete; without the mark it is not, so a mark that cannot be made costs nothing.

        After a fork it is made no more, unless for the *first* time: a child may have removed it.
        """
        if self._forked and not first:
            return
        try:
            os.close(os.open(layout.COMPLETE, _MODE, 0o666, dir_fd=self._folder.at()))
        except OSError as error:
            if is_from_elsewhere(error):
                raise
            return
        self._marked = True
        if not self.is_whole or (self._forked and not first):  # by now
            self._unmark()

    def _unmark(self) -> None:
        if self._unlink(layout.COMPLETE):
            self._marked = False

    def _unlink(self, name: str) -> bool:
        """Remove *name*; False if that does not work."""
        try:
            os.unlink(name, dir_fd=self._folder.at())
        except OSError as error:
            if is_from_elsewhere(error):
                raise
            why = self._folder.failure or error if error.errno == errno.EBADF else error
            return why.errno == errno.ENOENT
        return True

    # -- in the pulse's thread ----------------------------------------------------------------------------------------

    def name(self, file: File) -> None:
        """Name *file*, which may have no point, or say of it what is known by now; `OSError` if that does not work."""
        self._write(file, (), again=True)

    def append(self, file: File, points: Iterable[tuple[int, int]]) -> None:
        """Write *points* of *file*; `OSError` if they cannot be written, or not all of them."""
        self._write(file, points)

    def _write(self, file: File, points: Iterable[tuple[int, int]], *, again: bool = False) -> None:
        if self.failure is not None:
            self._look()
            self._mend()
        if file.place is self._place:
            name = _name(file, file.number, self._identify(file)) if again else b""
            number = file.number
            self._write_slowly(self._place, name + b"".join([_pack(number, 0, start, end) for start, end in points]))
        else:
            self._introduce(file, points, _write)  # which lets the operator go on where the volume hangs
        if self.failure is not None:
            raise self.failure

    def settle(self) -> bool:
        """Write what is pending, and get all of it to the disk; `OSError` if that does not work now.

        False if the journal was gone: then what was appended has to be appended again.
        """
        self._look()
        if not self.is_whole:
            self._mend()
        if self._immediate and self._place.descriptor >= 0 and not (self._marked or self._base):
            self._mark()
        self._synchronise()
        renewed, self._renewed = self._renewed, False
        return not renewed

    def _look(self) -> None:
        """Begin another file if the journal was removed or replaced or cut, of which no write tells."""
        self._folder.look()
        if self._place.descriptor >= 0 and not self._is_there(self._place):
            self._renew()

    def _is_there(self, place: _Place) -> bool:
        at, written = self._folder.at(), place.written  # before it is looked at: threads go on writing
        try:
            there = os.stat(place.name, dir_fd=at, follow_symlinks=False)
        except OSError as error:
            if at >= 0 and error.errno != errno.ENOENT:
                raise
            return False
        if there.st_ino != place.inode or there.st_size < written:
            if there.st_ino == place.inode:  # cut: what is left of it may end within a record
                os.unlink(place.name, dir_fd=at)
            return False
        if not place.is_mine():  # other code closed the descriptor, or has it by now
            place.keep(os.open(place.name, _MODE, dir_fd=at))
        return True

    def _renew(self) -> None:
        """Begin another file, to which everything has to be written again."""
        place = self._place
        self._prefixes.pop(place.name, None)
        self._owed = self._renewed = True
        if self._immediate:
            self._unmark()
        self._begin()
        place.close()

    def _mend(self) -> None:
        """Write what could not be written before; `OSError` if it still cannot be."""
        place = self._place
        if place.torn and os.fstat(place.descriptor).st_size != place.torn_at:  # a thread wrote behind it
            self._unlink(place.name)
            self._renew()
            place = self._place
        while place.torn:
            done = _os_write(place.descriptor, place.torn)
            place.torn = place.torn[done:]
            place.torn_at += done
        place.written = max(place.written, place.torn_at)
        self.failure = None
        if self._owed:
            self._replay()
            self._owed = False
        while self._pending and self.failure is None:
            self.put(*self._pending.pop())
        if self.failure is not None:
            raise self.failure

    def _synchronise(self) -> None:
        place = self._place
        if place.descriptor >= 0:
            try:
                self._hash(place.name, place.written)
            except FileNotFoundError:  # removed since it was looked at
                self._renew()
        if self._forked:
            at = self._folder.at()
            with os.scandir(at) as entries:
                children = [entry.name for entry in entries if layout.JOURNAL.fullmatch(entry.name)]
            for name in itertools.islice((name for name in children if name != place.name), _NAMED * 2):
                with contextlib.suppress(FileNotFoundError):  # a child that was not the first to open one
                    self._hash(name, os.stat(name, dir_fd=at, follow_symlinks=False).st_size, is_whole=False)

    def _hash(self, name: str, size: int, *, is_whole: bool = True) -> None:
        """Get the first *size* bytes of journal *name* to the disk, and hash what is new of them.

        Where it is not known that it *is_whole*, only the records and names that are whole are hashed.
        """
        content, before = self._prefixes.get(name) or (hashlib.sha256(), 0)
        if size <= before or (name not in self._prefixes and len(self._prefixes) >= _NAMED):
            return
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(name, flags, dir_fd=self._folder.at())
        try:
            os.fdatasync(descriptor)
            while before < size and (part := os.pread(descriptor, min(1 << 20, size - before), before)):
                if not is_whole:
                    part = part[: _whole(part)]
                    if not part:
                        break
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
        self._place.close()

    def relax(self) -> None:
        """Say that it is not complete, and never will be: points come from elsewhere, too."""
        self._immediate = False
        self._unmark()

    # -- forks --------------------------------------------------------------------------------------------------------

    def forked(self) -> None:
        """Expect journals of children in the folder; for the parent of one."""
        self._forked = True

    def after_in_child(self) -> None:
        """Begin a journal of the child's own, with its first point."""
        self._place.close()
        self._base = os.getpid()
        self._prefixes, self._pending = {}, []
        self._forked = self._owed = self._renewed = False
        self._marked = self._immediate  # by the parent, if at all
        self._begin()


def _name(file: File, number: int, path: str) -> bytes:
    return name_bytes(number, path, file.fingerprint, file.tracer, file.problem)


def _whole(content: bytes) -> int:
    """Return how many bytes the whole records of *content* have, each name with all of its text."""
    at = 0
    while at + _SIZE <= len(content):
        number, _, size, _ = RECORD.unpack_from(content, at)
        after = at + _SIZE + (0 if number else padded(size))
        if after > len(content):
            break
        at = after
    return at
