"""Building the programs of a recipe once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.binaries import go
from tests.cluster.binaries.once import made_once
from tests.cluster.binaries.recipe import Recipe
from tests.cluster.errors import BinariesError


def built_once(recipe: Recipe, cache: Path, say: Callable[[str], None], environ: Mapping[str, str]) -> Path:
    """Return the folder below *cache* that holds the programs of *recipe*, after building them if need be."""

    def make(draft: Path) -> None:
        _build(recipe, draft, go.toolchain(environ, recipe.remedy), say)

    return made_once(cache / recipe.key(), recipe.missing, make, lambda line: say(f"{recipe.purpose}: {line}"))


def _build(recipe: Recipe, draft: Path, toolchain: go.Toolchain, say: Callable[[str], None]) -> None:
    toolchain.build(recipe, draft, say)
    for program in recipe.packages:
        if (made := draft / recipe.made_as(program)).exists():
            made.rename(draft / program)
    if missing := recipe.missing(draft):
        raise BinariesError(f"go build ended well but made no {' and no '.join(missing)}")
