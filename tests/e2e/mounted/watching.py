"""Recorded pods that end in every way there is, and the means to end them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.namespaces import Document, Namespace, pod
from tests.e2e.waiting import wait_until

#: A process that records, and then does what *BODY* says.
_PROGRAM = """
import os, pathlib, signal, sys, time
order = pathlib.Path("{orders}", os.environ["COVERAGE_HOOKS_POD_NAME"])
order.unlink(missing_ok=True)  # that was for the process before this one
import coverage_hooks
coverage_hooks.start()
import keycloak_operator.settings
def stop(*_):
    sys.exit(0)
signal.signal(signal.SIGTERM, {handler})
{body}
while True:
    signal.pause()
"""

#: Where a test puts a file with the name of a pod, to have its process do what it waits for.
ORDERS = "/claim/orders"

_WAIT = """
while not order.exists():
    time.sleep(0.05)
"""

EATS = "eaten = []\nwhile True:\n    eaten.append(bytearray(1 << 20))"
FILLS = "pathlib.Path('/scratch/file').write_bytes(bytes(8 << 20))"
IGNORES = "signal.SIG_IGN"


def program(body: str = "", handler: str = "stop") -> str:
    """Return a program that waits for its order, then runs *body*, then waits for SIGTERM."""
    return _PROGRAM.format(orders=ORDERS, handler=handler, body=f"{_WAIT if body else ''}{body}")


def recorded(name: str, image: str, code: str, claim: str, **spec: Any) -> Document:
    """Return a pod that runs *code* and may record on *claim*; *spec* is of the pod, ``container`` of the container."""
    settings = {"ENABLED": "1", "DIR": "/claim", "RUN": "one", "POD_CONTAINER": "main"}
    fields = {"NAME": "metadata.name", "NAMESPACE": "metadata.namespace", "UID": "metadata.uid"}
    environment = [{"name": f"COVERAGE_HOOKS_{key}", "value": value} for key, value in settings.items()] + [
        {"name": f"COVERAGE_HOOKS_POD_{key}", "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for key, path in fields.items()
    ]
    document = pod(name, image, program=code, claim=claim, env=environment, **spec.pop("container", {}))
    document["spec"].update(spec)
    return document


def deployment(template: Document) -> Document:
    """Return a Deployment of one pod as *template*."""
    metadata = template["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": metadata["name"]},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": metadata["labels"]},
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": template["spec"]},
        },
    }


def failing_probe() -> Document:
    """Return a probe that fails when the pod's order is there; it leaves time to take away an old one."""
    check = f"import os, sys; sys.exit(os.path.exists('{ORDERS}/' + os.environ['COVERAGE_HOOKS_POD_NAME']))"
    times = {"initialDelaySeconds": 10, "periodSeconds": 2, "timeoutSeconds": 30, "failureThreshold": 1}
    return {"exec": {"command": ["python", "-I", "-S", "-c", check]}, **times}


@dataclass(frozen=True, slots=True)
class Volume:
    """The claim of a test, seen from the node."""

    path: Path

    def order(self, pod: str) -> None:
        """Have the process in *pod* do what it waits for."""
        orders = self.path / "orders"
        orders.mkdir(exist_ok=True)
        orders.chmod(0o777)  # whoever is given one takes it away
        (orders / pod).touch()

    def manifests(self, pod: str) -> list[Document]:
        """Return the manifests of the processes of *pod*, in order."""
        found = [json.loads(path.read_bytes()) for path in self.path.glob(f"{pod}*/recording.json")]
        return sorted(found, key=lambda manifest: manifest["started_at"])

    def wait_for(self, namespace: Namespace, pod: str, processes: int = 1) -> None:
        """Wait until so many processes of *pod* have saved something."""
        wait_until(
            lambda: sum(each["data"] is not None for each in self.manifests(pod)) >= processes,
            f"{pod} recorded {processes} times",
            within=180,
            details=lambda: namespace.describe(pod),
        )


def kill(namespace: str, pod: str) -> None:
    """Kill the recorded process of *pod* as somebody on the node would."""
    for pid in _pids({f"COVERAGE_HOOKS_POD_NAME={pod}", f"COVERAGE_HOOKS_POD_NAMESPACE={namespace}"}):
        os.kill(pid, signal.SIGKILL)


def _pids(wanted: set[str]) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = set((folder / "environ").read_text().split("\0"))
        except OSError:
            continue
        if wanted <= environment:
            yield int(folder.name)


def evict(namespace: Namespace, pod: str) -> None:
    """Evict *pod* as a drain does."""
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace.name}}
    namespace.cluster.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))
