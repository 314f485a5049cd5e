"""What is built, and with which flags: everything that decides what the binaries are, and so the name of a build."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from pathlib import Path

PROGRAMS = ("etcd", "kube-apiserver")
MODULE = Path(__file__).parent
GO_AT_LEAST = (1, 25)

_PACKAGES = {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver", "server": "go.etcd.io/etcd/server/v3"}
_VERSION = "k8s.io/component-base/version"


def arguments(module: Path = MODULE) -> list[str]:
    """Return the arguments of `go` that build both programs, without the folder to put them into."""
    # Without the stamp the server calls itself v0.0.0, which clients take for a very old one.
    version = _kubernetes_version(module)
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    linker = ["-s", "-w", *(f"-X {_VERSION}.{name}={value}" for name, value in stamp.items())]
    return ["build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", "-tags=providerless",
            f"-ldflags={' '.join(linker)}", *_PACKAGES.values()]  # fmt: skip


def key(module: Path = MODULE) -> str:
    """Return the name of the build: it changes with the modules, their sums, the flags and the platform."""
    digest = hashlib.sha256()
    for part in (
        (module / "go.mod").read_bytes(),
        (module / "go.sum").read_bytes(),
        *map(str.encode, arguments(module)),
    ):
        digest.update(len(part).to_bytes(8) + part)
    return f"{platform.system()}-{platform.machine()}-{digest.hexdigest()[:16]}".lower()


def missing(folder: Path) -> list[str]:
    """Return the programs that *folder* does not hold as executable files."""
    return [name for name in PROGRAMS if not ((folder / name).is_file() and os.access(folder / name, os.X_OK))]


def _kubernetes_version(module: Path) -> str:
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{module / 'go.mod'} does not require k8s.io/kubernetes")
    return found[1]
