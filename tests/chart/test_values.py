"""What may be set, and that schema and README say the same as values.yaml."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from keycloak_operator.settings import Settings, SettingsError
from tests.chart import documents
from tests.chart.rendering import Helm, RefusedError, overlay
from tests.chart.values import CHART, CommentError, sections

VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", documents.files())
def test_what_is_made_from_the_values_is_up_to_date(name: str) -> None:
    made = documents.files()[name]
    assert (CHART / name).read_text(encoding="utf-8") == made, "run make chart"


def _maps(values: dict[str, Any], path: str = "") -> list[str]:
    """Return the path of every map whose content is fixed, each ending with a dot."""
    below = [(f"{path}{name}.", value) for name, value in values.items() if isinstance(value, dict)]
    closed = [(each, value) for each, value in below if "properties" in _schema(each)]
    return [path, *(found for each, value in closed for found in _maps(value, each))]


def _schema(path: str) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA
    for name in filter(None, path.split(".")):
        found = found["properties"][name]
    return found


@pytest.mark.parametrize("path", _maps(VALUES))
def test_a_misspelt_value_is_refused(helm: Helm, path: str) -> None:
    with pytest.raises(RefusedError, match="'misspelt' not allowed"):
        helm.template({f"{path}misspelt": True})


MISTYPED: list[tuple[str, Any]] = [
    ("watchNamespaces", "team-a"),
    ("watchNamespaces", ["Team A"]),
    ("watchNamespaces", ["team-*"]),
    ("watchNamespaces", ["team", "team"]),
    ("watchNamespaces", ["team", "*"]),
    ("watchNamespaces", [""]),
    ("operatorId", "Mine"),
    ("operatorId", ""),
    ("resyncSeconds", "300"),
    ("resyncSeconds", 0),
    ("timeoutSeconds", 301),
    ("logFormat", "xml"),
    ("image", "keycloak-operator:1"),
    ("image.repository", ""),
    ("image.tag", 26),
    ("image.tag", "a b"),
    ("replicas", "2"),
    ("replicas", -1),
    ("replicas", 1.5),
    ("leaderElection.leaseSeconds", 2),
    ("nameOverride", "Mine"),
    ("fullnameOverride", "-mine"),
    ("image.digest", "latest"),
    ("image.digest", f"sha256:{63 * 'a'}"),
    ("image.pullPolicy", "Sometimes"),
    ("imagePullSecrets", ["pull"]),
    ("imagePullSecrets", [{"name": "pull", "key": "too-much"}]),
    ("crds.keep", "yes"),
    ("serviceAccount.create", 1),
    ("serviceAccount.annotations", {"a": 1}),
    ("resources", []),
    ("podAnnotations", {"a": True}),
    ("podLabels", ["a"]),
    ("nodeSelector", {"a": 1}),
    ("tolerations", {}),
    ("tolerations", ["NoSchedule"]),
    ("affinity", []),
    ("topologySpreadConstraints", {}),
    ("topologySpreadConstraints", [{"topologyKey": "kubernetes.io/hostname"}]),
    ("priorityClassName", 1000),
    ("podDisruptionBudget.enabled", "true"),
    ("podDisruptionBudget.maxUnavailable", -1),
    ("podDisruptionBudget.maxUnavailable", "half"),
    ("podDisruptionBudget.maxUnavailable", "101%"),
    ("metrics.enabled", "yes"),
    ("metrics.port", 80),
    ("metrics.port", "metrics"),
    ("metrics.serviceMonitor.labels", {"release": 1}),
    ("metrics.serviceMonitor.interval", "often"),
    ("networkPolicy", True),
    ("networkPolicy.prometheus", {}),
    ("networkPolicy.dns", [{}]),
    ("networkPolicy.apiServer.ports", []),
    ("networkPolicy.keycloak.ports", ["https"]),
    ("networkPolicy.keycloak.ports", [65536]),
    ("networkPolicy.keycloak.to", {"podSelector": {}}),
    ("networkPolicy.extraEgress", ["10.0.0.0/8"]),
    ("extraEnv", {"A": "B"}),
    ("extraEnv", [{"value": "nameless"}]),
    ("extraVolumes", [{"emptyDir": {}}]),
    ("extraVolumeMounts", [{"name": "pathless"}]),
    ("coverage", True),
    ("coverage.enabled", "true"),
    ("coverage.interval", 0.05),
    ("coverage.interval", 61),
    ("coverage.run", 20260131),
    ("coverage.context", "test"),
    ("coverage.children", 1),
    ("coverage.exitTimeout", -1),
    ("coverage.image.tag", "a:b"),
    ("coverage.image.digest", "sha256:"),
    ("coverage.persistence.size", "much"),
    ("coverage.persistence.accessModes", []),
    ("coverage.persistence.accessModes", ["ReadOnlyMany"]),
    ("coverage.persistence.keep", "true"),
]


@pytest.mark.parametrize(("path", "value"), MISTYPED)
def test_a_mistyped_value_is_refused_with_its_path(helm: Helm, path: str, value: Any) -> None:
    with pytest.raises(RefusedError, match=rf"at '/{path.replace('.', '/')}[/']"):
        helm.template({path: value})


def test_what_a_parent_chart_shares_is_accepted(helm: Helm) -> None:
    assert helm.template({"global": {"domain": "example.org"}}).text == helm.template().text


def test_one_overlay_sets_every_value_to_something_else() -> None:
    """So that no value is without effect in what is rendered there."""
    defaults = {value.path: value.default for section in _sections() for value in section.leaves()}
    set_there = yaml.safe_load(overlay("everything").read_text(encoding="utf-8"))
    same = [path for path, default in defaults.items() if _at(set_there, path) == default]
    # Without the one, crds.keep had no effect; with the other, this would not show that off is off.
    assert same == ["crds.install", "coverage.enabled"]


def _sections() -> list[Any]:
    return list(sections((CHART / "values.yaml").read_text(encoding="utf-8")))


def _at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values


@pytest.mark.parametrize(
    ("name", "namespaces"), [("default", ("operators",)), ("everything", ("team-a",)), ("everywhere", ())]
)
def test_the_operator_accepts_what_the_chart_tells_it(helm: Helm, name: str, namespaces: tuple[str, ...]) -> None:
    rendered = helm.overlay(name)
    told = {key: value for key, value in rendered.environment.items() if isinstance(value, str)}
    settings = Settings.from_environment(told)
    values = VALUES | (yaml.safe_load(overlay(name).read_text(encoding="utf-8")))
    assert settings == Settings(
        operator_id=values["operatorId"],
        resync=values["resyncSeconds"],
        timeout=values["timeoutSeconds"],
        namespaces=namespaces,
        liveness="http://0.0.0.0:8080/healthz",
        log_format=values["logFormat"],
        lease=("operators", "all-of-it") if values["replicas"] > 1 else None,
        lease_seconds=values["leaderElection"]["leaseSeconds"],
        metrics="http://0.0.0.0:19090/metrics" if values["metrics"]["enabled"] else None,
    )


@pytest.mark.parametrize(("name", "low", "high"), [("resyncSeconds", 1, 86_400), ("timeoutSeconds", 1, 300)])
def test_the_chart_accepts_the_seconds_that_the_operator_accepts(name: str, low: float, high: float) -> None:
    assert (_schema(name)["minimum"], _schema(name)["maximum"]) == (low, high)
    variable = "KEYCLOAK_OPERATOR_" + re.sub("(?=S)", "_", name).upper()
    for value in (low, high):
        assert Settings.from_environment({variable: str(value)})
    for value in (low - 0.1, high + 1):
        with pytest.raises(SettingsError, match=variable):
            Settings.from_environment({variable: str(value)})


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        ("## A\n\nname: x\n", "name has no comment"),
        ("## A\n\n# Far away.\n\nname: x\n", "name has no comment"),
        ("## A\n\n# What it holds?\nname: {}\n", "the comment of name does not say"),
        ("## A\n\n# What it holds?\nname: []\n", "the comment of name does not say"),
        ("## A\n\nname:\n  # There.\n  here: 1\n  there: 2\n", "name.there has no comment"),
    ],
)
def test_a_value_without_a_description_is_an_error(text: str, blamed: str) -> None:
    with pytest.raises(CommentError, match=blamed):
        sections(text)
