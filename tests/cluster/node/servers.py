"""Command lines of the servers of a node, as they are inside: below `inside.ROOT`, which is where they run."""

from __future__ import annotations

from tests.cluster import servers
from tests.cluster.certificates import Certificates
from tests.cluster.node.configuration import NODE_NAME, RUNTIME_SOCKET, SERVICES
from tests.cluster.node.identities import FOLDER, PORT
from tests.cluster.node.inside import PROGRAMS, ROOT
from tests.cluster.node.slots import Slot

_IDENTITIES = ROOT / FOLDER
_CONTROL_PLANE, _NODE, _DNS = (PROGRAMS / name for name in ("control_plane", "node", "dns"))


def first(slot: Slot) -> dict[str, list[str]]:
    """Return those that need no other to be ready."""
    return {
        "etcd": servers.etcd(_CONTROL_PLANE),
        "kube-apiserver": _kube_apiserver(slot),
        "containerd": ["containerd", f"--config={ROOT}/containerd.toml", "--log-level=warn"],
    }


def second(slot: Slot) -> dict[str, list[str]]:
    """Return those that need an API server and a container runtime."""
    return {
        "kube-controller-manager": [
            f"{_NODE}/kube-controller-manager",
            _kubeconfig("kube-controller-manager"),
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            f"--root-ca-file={ROOT}/ca.pem",
            f"--service-account-private-key-file={Certificates.below(ROOT).token_key}",
            f"--service-cluster-ip-range={SERVICES}",
            "--use-service-account-credentials",  # each controller has a role of its own, and this one user few rights
            "--pvclaimbinder-sync-period=1s",
        ],
        "kube-scheduler": [
            f"{_NODE}/kube-scheduler",
            _kubeconfig("kube-scheduler"),
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
        "kubelet": [
            f"{_NODE}/kubelet",
            f"--config={ROOT}/kubelet.json",
            _kubeconfig("kubelet"),
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={slot.address}",
        ],
        "kube-proxy": [f"{_NODE}/kube-proxy", f"--config={ROOT}/kube-proxy.json"],
        "coredns": [f"{_DNS}/coredns", f"-conf={ROOT}/Corefile"],
    }


def runtime_socket() -> str:
    """Return the name, in the node's folder, of the socket at which its container runtime answers."""
    return RUNTIME_SOCKET


def _kube_apiserver(slot: Slot) -> list[str]:
    return [
        *servers.kube_apiserver(_CONTROL_PLANE, slot.address, PORT, Certificates.below(ROOT)),
        f"--advertise-address={slot.address}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--kubelet-certificate-authority={ROOT}/ca.pem",
        f"--kubelet-client-certificate={_IDENTITIES}/kube-apiserver.pem",
        f"--kubelet-client-key={_IDENTITIES}/kube-apiserver.pem",
        "--kubelet-preferred-address-types=InternalIP",  # nobody resolves the node's name
    ]


def _kubeconfig(name: str) -> str:
    return f"--kubeconfig={_IDENTITIES}/{name}.kubeconfig"
