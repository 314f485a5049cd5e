"""Making a file or a folder once: what it is made from decides its name in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.errors import ControlPlaneError
from tests.cluster.supervisor import killed_with_parent

_DRAFT = ".draft-"
_KEPT = 2
_DIGITS = 16
_TAIL_LINES = 30

Say = Callable[[str], None]


class ImageError(ControlPlaneError):
    """An image cannot be made; the message says what failed, with the end of its output."""


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that everything which is made here is in."""
    return binaries.cache_folder(environ).parent / "images"


def made_once(name: str, parts: Iterable[bytes | str], make: Callable[[Path], None]) -> Path:
    """Return what *make* made, at the path that it is given, when *parts* were what they are now.

    Of one *name* the newest few are kept. A killed maker leaves a draft, which the next one deletes.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{name}-{digest(parts)}"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _delete(cache.glob(f"{name}{_DRAFT}*"))
            draft = Path(tempfile.mkdtemp(prefix=name + _DRAFT, dir=cache))
            try:
                make(draft / "made")
                (draft / "made").rename(path)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        path.touch()  # in use
        _delete(sorted(cache.glob(f"{name}-{'?' * _DIGITS}"), key=lambda made: made.stat().st_mtime)[:-_KEPT])
    return path


def digest(parts: Iterable[bytes | str]) -> str:
    """Return a short fingerprint of *parts*."""
    sha256 = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        sha256.update(len(content).to_bytes(8, "big") + content)
    return sha256.hexdigest()[:_DIGITS]


def run(what: str, command: list[str], *, cwd: Path | None = None, **environ: str) -> str:
    """Run *command* and return its output; raise ImageError if it fails. It ends with this process."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        preexec_fn=killed_with_parent(),  # nothing here runs in threads
    )
    if done.returncode:
        end = "\n".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-_TAIL_LINES:])
        raise ImageError(f"{what}: {command[0]} ended with exit code {done.returncode}:\n{end}")
    return done.stdout


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
