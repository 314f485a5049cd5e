"""A temporary folder that does not outlive the processes it belongs to, even if they are all killed at once.

Its lock is a `flock` on the folder itself, shared with the supervisor by inheritance: as long as one of them lives, the
lock is held. What nobody holds any more, because every process that could have deleted it was killed, is deleted when
the next folder is made.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "coverage-hooks-plane-"


@contextmanager
def temporary_folder() -> Iterator[tuple[Path, int]]:
    """Yield a new folder of this user, and the descriptor that holds its lock."""
    _delete_abandoned()
    # It gets the name that others look for only when it is locked: nobody takes it for abandoned.
    draft = Path(tempfile.mkdtemp(prefix="draft-" + _PREFIX))
    lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = draft.rename(draft.with_name(draft.name.removeprefix("draft-")))
    try:
        yield folder, lock
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _delete_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # somebody else's, or gone meanwhile
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(lock)
