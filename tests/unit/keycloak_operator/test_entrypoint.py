"""What Kopf is started with: in a process of its own, as importing the entry point is for a whole process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.waiting import WITHIN
from tests.functional.keycloak_operator.users import surroundings

PROGRAM = "import json; from keycloak_operator.entrypoint import prepare; print(json.dumps(prepare().keywords))"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {"clusterwide": True, "namespaces": []}),
        ({"KEYCLOAK_OPERATOR_NAMESPACES": "one,two"}, {"clusterwide": False, "namespaces": ["one", "two"]}),
        ({"KEYCLOAK_OPERATOR_LIVENESS": "http://0.0.0.0:8080/healthz"}, {"liveness_endpoint": "http://0.0.0.0:8080/healthz"}),
    ],
)  # fmt: skip
def test_kopf_is_started_as_the_environment_says(environment: dict[str, str], expected: dict[str, Any]) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**surroundings(), "PYTHONPATH": str(Path(__file__).parents[3]), **environment},
        stdout=subprocess.PIPE,
        timeout=WITHIN,
        check=True,
    )
    assert json.loads(found.stdout).items() >= {"standalone": True, **expected}.items()
