"""The examples of the plugin's documentation, word for word, in sessions of pytest that install the operator."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from coverage_hooks.collect.pods import watchlog
from tests.chart.rendering import Helm
from tests.chart.values import CHART
from tests.cluster import images
from tests.e2e.collecting import ROOT, Collected
from tests.e2e.namespaces import Namespace
from tests.e2e.project import Project
from tests.e2e.releases import LIFECYCLE, NOT_ASKED_FOR

#: One operator that a fixture installs, and one that all workers have in common.
BY_FIXTURE, BY_CONTROLLER = re.findall(r"```python\n(.*?)```", (ROOT / "docs/pytest.md").read_text(), re.DOTALL)
HANDLERS = "keycloak_operator/handlers/resources.py"

INTEGRATION = """
    import subprocess

    import pytest

    @pytest.mark.parametrize(("kind", "name", "reason"), [
        ("keycloakconnection", "keycloak", "SecretNotFound"),
        ("keycloakrealm", "shop", "Waiting"),
    ])
    def test_what_is_missing_is_said(kind, name, reason):
        example = kind.removeprefix("keycloak")
        subprocess.run(["kubectl", "apply", f"--filename=examples/{example}.yaml"], check=True)
        path = '{.status.conditions[?(@.type=="Ready")].reason}'
        until = f"--for=jsonpath={path}={reason}"
        subprocess.run(["kubectl", "wait", f"{kind}/{name}", until, "--timeout=300s"], check=True)
"""

ASKS = """
    pytestmark = pytest.mark.usefixtures("operator")
"""

UNIT = """
    from keycloak_operator.settings import Settings

    def test_settings():
        assert Settings
"""


@pytest.fixture
def project(tmp_path: Path, namespace: Namespace, coverage_image: str, helm: Helm) -> Project:
    """Return tests of the operator, which its chart installs; they are yet to be written."""
    return Project.made(tmp_path, ROOT, namespace, programs={"helm": helm.program})


def conftest(namespace: Namespace, folder: Path, example: str) -> str:
    """Return *example* with what it takes for granted; its chart has values that suit *namespace*."""
    if not (chart := folder / "chart").exists():
        shutil.copytree(CHART, chart)
        values = yaml.safe_load((chart / "values.yaml").read_text())
        name, _, tag = namespace.cluster.name_of(images.OPERATOR).rpartition(":")
        values["image"] |= {"repository": name, "tag": tag}
        values["crds"]["install"] = False
        values |= {"watchNamespaces": [namespace.name], "resyncSeconds": 2}
        (chart / "values.yaml").write_text(yaml.safe_dump(values))
    return f"import os\nimport subprocess\n\nimport pytest\n\nCHART = {str(chart)!r}\n\n{example}"


def test_a_session_and_the_next_one_with_workers(project: Project, namespace: Namespace, tmp_path: Path) -> None:
    fixture = conftest(namespace, tmp_path, BY_FIXTURE)
    project.write(conftest=fixture, test_integration=INTEGRATION + ASKS, test_unit=UNIT)
    done = project.run("--coverage-hooks-release=operator", "--cov", "--cov-report=")
    assert done.code == 0, done.said
    assert "3 passed" in done.said
    _is_whole(done)
    assert done.summary["totals"]["unit"]["lines"] > 0
    first = done.ledger["run"]
    # Its volume is still there, and so is what it holds.
    hooks = conftest(namespace, tmp_path, BY_CONTROLLER)
    project.write(conftest=hooks, test_integration=INTEGRATION)
    done = project.run("--coverage-hooks-release=operator", "-n", "2")
    assert done.code == 0, done.said
    assert "2 passed" in done.said
    _is_whole(done)
    assert done.summary["totals"]["unit"] is None
    assert done.ledger["run"] != first
    assert [row["run"] for row in done.ledger["earlier"]] == [first]


def _is_whole(done: Collected) -> None:
    """Assert that all is there that one operator did."""
    (row,) = done.ledger["rows"]
    assert (row["state"], row["cause"]) == ("finished", "deleted"), done.said
    assert done.ledger["proven"], done.said
    assert done.summary["losses"] == []
    assert done.summary["totals"]["cluster"]["lines"] > 50
    assert done.missing(HANDLERS, "reconcile") == [], done.said
    assert done.missing(LIFECYCLE, "take_down") == NOT_ASKED_FOR, done.said
    testimony = watchlog.read(done.output / watchlog.NAME)
    assert testimony is not None
    assert testimony.stopped == ""
    assert (done.output / "worlds.html").is_file()
    _, shown = done.said.split("= coverage of the operator =")
    for part in (row["pod"].split("/")[0], "completeness  proven", HANDLERS, "TOTAL"):
        assert part in shown
