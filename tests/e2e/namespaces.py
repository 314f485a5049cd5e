"""A namespace of a node, and pods that a test puts there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.cluster import wait_until
from tests.cluster.node import Node

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, and what tests do in it."""

    node: Node
    name: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in this namespace."""
        return self.node.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    def try_kubectl(self, *arguments: str) -> str:
        """Run kubectl, and return nothing if it fails."""
        return self.node.kubectl(f"--namespace={self.name}", *arguments, check=False)

    def apply(self, *documents: Document) -> None:
        """Create objects."""
        self.kubectl("apply", "--filename=-", stdin="\n---\n".join(map(json.dumps, documents)))

    def find(self, kind: str, name: str) -> Document | None:
        """Return an object, or None if there is none."""
        found = self.kubectl("get", kind, name, "--ignore-not-found", "--output=json")
        document: Document | None = json.loads(found) if found else None
        return document

    def wait_until_ready(self, pod: str, within: float = 60) -> None:
        """Wait for a pod; when that takes too long, tell what is known of it."""
        wait_until(
            lambda: self._is_ready(pod), f"pod {pod} is ready", within=within, details=lambda: self.describe(pod)
        )

    def describe(self, pod: str) -> str:
        """Return what there is to be known about a pod, and what it said."""
        return self.kubectl("describe", "pod", pod) + self.try_kubectl("logs", pod, "--tail=40")

    def events(self) -> str:
        """Return what happened."""
        return self.try_kubectl("get", "events", "--sort-by=.lastTimestamp") + self.try_kubectl("get", "pods")

    def _is_ready(self, pod: str) -> bool:
        found = self.find("pod", pod) or {}
        conditions = found.get("status", {}).get("conditions", ())
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def pod(name: str, image: str, *, program: str = "", claim: str = "", **container: Any) -> Document:
    """Return a pod of one container, as the strictest rules ask for; with *program*, Python runs that instead.

    The claim is mounted at ``/claim``.
    """
    volumes = [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    mounts = [{"name": "claim", "mountPath": "/claim"}] if claim else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "Never",
                    "volumeMounts": mounts,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    **({"command": ["python", "-c", program]} if program else {}),
                    **container,
                }
            ],
            "volumes": volumes,
        },
    }


def claim(name: str) -> Document:
    """Return a claim of a volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def service(name: str, listens: int, *, to: str, port: int) -> Document:
    """Return a service in front of the pod *to*. A pod resolves its own name by itself, so another one says more."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": to}, "ports": [{"port": listens, "targetPort": port}]},
    }


def ready_when(path: str, port: int) -> Document:
    """Return a probe."""
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": 1}
