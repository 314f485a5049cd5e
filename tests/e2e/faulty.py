"""The faulty operator in a namespace: any image that can record runs it, from a ConfigMap."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.waiting import WITHIN
from tests.e2e.collecting import Collected, collect
from tests.e2e.namespaces import Document, Namespace
from tests.e2e.waiting import wait_until

PROJECT = Path(__file__).parent / "faulty_operator"
NAME, CLAIM, RUN = "faulty", "recordings", "faults"

_FOLDER, _VOLUME = "/operator", "/var/lib/coverage-hooks"
_SOURCES = sorted(PROJECT.glob("faulty/*.py"))
_RIGHTS = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]
_POD_FIELDS = {
    "NAME": "metadata.name",
    "NAMESPACE": "metadata.namespace",
    "UID": "metadata.uid",
    "NODE": "spec.nodeName",
}
#: A probe that fails when the operator was told to become unwell.
WELL = {"exec": {"command": ["sh", "-c", "! test -e /scratch/unwell"]}}
#: The probe that Kopf answers, from its event loop.
ANSWERS = {"httpGet": {"path": "/healthz", "port": 8080}}


@dataclass(frozen=True)
class Faulty:
    """The faulty operator, told what to do through ConfigMaps; its recordings are of one run, on one claim."""

    namespace: Namespace
    image: str
    run: str = RUN

    def prepare(self, **claim: Any) -> None:
        """Put there what its pods need."""
        self.namespace.apply(*_needs(self.image, claim))

    def deploy(self, *, replicas: int = 1, **pod: Any) -> None:
        """Have a Deployment of it, and wait until its pods are ready; what *pod* may say is in `template`."""
        self.prepare(**pod.pop("claim", {}))
        self.namespace.apply(self.deployment(replicas, **pod))
        self.namespace.kubectl("rollout", "status", f"deployment/{NAME}", f"--timeout={WITHIN:g}s")

    def deployment(self, replicas: int = 1, **pod: Any) -> Document:
        """Return a Deployment."""
        spec = {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": NAME}},
            "template": self.template(**pod),
        }
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": spec}

    def template(
        self,
        *,
        fault: str = "",
        probe: Document | None = None,
        memory: str = "",
        scratch: str = "",
        read_only: bool = False,
        grace: int = 120,
        core: str = "",
        **spec: Any,
    ) -> Document:
        """Return the template of its pods.

        *fault* is how it fails by itself; *memory* and *scratch* are limits; *core* is what coverage.py measures with,
        if not by its own choice; *spec* is added to that of the pod.
        """
        environment: list[Document] = [
            {"name": f"COVERAGE_HOOKS_POD_{name}", "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in _POD_FIELDS.items()
        ]
        values = {
            "COVERAGE_HOOKS_ENABLED": "true",
            "COVERAGE_HOOKS_DIR": _VOLUME,
            "COVERAGE_HOOKS_RUN": self.run,
            "COVERAGE_HOOKS_RCFILE": f"{_FOLDER}/.coveragerc",
            "COVERAGE_HOOKS_POD_CONTAINER": "operator",
            "COVERAGE_HOOKS_EXIT_TIMEOUT": "60",
            "PYTHONPATH": _FOLDER,
            "FAULT": fault,
        } | ({"COVERAGE_CORE": core} if core else {})
        environment += [{"name": name, "value": value} for name, value in values.items()]
        environment.append({"name": "POD_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
        # Each file by itself: as a whole, a ConfigMap is a folder of links.
        files = {f"{_FOLDER}/faulty/{path.name}": path.name for path in _SOURCES}
        files[f"{_FOLDER}/.coveragerc"] = "coveragerc"
        mounts: list[Document] = [{"name": "sources", "mountPath": path, "subPath": key} for path, key in files.items()]
        mounts += [
            {"name": "recordings", "mountPath": _VOLUME, "readOnly": read_only},
            {"name": "scratch", "mountPath": "/scratch"},
        ]
        probes: Document = (
            {"livenessProbe": {"periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 2, **probe}}
            if probe
            else {}
        )
        container = {
            "name": "operator",
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-m", "faulty"],
            "env": environment,
            "volumeMounts": mounts,
            "startupProbe": {**ANSWERS, "periodSeconds": 1, "failureThreshold": 300},
            "resources": {"limits": {"memory": memory}} if memory else {},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            **probes,
        }
        return {
            "metadata": {"name": NAME, "labels": {"app": NAME}},
            "spec": {
                "serviceAccountName": NAME,
                "terminationGracePeriodSeconds": grace,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                "volumes": [
                    {"name": "sources", "configMap": {"name": "sources"}},
                    {"name": "scratch", "emptyDir": {"sizeLimit": scratch} if scratch else {}},
                    {"name": "recordings", "persistentVolumeClaim": {"claimName": CLAIM}},
                ],
                **spec,
            },
        }

    def start_pod(self, **pod: Any) -> None:
        """Have one pod of it that nobody replaces, and wait until it is ready."""
        self.try_pod(**pod)
        self.namespace.wait_until_ready(NAME)

    def try_pod(self, **pod: Any) -> None:
        """Have one pod of it that nobody replaces, and that may never be ready."""
        self.prepare(**pod.pop("claim", {}))
        self.namespace.apply({"apiVersion": "v1", "kind": "Pod", **self.template(**pod)})

    def tell(self, act: str, *, times: int = 1, name: str = "") -> None:
        """Have it do something, if it is there to do it."""
        labels = {"for": "faulty"}
        metadata = {"name": name or act.replace("_", "-"), "labels": labels}
        data = {"act": act, "times": str(times)}
        self.namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def work(self, name: str = "work") -> None:
        """Have it do something useful, and wait until it did."""
        self.tell("work", name=name)

        def did() -> bool:
            return any(
                f"did {name}" in self.namespace.try_kubectl("logs", each["metadata"]["name"]) for each in self.pods()
            )

        wait_until(did, f"it did {name}")

    def pods(self) -> list[Document]:
        """Return its pods."""
        return self.namespace.list("pods", f"app={NAME}")

    def container(self) -> dict[str, Any]:
        """Return the status of the container of its one pod."""
        (pod,) = self.pods()
        statuses = pod.get("status", {}).get("containerStatuses") or [{"restartCount": 0, "state": {}, "ready": False}]
        return dict(statuses[0])

    def wait_until_restarted(self, times: int = 1) -> None:
        """Wait until its container was started again and works: before that, it would not notice a SIGTERM."""

        def restarted() -> bool:
            status = self.container()
            return bool(status["restartCount"] >= times and status["ready"])

        wait_until(restarted, f"it restarted {times} times", details=lambda: json.dumps(self.pods()))
        self.work(f"again-{times}")

    def wait_until_gone(self) -> None:
        """Wait until it has no pods."""
        wait_until(lambda: not self.pods(), "its pods are gone")

    def end(self) -> None:
        """Have it end in good order, and wait until its pods are gone; those of a Deployment by scaling it down.

        To delete a Deployment is no good order: while its ReplicaSet is still there, a deleted pod may be replaced.
        """
        if self.namespace.find("deployment", NAME):
            self.namespace.kubectl("scale", f"deployment/{NAME}", "--replicas=0")
        else:
            self.namespace.kubectl("delete", "pod", NAME, "--ignore-not-found", "--wait=false")
        self.wait_until_gone()

    async def collected(self, output: Path, *options: str) -> Collected:
        """Collect from its claim, through a reader; what a witness wrote into *output* is taken into account."""
        arguments = [f"--namespace={self.namespace.name}", f"--claim={CLAIM}", f"--run={self.run}", *options]
        kubeconfig = f"--kubeconfig={self.namespace.cluster.kubeconfig}"
        return await asyncio.to_thread(collect, PROJECT, output, kubeconfig, *arguments)


def _needs(image: str, claim: Document) -> list[Document]:
    group = "rbac.authorization.k8s.io"
    data = {path.name: path.read_text() for path in _SOURCES}
    data["coveragerc"] = (PROJECT / ".coveragerc").read_text()
    prefix = "coverage-hooks.vriesdemichael.github.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": NAME}, "rules": _RIGHTS},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sources"}, "data": data},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": CLAIM,
                "annotations": {f"{prefix}/image": image, f"{prefix}/uid": "65532", f"{prefix}/gid": "65532"},
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                **claim,
            },
        },
    ]
