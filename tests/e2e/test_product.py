"""The operator as its chart installs it: the same with and without coverage, and without it no trace of it."""

from __future__ import annotations

import json

import aiohttp
import pytest

from tests.cluster import eventually
from tests.e2e.namespaces import Namespace
from tests.e2e.releases import RECORDING, OperatorRelease
from tests.e2e.stage import Stage

# What coverage.py consists of, wherever it is installed, and what configures it.
FINDER = """
import os
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in {"/proc", "/sys"}]
    for name in folders + files:
        if name in {"coverage", ".coveragerc"} or name.startswith(("coverage-", ".coverage")):
            print(os.path.join(folder, name))
"""
PROCESS = """
import pathlib
for name in ("maps", "environ", "cmdline"):
    print(pathlib.Path("/proc/1", name).read_bytes().replace(bytes(1), b"\\n").decode())
print([mount for mount in pathlib.Path("/proc/1/mounts").read_text().splitlines()])
"""


@pytest.mark.usefixtures("operator_image")
def test_without_coverage_there_is_no_trace_of_it(release: OperatorRelease, namespace: Namespace) -> None:
    release.install()
    assert "coverage" not in json.dumps(release.pod()["spec"]).lower()
    assert "coverage" not in release.exec("python", "-c", PROCESS).lower()
    assert release.exec("python", "-c", FINDER) == ""
    assert "coverage" not in release.log().lower()
    assert namespace.list("persistentvolumeclaims") == []


@pytest.mark.usefixtures("coverage_image")
def test_with_coverage_the_same_searches_find_it(release: OperatorRelease) -> None:
    release.install(*RECORDING)
    assert "coverage" in json.dumps(release.pod()["spec"])
    found = release.exec("python", "-c", PROCESS)
    assert "/coverage/tracer" in found
    assert "COVERAGE_HOOKS_ENABLED=true" in found
    assert "/app/.coveragerc" in release.exec("python", "-c", FINDER).split()


@pytest.mark.parametrize("settings", [(), RECORDING], ids=["without coverage", "with coverage"])
@pytest.mark.usefixtures("coverage_image")
async def test_it_does_its_work(stage: Stage, settings: tuple[str, ...]) -> None:
    await stage.install(*settings)
    await stage.apply_examples()
    # A program logs in with the credentials that it found in its Secret.
    secret = await stage.user.secret("orders-credentials")
    assert secret is not None
    assert secret["issuer"] == f"{stage.keycloak.url}/realms/{stage.realm}"
    form = {name: secret[name.replace("_", "-")] for name in ("client_id", "client_secret")}
    form["grant_type"] = "client_credentials"
    path = f"{stage.keycloak.api.url}/realms/{stage.realm}/protocol/openid-connect/token"
    async with aiohttp.ClientSession() as session, session.post(path, data=form) as answer:
        assert answer.status == 200, await answer.text()
    # What somebody changes by hand is changed back.
    await stage.keycloak.api.ask("PUT", f"realms/{stage.realm}", {"displayName": "Mine now"})

    async def is_as_declared() -> bool:
        found = await stage.keycloak.api.ask("GET", f"realms/{stage.realm}")
        return bool(found["displayName"] == "The shop")

    await eventually(is_as_declared, "the display name is what was declared")
    await stage.user.wait_for_event("shop", "DriftCorrected")
    # What is deleted is deleted there.
    await stage.delete("KeycloakClient", "orders")
    assert await stage.keycloak.api.ask("GET", f"realms/{stage.realm}/clients?clientId=orders") == []
    # The realm is retained, and nobody's.
    await stage.delete("KeycloakRealm", "shop")
    left = await stage.keycloak.api.ask("GET", f"realms/{stage.realm}")
    assert "keycloak.vriesdemichael.github.io/owner" not in left["attributes"]
