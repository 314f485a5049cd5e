"""Where actionlint comes from, which checks workflows as GitHub reads them.

The program that ACTIONLINT names, if it is set; otherwise the user's cache, which is filled once from the Go modules
that ``actionlint/go.mod`` pins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.binaries import build, cache_folder
from tests.cluster.binaries.recipe import GO_AT_LEAST, Recipe, pinned
from tests.cluster.errors import BinariesError
from tests.cluster.waiting import WITHIN

MODULE = Path(__file__).parent / "actionlint"

_VARIABLE = "ACTIONLINT"
_REMEDY = f"""The check of the workflows needs actionlint. Either
  - set {_VARIABLE} to it;
  - or install Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer: it is then built once, in seconds."""


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Return the program, building it if need be; *say* is told how the build goes on."""
    if given := environ.get(_VARIABLE):
        program = shutil.which(given, path=environ.get("PATH", ""))
        if program is None:
            raise BinariesError(f"{_VARIABLE}={given} is no program.\n{_REMEDY}")
        return Path(program).absolute()
    return build.built_once(recipe(), cache_folder(environ).parent / "actionlint", say, environ) / "actionlint"


def recipe(module: Path = MODULE) -> Recipe:
    """Return what actionlint is built from."""
    source = "github.com/rhysd/actionlint"
    return Recipe(
        purpose="actionlint",
        module=module,
        packages={"actionlint": f"{source}/cmd/actionlint"},
        stamps={f"{source}.version": pinned(source, module)},
        remedy=_REMEDY,
    )


def complaints(program: Path, workflow: Path) -> list[str]:
    """Return what *program* says against *workflow*: a line each, nothing when it is sound."""
    # Both are programs that may or may not be on a machine, and what is checked must not depend on that.
    command = [program, "-no-color", "-oneline", "-shellcheck=", "-pyflakes=", workflow]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=WITHIN)
    if done.returncode not in {0, 1}:  # 1: it complains
        raise BinariesError(f"actionlint ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.splitlines()
