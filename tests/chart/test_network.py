"""What the pod may reach, and what may reach it, when that is limited."""

from __future__ import annotations

from typing import Any

from tests.chart.rendering import Helm

DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


def policy(helm: Helm, **values: Any) -> dict[str, Any]:
    """Return the spec of the NetworkPolicy, with more values, whose paths have a ``__`` for each dot."""
    given = {name.replace("__", "."): value for name, value in values.items()}
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


def test_metrics_can_be_asked_for_where_they_are_served(helm: Helm) -> None:
    (_, served) = policy(helm, metrics__enabled=True)["ingress"]
    assert served == {"ports": [{"port": "metrics", "protocol": "TCP"}]}
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    (_, served) = policy(helm, metrics__enabled=True, networkPolicy__prometheus=prometheus)["ingress"]
    assert served == {"ports": [{"port": "metrics", "protocol": "TCP"}], "from": prometheus}


def test_each_of_them_can_be_said_more_precisely(helm: Helm) -> None:
    peers: list[list[dict[str, Any]]] = [
        [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, "namespaceSelector": {}}],
        [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keycloak"}}}],
    ]
    more = {"to": [{"ipBlock": {"cidr": "10.0.0.2/32"}}], "ports": ports(3128)}
    spec = policy(
        helm,
        networkPolicy__dns=peers[0],
        networkPolicy__apiServer={"to": peers[1], "ports": [6443]},
        networkPolicy__keycloak={"to": peers[2], "ports": [8443]},
        networkPolicy__extraEgress=[more],
    )
    assert spec["egress"] == [
        {"ports": DNS, "to": peers[0]},
        {"ports": ports(6443), "to": peers[1]},
        {"ports": ports(8443), "to": peers[2]},
        more,
    ]
