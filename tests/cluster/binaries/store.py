"""What controller-runtime's setup-envtest left in its store, which is read and never written to.

It has a folder for each version and kind of machine, such as ``k8s/1.35.0-linux-amd64``, which is filled in place: one
that was interrupted looks finished. So the programs are run before they are believed. No variable says where the store
is, only the option ``--bin-dir``; of a store elsewhere, KUBEBUILDER_ASSETS has to name a folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.binaries import archive, versions


def newest(
    wanted: tuple[int, int], say: Callable[[str], None], environ: Mapping[str, str], *, or_later: bool
) -> Path | None:
    """Return the folder to use: the newest of the minor version *wanted*, or None.

    With *or_later*, where there is none of that minor version it is the newest of all later ones. No pre-release is
    used, and nothing that is not whole; *say* is told of the latter.
    """
    found = {version: path for path in _folders(environ) if (version := _version(path))}
    fitting = {
        version: path for version, path in found.items() if version[:2] == wanted or (or_later and version[:2] > wanted)
    }
    for version, path in sorted(fitting.items(), key=lambda item: (item[0][:2] == wanted, item[0]), reverse=True):
        if not (flaw := _flaw(path, version, environ)):
            return path
        say(f"{path}, which setup-envtest left, is passed over: {flaw}")
    return None


def _folders(environ: Mapping[str, str]) -> list[Path]:
    # Also a relative value counts, as for setup-envtest.
    data = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or Path.home(), ".local", "share")
    store = Path(data, "kubebuilder-envtest", "k8s").absolute()
    return list(store.iterdir()) if os.access(store, os.R_OK | os.X_OK) and store.is_dir() else []


def _version(path: Path) -> tuple[int, int, int] | None:
    found = re.fullmatch(rf"(\d+)\.(\d+)\.(\d+)-{re.escape(archive.machine())}", path.name)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _flaw(path: Path, version: tuple[int, int, int], environ: Mapping[str, str]) -> str:
    if missing := archive.missing(path):
        return f"it holds no executable {' and no '.join(missing)}"
    expected = ".".join(map(str, version))
    if (called := versions.called(path / "kube-apiserver", environ)) != expected:
        return f"its kube-apiserver is {called or 'of no known version'}, expected {expected}"
    if not versions.called(path / "etcd", environ):
        return "its etcd cannot be run"
    return ""
