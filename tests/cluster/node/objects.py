"""What a cluster of the tests holds before anybody uses it: volumes to claim, and what its DNS may read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.api import Api
from tests.cluster.node.configuration import NODE_NAME
from tests.cluster.node.inside import ROOT, SMALL

STORAGE_CLASS = "local"
VOLUMES = "volumes"

# One for every claim of all tests: a volume is not used twice.
_SHARED, _ALONE, _SMALL = 88, 8, 4
_STORAGE = "/apis/storage.k8s.io/v1/storageclasses"
_RIGHTS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


def make_volumes(folder: Path) -> None:
    """Make the folders of all volumes below the *folder* of a node."""
    for name, *_ in _volumes():
        (folder / VOLUMES / name).mkdir(parents=True)


def create_objects(api: Api) -> None:
    """Create everything. The storage class is the default one, and its volumes are there: nobody provisions any."""
    api.create(_RIGHTS, _dns_may_view())
    api.create(_STORAGE, _storage_class(STORAGE_CLASS, {"storageclass.kubernetes.io/is-default-class": "true"}))
    api.create(_STORAGE, _storage_class(SMALL, {}))
    for name, storage_class, modes in _volumes():
        api.create("/api/v1/persistentvolumes", _volume(name, storage_class, modes))


def _volumes() -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name, the storage class and the access modes of each volume."""
    yield from ((f"volume-{number}", STORAGE_CLASS, ["ReadWriteOnce", "ReadWriteMany"]) for number in range(_SHARED))
    # This mode goes with no other.
    yield from ((f"alone-{number}", STORAGE_CLASS, ["ReadWriteOncePod"]) for number in range(_ALONE))
    yield from ((f"{SMALL}-{number}", SMALL, ["ReadWriteOnce"]) for number in range(_SMALL))


def _dns_may_view() -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "coredns"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "coredns"}],
    }


def _storage_class(name: str, annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _volume(name: str, storage_class: str, modes: list[str]) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": storage_class,
            "capacity": {"storage": "1Gi"},
            "accessModes": modes,
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
            # Not a hostPath, which would not be given to the group of the pod.
            "local": {"path": str(ROOT / VOLUMES / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        },
    }
