"""Locks of files, which are the kernel's: a process that is killed leaves none behind."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

from coverage_hooks.errors import UsageError
from coverage_hooks.volume import access

#: Seconds that a lock is waited for: to ask whether it is taken, as below, is to have it for a moment.
_PATIENCE = 1.0

_POLL = 0.1


def take(file: IO[bytes]) -> None:
    """Take the lock of open *file*, until that is closed; `BlockingIOError` when another process has it.

    Raises `UsageError` where the file system has no locks: two could write there without either knowing.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL)
        except OSError as error:
            raise UsageError(
                f"{str(file.name)!r} cannot be locked: {error.strerror or error}; choose another output folder, on "
                "another file system"
            ) from None
        else:
            return


def is_taken(path: Path) -> bool:
    """Return whether some process has the lock of file *path*."""
    try:
        with open(path, "rb", opener=access.only_regular) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
