"""Making a folder of programs once.

It is filled under another name and gets its own when it is complete: whatever finds that name finds all programs. A
lock lets one process at a time make a folder; it is the kernel's, so a killed process leaves none behind.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_DRAFT = ".draft-"


def made_once(
    folder: Path,
    missing: Callable[[Path], list[str]],
    make: Callable[[Path], None],
    say: Callable[[str], None],
) -> Path:
    """Return *folder*, which *make* has filled if anything was *missing* from it.

    What *make* raises leaves no folder. It is given an empty one, and has to see itself that nothing is missing.
    """
    if not missing(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder, say):
        if missing(folder):
            _discard_remains(folder)
            draft = Path(tempfile.mkdtemp(prefix=folder.name + _DRAFT, dir=folder.parent))
            try:
                make(draft)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def _discard_remains(folder: Path) -> None:
    """Delete what killed processes left, and a folder that lost a program later."""
    for remains in [folder, *folder.parent.glob(folder.name + _DRAFT + "*")]:
        shutil.rmtree(remains, ignore_errors=True)


@contextmanager
def _only_one(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is making the same programs; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
