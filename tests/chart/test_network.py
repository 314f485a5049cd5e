"""What the pod may reach, and by whom it may be reached, when that is limited."""

from __future__ import annotations

from typing import Any

from tests.chart.rendering import Helm

DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


def policy(helm: Helm, **values: Any) -> dict[str, Any]:
    """Return the spec of the NetworkPolicy, with more values below ``networkPolicy``."""
    given = {f"networkPolicy.{name.replace('__', '.')}": value for name, value in values.items()}
    rendered = helm.template({"networkPolicy.enabled": True, **given})
    spec: dict[str, Any] = rendered.only("NetworkPolicy")["spec"]
    assert spec["podSelector"] == rendered.only("Deployment")["spec"]["selector"]
    return spec


def ports(*numbers: int) -> list[dict[str, Any]]:
    return [{"port": number, "protocol": "TCP"} for number in numbers]


def test_nothing_is_limited_unless_asked_for(helm: Helm) -> None:
    assert helm.template().all("NetworkPolicy") == []


def test_dns_the_api_server_and_keycloak_are_reached_and_the_probes_come_in(helm: Helm) -> None:
    spec = policy(helm)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"ports": [{"port": "liveness", "protocol": "TCP"}]}]
    assert spec["egress"] == [{"ports": DNS}, {"ports": ports(443, 6443)}, {"ports": ports(80, 443, 8080, 8443)}]


def test_each_of_them_can_be_said_more_precisely(helm: Helm) -> None:
    peers: list[list[dict[str, Any]]] = [
        [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, "namespaceSelector": {}}],
        [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keycloak"}}}],
    ]
    more = {"to": [{"ipBlock": {"cidr": "10.0.0.2/32"}}], "ports": ports(3128)}
    spec = policy(
        helm,
        dns=peers[0],
        apiServer={"to": peers[1], "ports": [6443]},
        keycloak={"to": peers[2], "ports": [8443]},
        extraEgress=[more],
    )
    assert spec["egress"] == [
        {"ports": DNS, "to": peers[0]},
        {"ports": ports(6443), "to": peers[1]},
        {"ports": ports(8443), "to": peers[2]},
        more,
    ]
