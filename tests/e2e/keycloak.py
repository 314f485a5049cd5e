"""The Keycloak of a run: a pod, and a way from here to its Admin API."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.cluster import images
from tests.cluster.keycloak_admin import AdminApi, ServiceAccount
from tests.cluster.supervisor import killed_with_parent
from tests.e2e.namespaces import Document, Namespace, pod, ready_when, service
from tests.e2e.session import Session

_SERVICE, _POD, _PORT = "keycloak", "keycloak-server", 8080


@dataclass(frozen=True, slots=True)
class KeycloakPod:
    """A Keycloak: `url` is its address in the cluster, and `api` goes there from here."""

    url: str
    account: ServiceAccount
    api: AdminApi

    @property
    def secret(self) -> dict[str, str]:
        """Return what the Secret holds that a Keycloak resource names."""
        return {"client_id": self.account.client_id, "client_secret": self.account.client_secret}


@contextlib.contextmanager
def keycloak_pod(shared: Session) -> Iterator[KeycloakPod]:
    """Yield the Keycloak of the run, which this or another process starts; it goes with the run."""
    account = ServiceAccount(client_secret=shared.secret)
    # Not removed by whoever has no more use for it: another process may have.
    name, image = f"keycloak-{shared.run}", shared.cluster.name_of(images.KEYCLOAK)
    namespace = Namespace.made(shared, name, image)
    namespace.apply(_document(image, account), service(_SERVICE, _PORT, to=_POD, port=_PORT))
    namespace.wait_until_ready(_POD)
    with _forwarded(namespace) as port:
        api = AdminApi(f"http://127.0.0.1:{port}", account.grant)
        yield KeycloakPod(f"http://{_SERVICE}.{name}:{_PORT}", account, api)


@contextlib.contextmanager
def _forwarded(namespace: Namespace) -> Iterator[int]:
    command = namespace.cluster.command("port-forward", f"--namespace={namespace.name}", f"pod/{_POD}", f":{_PORT}")
    with subprocess.Popen(
        command,
        env=namespace.cluster.environ,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=killed_with_parent(),  # noqa: PLW1509 - nothing here runs in threads
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert found, said
            yield int(found[1])
        finally:
            process.kill()


def _document(image: str, account: ServiceAccount) -> Document:
    environment = {
        "KC_BOOTSTRAP_ADMIN_CLIENT_ID": account.client_id,
        "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": account.client_secret,
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
    }
    return pod(
        _POD,
        image,
        readinessProbe=ready_when("/realms/master", _PORT),
        env=[{"name": name, "value": value} for name, value in environment.items()],
        # It writes beside its programs.
        securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    )
