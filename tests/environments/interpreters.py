"""Finding an interpreter of every Python that is supported, or making a system that has one.

Looked for in this order: the one that runs this, the `PATH`, pyenv's versions, uv's own. Each one found is tried, as a
name on the `PATH` is no proof: pyenv has a shim for every version that it ever installed, and one that is not chosen
ends with 127. Where none works, a system of Debian's packages is made, once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ControlPlaneError
from tests.cluster.images.made import Say
from tests.cluster.images.systems import unpacked

#: What `requires-python` allows, as far as there are releases.
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")

#: The system that has it, of `tests.cluster.images.systems`.
_SYSTEMS = {"3.13": "older-pythons", "3.14": "newer-pythons", "3.15": "newer-pythons"}

# The modules are what an interpreter lacks that was compiled where a library was missing.
_PROBE = """
import json, sqlite3, ssl, sys, sysconfig, venv
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d" % sys.version_info[:2],
    "level": sys.version_info.releaselevel,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "program": sys.executable,
}))
"""
_SECONDS = 60.0


class MissingInterpreter(ControlPlaneError):
    """There is no interpreter of this version; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter: its version, as "3.14", and its program; in a system of its own, if *root* is one."""

    version: str
    program: Path
    root: Path | None = None


def interpreter(version: str, say: Say, environ: Mapping[str, str] = os.environ) -> Interpreter:
    """Return an interpreter of *version*, made if need be; raise MissingInterpreter if there can be none."""
    if here := found(version, environ):
        return here
    if version not in _SYSTEMS:
        raise MissingInterpreter(
            f"no Python {version} that works: expected python{version} on the PATH, below pyenv's versions or among "
            f"uv's, and Debian has no package of it; try `pyenv install {version}` or `uv python install {version}`"
        )
    try:
        root = unpacked(_SYSTEMS[version], say)
    except (ControlPlaneError, OSError) as error:
        raise MissingInterpreter(
            f"no Python {version} that works, and none can be made of Debian's packages; install one (`pyenv install "
            f"{version}`, `uv python install {version}`), or mmdebstrap (`make cluster-deps`): {error}"
        ) from error
    return Interpreter(version, Path("/usr/bin", f"python{version}"), root)


def found(version: str, environ: Mapping[str, str] = os.environ) -> Interpreter | None:
    """Return the first interpreter of *version* on this machine that works."""
    programs = (_working(path, version) for path in _candidates(version, environ))
    return next((Interpreter(version, program) for program in programs if program), None)


def _candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    yield Path(sys.executable)
    name, home = f"python{version}", Path(environ.get("HOME", "~")).expanduser()
    yield from (Path(folder, name) for folder in environ.get("PATH", "").split(os.pathsep) if folder)
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv", "versions")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
    yield from _newest_first(pyenv.glob(f"{version}.*/bin/{name}"))
    yield from _newest_first(uv.glob(f"cpython-{version}.*/bin/{name}"))


def _newest_first(programs: Iterator[Path]) -> list[Path]:
    """Sort by the third number of the version that the folder is named after."""

    def patch(program: Path) -> int:
        digits = program.parents[1].name.split(".")[2].partition("-")[0]
        return int(digits) if digits.isdigit() else -1

    return sorted(programs, key=patch, reverse=True)


def _working(path: Path, version: str) -> Path | None:
    """Return the program behind *path* if it is a release of CPython *version* that can make environments."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS,
        )  # fmt: skip
        said = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    wanted = {"implementation": "cpython", "version": version, "level": "final", "free_threaded": False}
    return Path(said["program"]) if said | wanted == said else None
