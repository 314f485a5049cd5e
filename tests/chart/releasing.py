"""A release of the chart on a real API server, and clients with the rights that it gives.

No controller runs there: nothing is started or bound, and a claim that is deleted stays Terminating.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from kubernetes_asyncio.client import (
    ApiClient,
    ApiException,
    AuthenticationV1TokenRequest,
    CoreV1Api,
    V1Namespace,
    V1ObjectMeta,
    V1TokenRequestSpec,
)

from tests.chart.rendering import Helm, Rendered
from tests.chart.values import CHART

#: What a namespace is labelled with that admits no pod which is not restricted.
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True)
class Release:
    """A release called ``demo`` in a namespace of its own; `kubeconfig` is the administrator's.

    What is in `always` is set whatever else is.
    """

    helm: Helm
    kubeconfig: Path
    namespace: str
    always: tuple[str, ...] = ()

    def install(self, *settings: str) -> str:
        """Install the chart and return the notes."""
        return self._run("install", CHART, *(f"--set={each}" for each in (*self.always, *settings)))

    def upgrade(self, *settings: str) -> str:
        """Upgrade to the chart with these settings alone, and return the notes."""
        return self._run("upgrade", CHART, *(f"--set={each}" for each in (*self.always, *settings)))

    def uninstall(self, *options: str) -> str:
        """Uninstall, and return what helm says."""
        return self._run("uninstall", *options)

    def manifests(self) -> Rendered:
        """Return what the release consists of."""
        return Rendered(self.helm.run("get", "manifest", "demo", *self._where()))

    def _run(self, verb: str, *arguments: str | Path) -> str:
        return self.helm.run(verb, "demo", *arguments, *self._where())

    def _where(self) -> list[str]:
        return [f"--namespace={self.namespace}", f"--kubeconfig={self.kubeconfig}"]

    async def kubeconfig_of_the_pod(self, api: ApiClient, folder: Path) -> Path:
        """Return a kubeconfig with a token such as the operator's pod gets."""
        account = self.manifests().pod["serviceAccountName"]
        request = AuthenticationV1TokenRequest(spec=V1TokenRequestSpec(audiences=[]))
        core: Any = CoreV1Api(api)
        token = (await core.create_namespaced_service_account_token(account, self.namespace, request)).status.token
        config = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        config["users"][0]["user"] = {"token": token}
        path = folder / "kubeconfig-of-the-pod"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path


async def make_namespace(api: ApiClient, name: str, labels: Mapping[str, str] | None = None) -> str:
    """Make a namespace if it is not there, and return its name."""
    try:
        metadata = V1ObjectMeta(name=name, labels=dict(labels or {}))
        await CoreV1Api(api).create_namespace(V1Namespace(metadata=metadata))
    except ApiException as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
    return name
