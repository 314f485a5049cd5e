"""What a cluster of the tests holds before anybody uses it: volumes to claim, and what its DNS may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cluster.api import Api
from tests.cluster.node.configuration import NODE_NAME
from tests.cluster.node.inside import ROOT

STORAGE_CLASS = "local"
VOLUMES = "volumes"

# One for every claim of all tests: a volume is not used twice.
_HOW_MANY, _SHARED = 96, 88
_STORAGE = "/apis/storage.k8s.io/v1/storageclasses"
_RIGHTS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


def make_volumes(folder: Path) -> None:
    """Make the folders of all volumes below the *folder* of a node."""
    for name in _volume_names():
        (folder / VOLUMES / name).mkdir(parents=True)


def create_objects(api: Api) -> None:
    """Create everything. The storage class is the default one, and its volumes are there: nobody provisions any."""
    api.create(_RIGHTS, _dns_may_view())
    api.create(_STORAGE, _storage_class())
    for number, name in enumerate(_volume_names()):
        # The last mode goes with no other.
        modes = ["ReadWriteOnce", "ReadWriteMany"] if number < _SHARED else ["ReadWriteOncePod"]
        api.create("/api/v1/persistentvolumes", _volume(name, modes))


def _volume_names() -> list[str]:
    return [f"volume-{number}" for number in range(_HOW_MANY)]


def _dns_may_view() -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "coredns"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "coredns"}],
    }


def _storage_class() -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _volume(name: str, modes: list[str]) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": "1Gi"},
            "accessModes": modes,
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
            # Not a hostPath, which would not be given to the group of the pod.
            "local": {"path": str(ROOT / VOLUMES / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        },
    }
