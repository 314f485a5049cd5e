"""A namespace of a cluster, and pods that a test puts there."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keycloak_operator.resources import GROUP
from tests.cluster.cluster import Cluster
from tests.cluster.waiting import WITHIN
from tests.e2e.session import RUN_LABEL, Session
from tests.e2e.waiting import wait_until
from tests.functional.keycloak_operator.users import PLURALS

Document = dict[str, Any]

_KINDS = ",".join(f"{plural}.{GROUP}" for plural in PLURALS.values())
_LISTED = "pods,replicasets,deployments,persistentvolumeclaims,events"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, and what tests do in it; `image` is one with Python, for helpers."""

    cluster: Cluster
    name: str
    image: str

    @classmethod
    def made(cls, shared: Session, name: str, image: str, level: str = "restricted") -> Namespace:
        """Make a namespace where Pod Security enforces *level*, if it is not there; it goes with the run."""
        labels = {RUN_LABEL: shared.run, "pod-security.kubernetes.io/enforce": level}
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        shared.cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(document))
        namespace = cls(shared.cluster, name, image)
        wait_until(lambda: namespace.find("serviceaccount", "default"), "there is a default service account")
        return namespace

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in this namespace."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    def try_kubectl(self, *arguments: str) -> str:
        """Run kubectl, and return nothing if it fails."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, check=False)

    def apply(self, *documents: Document) -> None:
        """Create objects, or change them."""
        objects = {"apiVersion": "v1", "kind": "List", "items": documents}
        self.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(objects))

    def find(self, kind: str, name: str) -> Document | None:
        """Return an object, or None if there is none."""
        found = self.kubectl("get", kind, name, "--ignore-not-found", "--output=json")
        document: Document | None = json.loads(found) if found else None
        return document

    def list(self, kind: str, labels: str = "") -> list[Document]:
        """Return the objects of *kind* with these *labels*."""
        found: list[Document] = json.loads(self.kubectl("get", kind, f"--selector={labels}", "--output=json"))["items"]
        return found

    def wait_until_ready(self, pod: str) -> None:
        """Wait for a pod; when that takes too long, tell what is known of it."""
        arguments = ("wait", f"pod/{pod}", "--for=condition=Ready", f"--timeout={WITHIN:g}s")
        if not self.try_kubectl(*arguments):
            raise TimeoutError(f"pod {pod} is not ready within {WITHIN:g} s\n{self.describe(pod)}")

    def describe(self, pod: str) -> str:
        """Return what there is to be known about a pod, and what it said."""
        return self.try_kubectl("describe", "pod", pod) + self.try_kubectl("logs", pod, "--tail=40")

    def evidence(self) -> str:
        """Return everything that may tell why a test failed: objects, events, logs, and what is on the claims."""
        parts = [self.try_kubectl("get", _LISTED, "--output=wide"), self.try_kubectl("get", _KINDS, "--output=yaml")]
        for name in self.try_kubectl("get", "pods", "--output=name").split():
            parts += [self.try_kubectl("describe", name)]
            for also in ([], ["--previous"]):
                parts += [f"log of {name} {' '.join(also)}\n", self.try_kubectl("logs", name, "--tail=60", *also)]
        for name in self.try_kubectl("get", "persistentvolumeclaims", "--output=name").split():
            parts.append(f"on {name}:\n{self._listing(name.rpartition('/')[2])}")
        return "\n".join(parts)

    def _listing(self, claim: str) -> str:
        try:
            with self.mounting(claim) as pod:
                return self.kubectl("exec", pod, "--", "ls", "-lR", "--time-style=full-iso", "/claim")
        except Exception as error:  # noqa: BLE001 - evidence of one failure is not lost by another one
            return str(error)

    @contextlib.contextmanager
    def mounting(self, claim: str) -> Iterator[str]:
        """Yield the name of a pod that has *claim* at ``/claim``, to be read only, and does nothing."""
        name = f"reads-{uuid.uuid4().hex[:8]}"
        document = pod(name, self.image, program="import signal; signal.pause()", claim=claim, read_only=True)
        self.apply(document)
        try:
            self.wait_until_ready(name)
            yield name
        finally:
            self.kubectl("delete", "pod", name, "--grace-period=1", "--wait=false", "--ignore-not-found")

    def delete(self) -> None:
        """Have it go, whether or not an operator is there to take finalizers off."""
        # Where their kinds are not known, there are none.
        self.try_kubectl("delete", _KINDS, "--all", "--wait=false")
        for found in self.try_kubectl("get", _KINDS, "--output=name").split():
            self.try_kubectl("patch", found, "--type=merge", '--patch={"metadata": {"finalizers": null}}')
        self.cluster.kubectl("delete", "namespace", self.name, "--ignore-not-found", "--wait=false")


@contextlib.contextmanager
def using_namespace(shared: Session, image: str, level: str = "restricted") -> Iterator[Namespace]:
    """Yield a namespace where Pod Security enforces *level*; afterwards it goes."""
    namespace = Namespace.made(shared, f"test-{uuid.uuid4().hex[:12]}", image, level)
    try:
        yield namespace
    finally:
        namespace.delete()


def pod(
    name: str, image: str, *, program: str = "", claim: str = "", read_only: bool = False, **container: Any
) -> Document:
    """Return a pod of one container, as the strictest rules ask for; with *program*, Python runs that instead.

    The claim is mounted at ``/claim``.
    """
    source = {"claimName": claim, "readOnly": read_only}
    volumes = [{"name": "claim", "persistentVolumeClaim": source}] if claim else []
    mounts = [{"name": "claim", "mountPath": "/claim", "readOnly": read_only}] if claim else []
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
                    # On a node of the tests it is there, and could be had from nowhere.
                    "imagePullPolicy": "IfNotPresent",
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
