"""The folder of a recording, kept open: what lies in it is reached by no path, so by no link, and after a chroot."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

#: From which number on descriptors are: operators close and reuse the low ones, and our bytes must not land there.
HIGH = 900

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_from_elsewhere(error: OSError) -> bool:
    """Whether *error* is of a signal handler of the operator, such as a TimeoutError, and not of the call it came from.

    The call itself is one of C, in the frame that catches it.
    """
    return error.__traceback__ is not None and error.__traceback__.tb_next is not None


def raised(descriptor: int) -> int:
    """Return another number of *descriptor*, from `HIGH` on, in its place; the same where so many are not allowed."""
    try:
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH)
    except OSError as error:
        if is_from_elsewhere(error):
            raise
        return descriptor
    os.close(descriptor)
    return high


class Folder:
    """The folder at *path*, which need not be there yet, and must be no link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Why it could not be opened the last time, if so.
        self.failure: OSError | None = None
        self._descriptor = -1
        self._status: os.stat_result | None = None
        self._root = Path("/").stat()

    def at(self) -> int:
        """Return what goes into ``dir_fd``, opened again where other code closed it; -1 where that does not work.

        Raises nothing of its own.
        """
        try:
            if self._status is not None and os.path.samestat(os.fstat(self._descriptor), self._status):
                return self._descriptor
        except OSError as error:
            if is_from_elsewhere(error):
                raise
        try:
            descriptor = raised(os.open(self.path, _FLAGS))
            self._descriptor, self._status = descriptor, os.fstat(descriptor)
        except OSError as error:
            if is_from_elsewhere(error):
                raise
            self.failure = error
            return -1
        return descriptor

    def look(self) -> None:
        """Let go of a folder that was removed or replaced; for the pulse.

        After a chroot the path tells nothing, and what is open is the one.
        """
        if self._status is None or not os.path.samestat(Path("/").stat(), self._root):
            return
        try:
            is_there = os.path.samestat(self.path.lstat(), self._status)
        except FileNotFoundError:
            is_there = False
        if not is_there:
            descriptor, was, self._status = self._descriptor, self._status, None
            if os.path.samestat(os.fstat(descriptor), was):
                os.close(descriptor)
