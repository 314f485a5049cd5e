"""A pod that records, its volume, and the means to kill it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.namespaces import Document, Namespace, pod
from tests.e2e.waiting import wait_until

#: A process that records until it is told to stop.
_RECORDS = """
import signal, sys
import coverage_hooks
coverage_hooks.start()
import keycloak_operator.settings
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    signal.pause()
"""


def recorded(name: str, image: str, claim: str) -> Document:
    """Return a pod that records on *claim*, as a user whose uid it names: so the reader knows whose files these are."""
    settings = {"ENABLED": "1", "DIR": "/claim", "RUN": "one", "POD_CONTAINER": "main"}
    fields = {"NAME": "metadata.name", "NAMESPACE": "metadata.namespace", "UID": "metadata.uid"}
    environment = [{"name": f"COVERAGE_HOOKS_{key}", "value": value} for key, value in settings.items()] + [
        {"name": f"COVERAGE_HOOKS_POD_{key}", "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for key, path in fields.items()
    ]
    document = pod(name, image, program=_RECORDS, claim=claim, env=environment)
    document["spec"]["securityContext"]["runAsUser"] = 65532
    return document


@dataclass(frozen=True, slots=True)
class Volume:
    """The claim of a test, seen from the node."""

    path: Path

    def manifests(self, pod: str) -> list[Document]:
        """Return the manifests of the processes of *pod*, in order."""
        found = [json.loads(path.read_bytes()) for path in self.path.glob(f"{pod}*/recording.json")]
        return sorted(found, key=lambda manifest: manifest["started_at"])

    def wait_for(self, namespace: Namespace, pod: str, processes: int = 1) -> None:
        """Wait until so many processes of *pod* have saved something."""
        wait_until(
            lambda: sum(bool(each["journals"]) for each in self.manifests(pod)) >= processes,
            f"{pod} recorded {processes} times",
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
