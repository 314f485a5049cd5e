"""The wheel of this checkout, installed as users install it: by what it requires, and not by the lock.

uv resolves anew at each run, and keeps what it downloads in its own cache.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from coverage_hooks.doctor.process import LEAST
from tests.cluster.images.made import run

#: Which versions are installed: the newest that there are, or the oldest that this project says it works with.
Choice = Literal["newest", "floors"]
CHOICES: tuple[Choice, ...] = get_args(Choice)

CHECKOUT = Path(__file__).parents[2]

_EXTRAS = ("record", "collect")
#: What is recorded; an operator has it by itself.
_KOPF = f"kopf>={LEAST['kopf']}"
#: What the tests need besides, always the newest; the last three install the packages of some tests, and gunicorn is a
#: server whose workers are recorded.
_TOOLS = ["pytest", "pytest-asyncio", "pytest-cov", "pytest-timeout", "pytest-xdist", "hypothesis", "trustme"]
_TOOLS += ["gunicorn", "pip", "hatchling", "editables"]

_OPERATORS = ["uvicorn", "uvloop"]

# What fits every system that is made here, whose C library uv cannot ask.
_LIBRARY = "manylinux_2_28"
_UV = [sys.executable, "-m", "uv", "pip"]
_PINNED = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)


def wheel(folder: Path) -> Path:
    """Build the wheel of this checkout in *folder*."""
    command = [sys.executable, "-m", "hatchling", "build", "--target=wheel", f"--directory={folder}"]
    run("building the wheel", command, cwd=CHECKOUT)
    (built,) = folder.glob("*.whl")
    return built


def install(
    built: Path, choice: Choice, version: str, environment: Path, *, elsewhere: bool, operators: bool = False
) -> None:
    """Install the wheel *built*, what its extras require, and the tools into *environment*, of Python *version*.

    An environment of a system that is made here is *elsewhere*: its interpreter cannot be started from outside. What
    the *operators* of the tests are written with comes with them.
    """
    command = [*_UV, "install", "--quiet", "--only-binary=:all:"]
    if elsewhere:
        packages = environment / f"lib/python{version}/site-packages"
        command += [f"--python={sys.executable}", f"--target={packages}", f"--python-version={version}"]
        command += [f"--python-platform={platform.machine()}-{_LIBRARY}"]
    else:
        command += [f"--python={environment / 'bin/python'}"]
    if choice == "floors":
        command += [f"--constraint={_floors(version, built.parent)}"]
    tools = [*_TOOLS, *(_OPERATORS if operators else [])]
    run("installing the packages", [*command, f"{built}[{','.join(_EXTRAS)}]", _KOPF, *tools])


def _floors(version: str, folder: Path) -> Path:
    """Return a file, made in *folder*, with the oldest version of each package that the extras name."""
    besides, chosen = folder / "floors.in", folder / "floors.txt"
    besides.write_text(_KOPF)
    command = [*_UV, "compile", str(CHECKOUT / "pyproject.toml"), str(besides)]
    command += [f"--extra={extra}" for extra in _EXTRAS]
    command += ["--resolution=lowest-direct", "--only-binary=:all:", f"--python-version={version}"]
    run("choosing the oldest versions", [*command, "--quiet", f"--output-file={chosen}"])
    return chosen


def unlike_lock(installed: Mapping[str, str], lock: str) -> list[str]:
    """Return the packages that are *installed* in another version than *lock* has, as "name 2 (1 is locked)"."""
    locked = dict(_PINNED.findall(lock))
    return [
        f"{name} {version} ({locked[name]} is locked)"
        for name, version in sorted(installed.items())
        if locked.get(name, version) != version
    ]
