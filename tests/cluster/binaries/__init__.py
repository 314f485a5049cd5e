"""Where etcd and kube-apiserver come from; the first of these that there is::

    the folder that KUBEBUILDER_ASSETS names
    what was made before, in the user's cache
    what setup-envtest keeps, of the pinned minor version or of a later one
    the archive that is published for envtest, which is fetched once
    the Go modules that the `go.mod` beside this file pins, which are built once

The cache is outside the checkout, so a fresh clone finds it too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.binaries import archive, build, recipe, store, versions
from tests.cluster.errors import BinariesError

__all__ = ["BinariesError", "locate"]

_VARIABLE = "KUBEBUILDER_ASSETS"
_BUILT, _PUBLISHED = "built from Go modules", "as published for envtest"


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Return a folder that holds both programs, getting them if need be; *say* is told how that goes on, and which."""

    def tell(line: str) -> None:
        say(f"control plane: {line}")

    folder, origin = (
        _kept(tell, environ)
        or _fetched(tell, environ)
        or (build.built_once(recipe.control_plane(), cache_folder(environ), say, environ), _BUILT)
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


def _kept(tell: Callable[[str], None], environ: Mapping[str, str]) -> tuple[Path, str] | None:
    """Return a folder that is there already, and where it is from."""
    if given := environ.get(_VARIABLE):
        return _complete(Path(given)), f"from {_VARIABLE}"
    cache = cache_folder(environ)
    if not recipe.missing(built := cache / recipe.key()):
        return built, _BUILT
    if not archive.missing(unpacked := archive.folder(cache)):
        return unpacked, _PUBLISHED
    if found := store.newest(recipe.minor_version(), tell, environ):
        return found, "from setup-envtest"
    return None


def _fetched(tell: Callable[[str], None], environ: Mapping[str, str]) -> tuple[Path, str] | None:
    folder = archive.fetched_once(cache_folder(environ), tell, environ)
    return (folder, _PUBLISHED) if folder else None


def _complete(folder: Path) -> Path:
    if missing := recipe.missing(folder):
        raise BinariesError(
            f"{_VARIABLE}={folder} holds no executable {' and no '.join(missing)}; "
            "fill it (setup-envtest use --print path), or unset it to have them found, fetched or built"
        )
    return folder.absolute()
