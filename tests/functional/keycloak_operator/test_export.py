"""What is exported of a real Keycloak changes nothing beside it, and makes an equal realm elsewhere."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from keycloak_operator.resources import OWNER_ATTRIBUTE
from tests.cluster import WITHIN, eventually
from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.rich import (
    comparable,
    make_rich_realm,
    make_scope_and_flow,
    snapshot,
    without_mark,
)
from tests.functional.keycloak_operator.test_trouble import quiet
from tests.functional.keycloak_operator.users import surroundings


async def run_export(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "keycloak_operator.export", *options],
        env=surroundings() | environment,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


async def exported(stage: Stage, *options: str) -> tuple[list[dict[str, Any]], str]:
    """Return the documents of the test's realm, and what was told."""
    account = stage.keycloak.service_account
    ran = await run_export(
        f"--server={stage.keycloak.url}",
        f"--realm={stage.realm_name}",
        *options,
        KEYCLOAK_OPERATOR_CLIENT_ID=account.client_id,
        KEYCLOAK_OPERATOR_CLIENT_SECRET=account.client_secret,
    )
    assert ran.returncode == 0, ran.stderr
    assert account.client_secret not in ran.stdout + ran.stderr
    return list(yaml.safe_load_all(ran.stdout)), ran.stderr


async def apply(stage: Stage, documents: list[dict[str, Any]], **spec: Any) -> dict[tuple[str, str], int]:
    """Apply all *documents*, each with *spec*; return their generations by kind and name."""
    return {
        (each["kind"], each["metadata"]["name"]): await stage.user.apply(
            each["kind"], each["metadata"]["name"], {**each["spec"], **spec}
        )
        for each in documents
    }


async def wait_for_all(stage: Stage, generations: dict[tuple[str, str], int], reason: str) -> list[dict[str, Any]]:
    return [
        await stage.user.wait_for(kind, name, reason, generation) for (kind, name), generation in generations.items()
    ]


async def test_beside_the_realm_nothing_is_written_but_the_mark(stage: Stage, tmp_path: Path) -> None:
    api, realm = stage.keycloak.api, stage.realm_name
    await make_rich_realm(api, realm)
    before = await snapshot(api, realm)
    assert len(before) == 27
    documents, told = await exported(stage)
    assert len(documents) == len(before)
    for secret in ("hidden-mail-password", *(each["secret"] for each in before.values() if "secret" in each)):
        assert secret not in yaml.safe_dump(documents) + told
    assert "PRIVATE KEY" not in yaml.safe_dump(documents).upper()

    stage.proxy.clear()
    generations = await apply(stage, documents, mode="Observe")
    observed = await wait_for_all(stage, generations, "OutOfSync")
    assert {tuple(each["status"]["differences"]) for each in observed} == {(f"attributes.{OWNER_ATTRIBUTE}",)}
    assert stage.proxy.writes() == []

    generations = await apply(stage, documents)
    await wait_for_all(stage, generations, "Synced")
    ids = {each["id"] for name, each in before.items() if name != "realm"}
    written = [(each.method, each.path.rpartition("/")[2]) for each in stage.proxy.writes()]
    assert sorted(written) == sorted(("PUT", each) for each in {realm, *ids})
    after = await snapshot(api, realm)
    assert without_mark(after) == before
    assert {each["attributes"][OWNER_ATTRIBUTE].partition("/")[0] for each in after.values()} == {"test"}
    stage.proxy.clear()
    await quiet(stage)
    assert stage.proxy.writes() == []

    # And what a file has is what the server has; clients of a partial export come without what may be seen of them.
    partial = await api.ask("POST", f"realms/{realm}/partial-export?exportClients=true&exportGroupsAndRoles=true")
    (tmp_path / "partial.json").write_text(json.dumps(partial))
    ran = await run_export(f"--from={tmp_path / 'partial.json'}")
    assert ran.returncode == 0, ran.stderr
    assert list(yaml.safe_load_all(ran.stdout)) == documents


async def test_elsewhere_it_makes_an_equal_realm(stage: Stage) -> None:
    api, realm = stage.keycloak.api, stage.realm_name
    await make_rich_realm(api, realm)
    other = f"other-{realm}"
    documents, told = await exported(stage, f"--as={other}", "--prefix=other-")
    assert "has to be there in another realm first: authentication flow own browser, client scope team" in told
    assert [each["spec"]["adopt"] for each in documents] == [False for _ in documents]
    first, *clients = documents
    assert first["kind"] == "KeycloakRealm"
    # As the list says.
    await stage.user.put_secret("mail", password="hidden-mail-password")
    secret = {"smtpPasswordSecret": {"name": "mail", "key": "password"}}
    generations = await apply(stage, [first], **secret)
    await wait_for_all(stage, generations, "Synced")
    await make_scope_and_flow(api, other)
    await wait_for_all(stage, await apply(stage, clients), "Synced")
    assert comparable(await snapshot(api, other), other) == comparable(await snapshot(api, realm), realm)
    flows = {each["alias"]: each["id"] for each in await api.ask("GET", f"realms/{other}/authentication/flows")}
    (client,) = await api.ask("GET", f"realms/{other}/clients?clientId=flow")
    assert client["authenticationFlowBindingOverrides"] == {
        "browser": flows["own browser"],
        "direct_grant": flows["direct grant"],
    }


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--realm=nowhere"], {}, "Keycloak has no realm nowhere; correct --realm"),
        (["--realm=master"], {"KEYCLOAK_OPERATOR_CLIENT_SECRET": "hidden"}, "refused client 'throw-away-service'"),
        (["--realm=master"], {"KEYCLOAK_OPERATOR_CLIENT_ID": ""}, "expected KEYCLOAK_OPERATOR_CLIENT_ID and"),
        (["--realm=master", "--login-realm=nowhere"], {}, "nowhere"),
    ],
)
async def test_what_leads_to_no_realm_is_said(
    stage: Stage, options: list[str], environment: dict[str, str], said: str
) -> None:
    account = stage.keycloak.service_account
    given = {
        "KEYCLOAK_OPERATOR_CLIENT_ID": account.client_id,
        "KEYCLOAK_OPERATOR_CLIENT_SECRET": account.client_secret,
    }
    ran = await run_export(f"--server={stage.keycloak.url}", *options, **given | environment)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "hidden" not in ran.stderr


async def test_an_account_of_the_realm_itself_exports_it(stage: Stage) -> None:
    api, realm = stage.keycloak.api, stage.realm_name
    await api.ask("POST", "realms", {"realm": realm, "enabled": True, "sslRequired": "none"})
    client = {"clientId": "exporter", "serviceAccountsEnabled": True, "secret": "throw-away"}
    await api.ask("POST", f"realms/{realm}/clients", client)
    (client,) = await api.ask("GET", f"realms/{realm}/clients?clientId=exporter")

    async def export() -> subprocess.CompletedProcess[str]:
        return await run_export(
            f"--server={stage.keycloak.url}",
            f"--realm={realm}",
            f"--login-realm={realm}",
            KEYCLOAK_OPERATOR_CLIENT_ID="exporter",
            KEYCLOAK_OPERATOR_CLIENT_SECRET="throw-away",
        )

    assert (await export()).returncode == 1  # it has no rights yet
    user = await api.ask("GET", f"realms/{realm}/clients/{client['id']}/service-account-user")
    (management,) = await api.ask("GET", f"realms/{realm}/clients?clientId=realm-management")
    roles = await api.ask("GET", f"realms/{realm}/clients/{management['id']}/roles")
    viewing = [each for each in roles if each["name"] in {"view-realm", "view-clients"}]
    path = f"realms/{realm}/users/{user['id']}/role-mappings/clients/{management['id']}"
    await api.ask("POST", path, viewing)

    async def seen() -> subprocess.CompletedProcess[str] | None:
        ran = await export()
        return ran if ran.returncode == 0 else None

    ran = await eventually(seen, "the account sees its realm")
    kinds = [(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(ran.stdout)]
    assert kinds == [("KeycloakRealm", realm), ("KeycloakClient", "exporter")]
    assert "? users" in ran.stderr
