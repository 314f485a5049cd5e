"""What Keycloak shows can be pasted into a spec: nothing is written but the mark, and elsewhere it makes the same."""

from __future__ import annotations

from typing import Any

from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.rich import (
    comparable,
    make_rich_realm,
    make_scope_and_flow,
    snapshot,
    without_mark,
)
from tests.functional.keycloak_operator.test_trouble import quiet


def pasted(shown: dict[str, Any], realm: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the resources of what a GET shows, with nothing taken out but what is refused: real secrets and keys."""
    specs: list[tuple[str, str, dict[str, Any]]] = [
        ("KeycloakRealm", "realm", {"connectionRef": {"name": "keycloak"}, "realm": {**shown["realm"], "realm": realm}})
    ]
    for number, (name, client) in enumerate(shown.items()):
        if name == "realm":
            continue
        declared = {key: value for key, value in client.items() if key != "secret"}
        attributes = {key: value for key, value in client["attributes"].items() if not key.endswith("private.key")}
        spec = {"realmRef": {"name": "realm"}, "client": {**declared, "attributes": attributes}}
        specs.append(("KeycloakClient", f"client-{number}", {**spec, "deletionPolicy": "Retain"}))
    return specs


async def test_what_is_pasted_beside_its_realm_writes_nothing_but_the_mark(stage: Stage) -> None:
    api, realm = stage.keycloak.api, stage.realm_name
    await make_rich_realm(api, realm)
    before = await snapshot(api, realm)
    resources = pasted(before, realm)
    stage.proxy.clear()
    for kind, name, spec in resources:
        await stage.user.apply(kind, name, {**spec, "adopt": True})
    for kind, name, _ in resources:
        await stage.user.wait_for(kind, name, "Synced")
    assert sorted({each.method for each in stage.proxy.writes()}) == ["PUT"]
    assert len(stage.proxy.writes()) == len(before)
    assert without_mark(await snapshot(api, realm)) == before
    stage.proxy.clear()
    await quiet(stage)
    assert stage.proxy.writes() == []


async def test_what_is_pasted_elsewhere_makes_an_equal_realm(stage: Stage) -> None:
    api, realm = stage.keycloak.api, stage.realm_name
    await make_rich_realm(api, realm)
    shown, other = await snapshot(api, realm), f"other-{realm}"
    del shown["realm"]["defaultRole"]  # it is that of the one realm, and refused in another
    del shown["flow"]["authenticationFlowBindingOverrides"]  # ids of the one realm
    (kind, name, spec), *clients = pasted(shown, other)
    await stage.user.put_secret("mail", password="hidden-mail-password")
    await stage.user.apply(kind, name, {**spec, "smtpPasswordSecret": {"name": "mail", "key": "password"}})
    await stage.user.wait_for(kind, name, "Synced")
    await make_scope_and_flow(api, other)
    for kind, name, spec in clients:
        await stage.user.apply(kind, name, spec)
    for kind, name, _ in clients:
        await stage.user.wait_for(kind, name, "Synced")
    made, expected = [comparable(await snapshot(api, each), each) for each in (other, realm)]
    # What a client did not have was not pasted; a new one gets it.
    for each in (*made.values(), *expected.values()):
        for attribute in (
            "backchannel.logout.revoke.offline.tokens", "backchannel.logout.session.required",
            "saml.authnstatement", "saml.server.signature",
        ):  # fmt: skip
            each["attributes"].pop(attribute, None)
    assert made == expected
