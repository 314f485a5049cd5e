"""Where etcd and kube-apiserver come from; the first of these that there is::

    the folder that KUBEBUILDER_ASSETS names
    what was made before, in the user's cache
    what setup-envtest keeps, of the pinned minor version (or of a later one, if it is the newest)
    the archive that is published for envtest, which is fetched once
    the Go modules that `newest/go.mod` or `oldest/go.mod` pins, which are built once

The cache is outside the checkout, so a fresh clone finds it too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster import pins
from tests.cluster.binaries import archive, build, recipe, store, versions
from tests.cluster.errors import BinariesError
from tests.cluster.pins import Pin

__all__ = ["BinariesError", "locate"]

_VARIABLE = "KUBEBUILDER_ASSETS"
_BUILT, _PUBLISHED = "built from Go modules", "as published for envtest"


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ, *, pin: Pin | None = None) -> Path:
    """Return a folder that holds both programs, getting them if need be; *say* is told how that goes on, and which.

    They are those of *pin*, or of what SERVER_VERSIONS chooses.
    """
    pin = pin or pins.chosen(environ)

    def tell(line: str) -> None:
        say(f"control plane: {line}")

    folder, origin = (
        _kept(pin, tell, environ)
        or _fetched(pin, tell, environ)
        or (build.built_once(_recipe(pin), cache_folder(environ), say, environ), _BUILT)
    )
    version = versions.called(folder / "kube-apiserver", environ) or "of no known version"
    tell(f"kube-apiserver {version}, {origin}: {folder}")
    return folder


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder below which every build has a folder of its own."""
    cache = environ.get("XDG_CACHE_HOME", "")
    # The specification asks for relative values to be ignored.
    base = Path(cache) if Path(cache).is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return base / "coverage-hooks" / "control-plane"


def _recipe(pin: Pin) -> recipe.Recipe:
    return recipe.control_plane(recipe.module(pin))


def _kept(pin: Pin, tell: Callable[[str], None], environ: Mapping[str, str]) -> tuple[Path, str] | None:
    """Return a folder that is there already, and where it is from."""
    if given := pins.given(_VARIABLE, environ):
        return _complete(Path(given)), f"from {_VARIABLE}"
    cache = cache_folder(environ)
    if not recipe.missing(built := cache / _recipe(pin).key()):
        return built, _BUILT
    if not archive.missing(unpacked := archive.folder(pin, cache)):
        return unpacked, _PUBLISHED
    minor_version = recipe.minor_version(recipe.module(pin))
    if found := store.newest(minor_version, tell, environ, or_later=pin == "newest"):
        return found, "from setup-envtest"
    return None


def _fetched(pin: Pin, tell: Callable[[str], None], environ: Mapping[str, str]) -> tuple[Path, str] | None:
    folder = archive.fetched_once(pin, cache_folder(environ), tell, environ)
    return (folder, _PUBLISHED) if folder else None


def _complete(folder: Path) -> Path:
    if missing := recipe.missing(folder):
        raise BinariesError(
            f"{_VARIABLE}={folder} holds no executable {' and no '.join(missing)}; "
            "fill it (setup-envtest use --print path), or unset it to have them found, fetched or built"
        )
    return folder.absolute()
