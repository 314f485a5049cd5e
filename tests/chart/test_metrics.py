"""How Prometheus finds the operator."""

from __future__ import annotations

from typing import Any

from tests.chart.rendering import Helm

KINDS = ("Service", "ServiceMonitor")


def test_nothing_is_served_unless_asked_for(helm: Helm) -> None:
    for values in ({}, {"metrics.serviceMonitor.enabled": True}):
        rendered = helm.template(values)
        assert [each for kind in KINDS for each in rendered.all(kind)] == []
        assert [port["name"] for port in rendered.container["ports"]] == ["liveness"]
        assert "KEYCLOAK_OPERATOR_METRICS" not in rendered.environment


def test_the_service_leads_to_where_the_operator_answers(helm: Helm) -> None:
    rendered = helm.template({"metrics.enabled": True, "metrics.port": 9000})
    assert rendered.environment["KEYCLOAK_OPERATOR_METRICS"] == "http://0.0.0.0:9000/metrics"
    assert {"name": "metrics", "containerPort": 9000} in rendered.container["ports"]
    spec = rendered.only("Service")["spec"]
    assert spec["selector"] == rendered.only("Deployment")["spec"]["selector"]["matchLabels"]
    assert spec["ports"] == [{"name": "metrics", "port": 9000, "targetPort": "metrics"}]
    assert rendered.all("ServiceMonitor") == []


def test_the_monitor_finds_that_service_and_no_other(helm: Helm) -> None:
    values: dict[str, Any] = {"metrics.enabled": True, "metrics.serviceMonitor.enabled": True}
    rendered = helm.template(values)
    monitor, service = rendered.only("ServiceMonitor"), rendered.only("Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["endpoints"] == [{"port": "metrics", "path": "/metrics"}]
    values |= {"metrics.serviceMonitor.interval": "1m30s", "metrics.serviceMonitor.labels": {"release": "prometheus"}}
    chosen = helm.template(values).only("ServiceMonitor")
    assert chosen["metadata"]["labels"] == monitor["metadata"]["labels"] | {"release": "prometheus"}
    assert chosen["spec"]["endpoints"] == [{"port": "metrics", "path": "/metrics", "interval": "1m30s"}]
