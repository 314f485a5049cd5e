"""The programs that a node is made of: what the machine must have, and what is built once from pinned Go modules.

The control plane is the oldest one of all other tests, which need not be built. Its minor version is the node's: a
controller manager and a scheduler may be one older than their API server, and no more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.binaries import build
from tests.cluster.binaries.recipe import GO_AT_LEAST, Recipe, kubernetes_stamps
from tests.cluster.errors import BinariesError, ControlPlaneError
from tests.cluster.pins import Pin

MODULE = Path(__file__).parents[1] / "node-binaries"
#: The versions that its control plane is of.
PIN: Pin = "oldest"

_DNS_MODULE = MODULE.with_name("dns-binaries")
_COMMANDS = ("kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
_REMEDY = f"The node of the tests needs Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer: it is built once, in minutes."

# What must be on the PATH, and the Debian package that it comes from.
_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
}
_CNI_PLUGINS = ("ptp", "host-local", "portmap", "loopback")
_CNI_PACKAGE = "containernetworking-plugins"
# Where the distributions put them; /opt is where their authors do.
_CNI_FOLDERS = ("/usr/lib/cni", "/usr/libexec/cni", "/usr/lib/cni/bin", "/opt/cni/bin")


class NodeError(ControlPlaneError):
    """There is no node, and the message says why."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Folders that hold programs: of the control plane, of the node, of its DNS, and of its container network."""

    control_plane: Path
    node: Path
    dns: Path
    network: Path

    @property
    def kubectl(self) -> Path:
        """Return the client that fits the server."""
        return self.node / "kubectl"


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Programs:
    """Return all programs, building them if need be; raise NodeError that names what the machine lacks."""
    network = require_system(environ)
    cache = binaries.cache_folder(environ).parent
    try:
        return Programs(
            control_plane=binaries.locate(say, environ, pin=PIN),
            node=build.built_once(_node(), cache / "node", say, environ),
            dns=build.built_once(_dns(), cache / "node", say, environ),
            network=network,
        )
    except BinariesError as error:
        raise NodeError(str(error)) from error


def require_system(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the network plugins; raise NodeError if this is no machine that a node can run on."""
    if os.name != "posix" or os.uname().sysname != "Linux":
        raise NodeError("A node needs Linux.")
    missing = sorted({package for program, package in _PACKAGES.items() if not _found(program, environ)})
    folder = next((Path(place) for place in _CNI_FOLDERS if _has_plugins(Path(place))), None)
    if folder is None or missing:
        packages = " ".join([*missing, *([_CNI_PACKAGE] if folder is None else [])])
        raise NodeError(
            f"The node of the tests lacks packages, named here as Debian names them:\n  {packages}\n"
            "`make cluster-deps` installs them with apt-get; elsewhere use the package manager of your system."
        )
    if os.geteuid() != 0:
        raise NodeError("A node needs root: it mounts, makes network namespaces and control groups, all of its own.")
    return folder


def packages() -> list[str]:
    """Return the Debian packages that a node needs."""
    return sorted({*_PACKAGES.values(), _CNI_PACKAGE})


def _found(program: str, environ: Mapping[str, str]) -> bool:
    # A user's PATH often lacks the folders of the administrator's programs.
    return shutil.which(program, path=f"{environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _has_plugins(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _CNI_PLUGINS)


def _node() -> Recipe:
    return Recipe(
        purpose="node",
        module=MODULE,
        packages={name: f"k8s.io/kubernetes/cmd/{name}" for name in _COMMANDS},
        tags="providerless",
        stamps=kubernetes_stamps(MODULE),
        remedy=_REMEDY,
    )


def _dns() -> Recipe:
    packages = {"coredns": "github.com/coredns/coredns"}
    return Recipe(purpose="DNS", module=_DNS_MODULE, packages=packages, stamps={}, remedy=_REMEDY)
