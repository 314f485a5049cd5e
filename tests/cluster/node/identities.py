"""Who is who in the cluster of a node: a certificate and a kubeconfig for each of its servers."""

from __future__ import annotations

from pathlib import Path

import trustme

from tests.cluster.certificates import Certificates, write_certificates, write_identity, write_kubeconfig
from tests.cluster.node.configuration import DOMAIN, FIRST_SERVICE, NODE_NAME
from tests.cluster.node.slots import Slot

FOLDER = "identities"
PORT = 6443

# Users that the API server has roles for; the first one's are given out by the authorizer for nodes alone.
_SERVERS = {
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
    "kube-controller-manager": ("system:kube-controller-manager", "system:authenticated"),
    "kube-scheduler": ("system:kube-scheduler", "system:authenticated"),
    "kube-proxy": ("system:kube-proxy", "system:authenticated"),
    "coredns": ("coredns", "system:authenticated"),
    # It asks kubelets for logs and exec; they ask it back whether it may.
    "kube-apiserver": ("kube-apiserver", "system:masters"),
}


def write_identities(folder: Path, slot: Slot) -> Certificates:
    """Write them, and the administrator's ``kubeconfig``; return the files of the API server."""
    authority = trustme.CA()
    service = "kubernetes.default.svc"
    names = [slot.address, FIRST_SERVICE, "kubernetes", "kubernetes.default", f"{service}.{DOMAIN}"]
    files = write_certificates(folder, authority, names)
    url = f"https://{slot.address}:{PORT}"
    write_kubeconfig(folder / "kubeconfig", url, files.authority, files.client)
    (folder / FOLDER).mkdir()
    for name, (user, group) in _SERVERS.items():
        identity = folder / FOLDER / f"{name}.pem"
        addresses = [slot.address] if name == "kubelet" else []
        write_identity(identity, authority, user, group, *addresses)
        write_kubeconfig(identity.with_suffix(".kubeconfig"), url, files.authority, identity)
    return files
