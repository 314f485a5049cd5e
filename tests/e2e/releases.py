"""A release of the operator in a namespace, and its pods."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.chart.releasing import Release
from tests.chart.rendering import Helm
from tests.cluster import WITHIN, images
from tests.e2e.namespaces import Document, Namespace
from tests.e2e.waiting import wait_until

DEPLOYMENT = "demo-keycloak-operator"
CLAIM = f"{DEPLOYMENT}-coverage"
LABELS = "app.kubernetes.io/instance=demo"
RUN = "one"
#: All it takes to record; the run's name is there to be asked for, and a node may be busy.
RECORDING = ("coverage.enabled=true", f"coverage.run={RUN}", "coverage.exitTimeout=60")
LIFECYCLE = "keycloak_operator/handlers/lifecycle.py"
#: What does not run of its `take_down` in a release of one replica without metrics.
NOT_ASKED_FOR = ["await memo.leadership.end()", "memo.metrics()"]


@dataclass(frozen=True)
class OperatorRelease:
    """The release ``demo``: the operator watches only its own namespace, and looks for drift every two seconds."""

    namespace: Namespace
    chart: Release

    @classmethod
    def of(cls, helm: Helm, namespace: Namespace) -> OperatorRelease:
        """Return a release in *namespace* that is not installed."""
        name, _, tag = namespace.cluster.name_of(images.OPERATOR).rpartition(":")
        always = (
            f"image.repository={name}",
            f"image.tag={tag}",
            "crds.install=false",
            f"watchNamespaces={{{namespace.name}}}",
            "resyncSeconds=2",
        )
        return cls(namespace, Release(helm, namespace.cluster.kubeconfig, namespace.name, always))

    def install(self, *settings: str) -> None:
        """Install the chart, and wait until the operator runs."""
        self.chart.install(*settings)
        self.wait_until_rolled_out()

    def upgrade(self, *settings: str) -> None:
        """Upgrade to these settings, and wait until the operator runs."""
        self.chart.upgrade(*settings)
        self.wait_until_rolled_out()

    def uninstall(self) -> None:
        """Uninstall, and wait until the pods are gone, which takes as long as they need to stop."""
        self.chart.uninstall()
        wait_until(lambda: not self.pods(), "the pods are gone")

    def wait_until_rolled_out(self) -> None:
        """Wait until the operator runs as it was last told to."""
        self.namespace.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", f"--timeout={WITHIN:g}s")

    def pods(self) -> list[Document]:
        """Return the pods of the operator, also those which are on their way out."""
        return self.namespace.list("pods", LABELS)

    def pod(self) -> Document:
        """Return the pod of the operator."""
        (found,) = self.pods()
        return found

    def exec(self, *command: str) -> str:
        """Return what a command prints in the container of the operator."""
        return self.namespace.kubectl("exec", f"deployment/{DEPLOYMENT}", "--", *command)

    def log(self) -> str:
        """Return what the operator says."""
        return self.namespace.kubectl("logs", f"deployment/{DEPLOYMENT}")

    def delete_pod(self) -> None:
        """Delete the pod as anybody may who has rights to, and wait until the next one runs."""
        name = self.pod()["metadata"]["name"]
        self.namespace.kubectl("delete", "pod", name, "--wait")
        self.wait_until_rolled_out()

    def container(self) -> dict[str, Any]:
        """Return the status of the operator's container."""
        (status,) = self.pod()["status"]["containerStatuses"]
        return dict(status)

    def wait_until_it_restarted(self, times: int = 1) -> dict[str, Any]:
        """Wait until the container was started again, and return how it ended before."""

        def restarted() -> dict[str, Any] | None:
            status = self.container()
            is_over = status["restartCount"] >= times and status["ready"] and "terminated" in status["lastState"]
            return status if is_over else None

        status = wait_until(restarted, f"it restarted {times} times", details=lambda: json.dumps(self.pod()))
        return dict(status["lastState"]["terminated"])
