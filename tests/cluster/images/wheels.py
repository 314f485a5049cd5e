"""The Python packages of an image, downloaded on this machine for the Python inside."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from tests.cluster.images.made import Say, made_once, run

#: That of the project's own Dockerfile, and of the system in `systems`.
PYTHON = "3.14"
_NEWEST_LIBRARY, _OLDEST_LIBRARY = 41, 5  # of the C library, after the dot: what wheels say they need


def wheels(lock: Path, say: Say) -> Path:
    """Return a folder with everything that *lock* names, in wheels."""
    machine = platform.machine()
    newest_first = range(_NEWEST_LIBRARY, _OLDEST_LIBRARY - 1, -1)
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in newest_first]
    # pip takes none of these for granted, and does not know that one of them means another.
    platforms += [f"manylinux{legacy}_{machine}" for legacy in ("2014", "2010", "1")]
    abis = ["cp" + PYTHON.replace(".", ""), "abi3", "none"]

    def make(folder: Path) -> None:
        say(f"images: downloading the packages in {lock.name}, once")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", f"--requirement={lock}", f"--dest={folder}"]
        command += ["--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"]
        command += [*(f"--abi={abi}" for abi in abis), *(f"--platform={name}" for name in platforms)]
        run(f"the packages in {lock.name}", command)

    return made_once(f"wheels-{lock.stem}", [lock.read_bytes(), PYTHON, *platforms], make)
