"""What is built, and with which flags: everything that decides what the binaries are, and so the name of a build."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.pins import Pin

GO_AT_LEAST = (1, 26)

_PACKAGES = {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver", "etcd": "go.etcd.io/etcd/server/v3"}
_VERSION = "k8s.io/component-base/version"
_REMEDY = f"""The control plane of the tests needs etcd and kube-apiserver. Either
  - set KUBEBUILDER_ASSETS to a folder that holds them;
  - or let controller-runtime's setup-envtest fetch them: what it keeps is found;
  - or set ENVTEST_ARCHIVE to the address of a mirror of the archive that is published for envtest;
  - or install Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer: they are then built once, in a few minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Programs that are built together, from the modules that the go.mod in the folder `module` pins.

    `purpose` stands first in every line of progress; `remedy` tells whoever has no Go how to get the programs.
    """

    purpose: str
    module: Path
    packages: Mapping[str, str]
    tags: str = ""
    stamps: Mapping[str, str]
    remedy: str

    def arguments(self) -> list[str]:
        """Return the arguments of `go` that build the programs, without the folder to put them into."""
        linker = ["-s", "-w", *(f"-X {name}={value}" for name, value in self.stamps.items())]
        tags = [f"-tags={self.tags}"] if self.tags else []
        return ["build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", *tags,
                f"-ldflags={' '.join(linker)}", *self.packages.values()]  # fmt: skip

    def key(self) -> str:
        """Return the name of the build: it changes with the modules, their sums, the flags and the platform."""
        digest = hashlib.sha256()
        for part in (
            (self.module / "go.mod").read_bytes(),
            (self.module / "go.sum").read_bytes(),
            *map(str.encode, self.arguments()),
        ):
            digest.update(len(part).to_bytes(8) + part)
        return f"{platform.system()}-{platform.machine()}-{digest.hexdigest()[:16]}".lower()

    def missing(self, folder: Path) -> list[str]:
        """Return the programs that *folder* does not hold as executable files."""
        return absent(folder, self.packages)

    def made_as(self, program: str) -> str:
        """Return what `go build` calls *program*: the end of its package's path, without a major version."""
        return re.sub(r"/v\d+$", "", self.packages[program]).rsplit("/", 1)[-1]


def module(pin: Pin) -> Path:
    """Return the folder with the go.mod of *pin*."""
    return Path(__file__).parent / pin


def control_plane(module: Path) -> Recipe:
    """Return what the control plane is built from."""
    return Recipe(
        purpose="control plane",
        module=module,
        packages=_PACKAGES,
        tags="providerless",
        stamps=kubernetes_stamps(module),
        remedy=_REMEDY,
    )


def kubernetes_stamps(module: Path) -> dict[str, str]:
    """Return what tells a program of Kubernetes its version.

    Without it a server calls itself v0.0.0, which clients take for a very old one.
    """
    major, minor = minor_version(module)
    stamps = {"gitVersion": pinned("k8s.io/kubernetes", module), "gitMajor": str(major), "gitMinor": str(minor)}
    return {f"{_VERSION}.{name}": value for name, value in stamps.items()}


def minor_version(module: Path) -> tuple[int, int]:
    """Return the minor version of Kubernetes that *module* pins, such as (1, 35)."""
    major, minor, _ = pinned("k8s.io/kubernetes", module).removeprefix("v").split(".", 2)
    return int(major), int(minor)


def missing(folder: Path) -> list[str]:
    """Return the programs of the control plane that *folder* does not hold."""
    return absent(folder, _PACKAGES)


def pinned(path: str, module: Path) -> str:
    """Return the version in which *module* requires the module *path*."""
    found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{module / 'go.mod'} does not require {path}")
    return found[1]


def absent(folder: Path, programs: Iterable[str]) -> list[str]:
    """Return those of *programs* that *folder* does not hold as executable files."""
    return [name for name in sorted(programs) if not _is_program(folder / name)]


def _is_program(path: Path) -> bool:
    return os.access(path, os.X_OK) and path.is_file()
