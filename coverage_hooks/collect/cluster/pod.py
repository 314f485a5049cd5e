"""The pod that reads a claim: as little as can be, and nothing that the strictest rules for pods forbid."""

from __future__ import annotations

import hashlib
from typing import Any

import yaml

from coverage_hooks.collect.cluster.claims import DOMAIN, READER, Volume
from coverage_hooks.volume.server import PORT

#: The label that says which collect made a reader, or that a person did.
OWNER = f"{DOMAIN}/owner"
BY_HAND = "by-hand"

CONTAINER = "reader"

_MOUNT = "/recordings"
_NAME_LIMIT = 63
#: Seconds: how long it serves without being asked, and how long it lives whatever happens.
_IDLE, _LIFETIME = 120, 3600
_IDLE_BY_HAND = _LIFETIME_BY_HAND = 8 * 3600


def name_for(claim: str, what: str = "reader") -> str:
    """Return the name of the reader of *claim*: always the same one, so that a role can name it."""
    name = f"coverage-hooks-{what}-{claim}"
    if len(name) <= _NAME_LIMIT:
        return name
    digest = hashlib.sha256(claim.encode()).hexdigest()[:8]
    return f"{name[: _NAME_LIMIT - 9].rstrip('-.')}-{digest}"


def manifest(volume: Volume, owner: str) -> dict[str, Any]:
    """Return the pod that reads *volume* for *owner*."""
    by_hand = owner == BY_HAND
    idle, lifetime = (_IDLE_BY_HAND, _LIFETIME_BY_HAND) if by_hand else (_IDLE, _LIFETIME)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name_for(volume.claim),
            "namespace": volume.namespace,
            "labels": {**READER, "app.kubernetes.io/name": "coverage-hooks", OWNER: owner},
            "annotations": {f"{DOMAIN}/claim": volume.claim},
        },
        "spec": {
            # Never spec.nodeName: it goes past the scheduler, and so past the check of ReadWriteOncePod.
            **({"affinity": _on(volume.node)} if volume.node else {}),
            "activeDeadlineSeconds": lifetime,
            "automountServiceAccountToken": False,
            "containers": [_container(volume, idle)],
            "enableServiceLinks": False,
            **({"imagePullSecrets": [{"name": name} for name in volume.pull_secrets]} if volume.pull_secrets else {}),
            "restartPolicy": "Never",
            "securityContext": _security(volume),
            "terminationGracePeriodSeconds": 1,
            **({"tolerations": volume.tolerations} if volume.tolerations else {}),
            # Read-only here too: a mount that is read-only alone does not keep fsGroup from changing owners and modes.
            "volumes": [
                {"name": "recordings", "persistentVolumeClaim": {"claimName": volume.claim, "readOnly": True}},
            ],
        },
    }


def to_yaml(document: dict[str, Any]) -> str:
    """Return *document* for kubectl."""
    return yaml.safe_dump(document, sort_keys=False)


def _container(volume: Volume, idle: int) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": volume.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "coverage_hooks.volume.server", _MOUNT, f"--port={PORT}", f"--idle={idle}"],
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "recordings", "mountPath": _MOUNT, "readOnly": True}],
    }


def _security(volume: Volume) -> dict[str, Any]:
    context: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if volume.uid is not None:  # the only one who may read what the operator writes
        context["runAsUser"] = volume.uid
    if volume.gid is not None:
        # Not fsGroup, which is for those who write.
        context |= {"runAsGroup": volume.gid, "supplementalGroups": [volume.gid]}
    return context


def _on(node: str) -> dict[str, Any]:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
