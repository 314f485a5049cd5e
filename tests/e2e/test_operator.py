"""The operator in a pod, as its chart installs it, with a Keycloak in another one."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import helm, images, wait_until
from tests.e2e.namespaces import Document, Namespace, pod, ready_when, service

CHART = Path(__file__).parents[2] / "charts" / "keycloak-operator"
GROUP = "keycloak.vriesdemichael.github.io"
DEPLOYMENT = "deployment/operator-keycloak-operator"

Install = Callable[..., None]


@pytest.fixture
def install(namespace: Namespace) -> Iterator[Install]:
    """Return a function that installs the chart, and waits until the operator works."""
    program = str(helm.locate(print))
    options = [f"--namespace={namespace.name}"]

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [program, *arguments, *options], env=namespace.node.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def install(**values: str) -> None:
        # The definitions outlive a release, so that a second one would not get them.
        namespace.node.kubectl("apply", "--server-side", f"--filename={CHART}/files/crds")
        common = {
            "image.repository": images.OPERATOR.repository,
            "image.tag": images.OPERATOR.tag,
            "crds.install": "false",
            "watchNamespaces": f"{{{namespace.name}}}",
        }
        run("install", "operator", str(CHART), *(f"--set={key}={value}" for key, value in {**common, **values}.items()))
        wait_until(
            lambda: "True" in _available(namespace), "the operator is available", within=90, details=namespace.events
        )

    yield install
    run("uninstall", "operator", "--ignore-not-found", "--wait")


def _available(namespace: Namespace) -> str:
    path = '{.status.conditions[?(@.type=="Available")].status}'
    return namespace.try_kubectl("get", DEPLOYMENT, f"--output=jsonpath={path}")


def test_the_product_runs_where_nothing_may_be_written_and_holds_no_coverage(
    namespace: Namespace, operator_image: str, install: Install
) -> None:
    install()
    program = "import importlib.util as i, keycloak_operator, os; print(i.find_spec('coverage'), os.getuid())"
    assert namespace.kubectl("exec", DEPLOYMENT, "--", "python", "-c", program).split() == ["None", "65532"]


def test_a_realm_is_made_in_keycloak_and_what_ran_for_that_is_recorded(
    namespace: Namespace, operator_image: str, coverage_image: str, keycloak_image: str, install: Install
) -> None:
    secret = secrets.token_urlsafe(16)
    namespace.apply(
        _keycloak_pod(keycloak_image, secret),
        service("keycloak", 8080, to="keycloak-server", port=8080),
        _secret({"client-id": "operator", "client-secret": secret}),
    )
    install(**{"coverage.enabled": "true", "coverage.run": "one"})
    namespace.wait_until_ready("keycloak-server", within=180)
    namespace.apply(*_resources())
    for kind in ("keycloak", "keycloakrealm", "keycloakclient"):
        wait_until(
            partial(_is_ready, namespace, kind),
            f"the {kind} is ready",
            within=60,
            details=lambda: namespace.try_kubectl("logs", DEPLOYMENT, "--tail=40"),
        )
    volume = _volume(namespace)
    namespace.kubectl("delete", DEPLOYMENT, "--cascade=foreground", "--wait")
    manifests = [json.loads(path.read_text()) for path in volume.glob("*/recording.json")]
    assert [(manifest["state"], manifest["run"]) for manifest in manifests] == [("finished", "one")]
    assert manifests[0]["data"]["lines"] > 100
    assert manifests[0]["revision"]


def _volume(namespace: Namespace) -> Path:
    claims = json.loads(namespace.kubectl("get", "pvc", "--output=json"))["items"]
    return namespace.node.volume(claims[0]["spec"]["volumeName"])


def _is_ready(namespace: Namespace, kind: str) -> bool:
    conditions = (namespace.find(f"{kind}.{GROUP}", "one") or {}).get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _keycloak_pod(image: str, secret: str) -> Document:
    environment = {
        "KC_BOOTSTRAP_ADMIN_CLIENT_ID": "operator",
        "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": secret,
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
    }
    return pod(
        "keycloak-server",
        image,
        readinessProbe=ready_when("/realms/master", 8080),
        env=[{"name": name, "value": value} for name, value in environment.items()],
        securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    )


def _secret(content: dict[str, str]) -> Document:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keycloak-admin"}, "stringData": content}


def _resources() -> list[Document]:
    specs: dict[str, Document] = {
        "Keycloak": {"external": {"url": "http://keycloak:8080"}, "admin": {"secret": "keycloak-admin"}},
        "KeycloakRealm": {"keycloakRef": {"name": "one"}, "realm": {"realm": "one"}},
        "KeycloakClient": {"realmRef": {"name": "one"}, "client": {"clientId": "one", "publicClient": True}},
    }
    return [
        {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": "one"}, "spec": spec}
        for kind, spec in specs.items()
    ]
