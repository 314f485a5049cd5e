"""Building the programs once.

A build happens in a folder of its own which gets its final name when it is complete: whoever finds that name finds
all programs. A lock lets one build of a kind run at a time; it is the kernel's, so a killed build leaves none behind.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.binaries import go
from tests.cluster.binaries.recipe import Recipe
from tests.cluster.errors import BinariesError

_DRAFT = ".draft-"


def built_once(recipe: Recipe, cache: Path, say: Callable[[str], None], environ: Mapping[str, str]) -> Path:
    """Return the folder below *cache* that holds the programs of *recipe*, after building them if need be."""
    folder = cache / recipe.key()
    if not recipe.missing(folder):
        return folder
    toolchain = go.toolchain(environ, recipe.remedy)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder, lambda line: say(f"{recipe.purpose}: {line}")):
        if recipe.missing(folder):
            _discard_remains(folder)
            _build(recipe, folder, toolchain, say)
    return folder


def _build(recipe: Recipe, folder: Path, toolchain: go.Toolchain, say: Callable[[str], None]) -> None:
    draft = Path(tempfile.mkdtemp(prefix=folder.name + _DRAFT, dir=folder.parent))
    try:
        toolchain.build(recipe, draft, say)
        for program in recipe.packages:
            if (made := draft / recipe.made_as(program)).exists():
                made.rename(draft / program)
        if missing := recipe.missing(draft):
            raise BinariesError(f"go build ended well but made no {' and no '.join(missing)}")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _discard_remains(folder: Path) -> None:
    """Delete what killed builds left, and a build that somebody took a program out of."""
    for remains in [folder, *folder.parent.glob(folder.name + _DRAFT + "*")]:
        shutil.rmtree(remains, ignore_errors=True)


@contextmanager
def _only_one(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build of the same programs is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
