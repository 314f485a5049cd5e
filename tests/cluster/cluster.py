"""A running Kubernetes as its administrator uses it, whoever started it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.errors import ControlPlaneError
from tests.cluster.images import Image

_KUBECONFIG, _PREFIX, _SMALL = "E2E_KUBECONFIG", "E2E_IMAGE_PREFIX", "E2E_SMALL_STORAGE_CLASS"
_LOCAL = "localhost/"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster; `kubeconfig` is an administrator's, and the names of images in it start with `image_prefix`.

    A claim of `small_storage_class` holds 4 KiB and no more. `volumes` is the folder with all of its volumes, where
    that is on this machine.
    """

    kubeconfig: Path
    kubectl_program: Path
    image_prefix: str = _LOCAL
    small_storage_class: str = "small"
    volumes: Path | None = None

    def volume(self, name: str) -> Path:
        """Return the folder that the PersistentVolume *name* is."""
        assert self.volumes is not None, f"the volumes of {self.kubeconfig} are not on this machine"
        return self.volumes / name

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of an administrator's client, past any proxy: it would not find a node here."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "NO_PROXY": "*", "no_proxy": "*"}

    @property
    def url(self) -> str:
        """Return the address of its API server."""
        configuration = yaml.safe_load(self.kubeconfig.read_text())
        return str(configuration["clusters"][0]["cluster"]["server"])

    def name_of(self, image: Image) -> str:
        """Return what *image* is called in this cluster."""
        return f"{self.image_prefix}{str(image).removeprefix(_LOCAL)}"

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it prints; with *check*, raise ControlPlaneError if it fails."""
        done = subprocess.run(
            self.command(*arguments), env=self.environ, input=stdin, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of kubectl with *arguments*; it wants `environ`."""
        return [str(self.kubectl_program), *arguments]


def given(environ: Mapping[str, str] = os.environ) -> Cluster | None:
    """Return the cluster that E2E_KUBECONFIG names, or None: the one that kubectl would talk to is never taken.

    Raises ControlPlaneError when it cannot be used.
    """
    if not (named := environ.get(_KUBECONFIG)):
        return None
    kubeconfig = Path(named).absolute()
    if not kubeconfig.is_file():
        raise ControlPlaneError(f"{_KUBECONFIG}={named}: there is no such file")
    program = shutil.which("kubectl", path=environ.get("PATH", ""))
    if program is None:
        raise ControlPlaneError(f"{_KUBECONFIG} is set, and no kubectl is on the PATH to talk to that cluster with")
    return Cluster(kubeconfig, Path(program), environ.get(_PREFIX, _LOCAL), environ.get(_SMALL, "small"))
