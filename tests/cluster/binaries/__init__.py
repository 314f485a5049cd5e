"""Where etcd and kube-apiserver come from.

The folder that KUBEBUILDER_ASSETS names, if it is set; otherwise the user's cache, which is filled once from the Go
modules that the `go.mod` beside this file pins. The cache is outside the checkout, so a fresh clone finds it too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.binaries import build, recipe
from tests.cluster.errors import BinariesError

__all__ = ["BinariesError", "locate"]

_VARIABLE = "KUBEBUILDER_ASSETS"


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Return a folder that holds both programs, building them if need be; *say* is told how the build goes on."""
    if given := environ.get(_VARIABLE):
        return _complete(Path(given))
    return build.built_once(recipe.control_plane(), cache_folder(environ), say, environ)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder below which every build has a folder of its own."""
    cache = environ.get("XDG_CACHE_HOME", "")
    # The specification asks for relative values to be ignored.
    base = Path(cache) if Path(cache).is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return base / "coverage-hooks" / "control-plane"


def _complete(folder: Path) -> Path:
    if missing := recipe.missing(folder):
        raise BinariesError(
            f"{_VARIABLE}={folder} holds no executable {' and no '.join(missing)}; "
            "fill it (setup-envtest use --print path) or unset it to build them from Go modules"
        )
    return folder.absolute()
