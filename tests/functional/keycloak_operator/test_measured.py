"""What the operator believes about Keycloak's defaults, and about what Keycloak ignores, asked of a real one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from keycloak_operator.resources.client_refusals import ClientRefusals
from keycloak_operator.resources.defaults import (
    DIFFERS,
    MISSING,
    client_attributes,
    client_default,
    every_client_default,
    every_realm_default,
    realm_default,
)
from keycloak_operator.resources.read_only import client_without_read_only, realm_without_read_only
from keycloak_operator.resources.realm_refusals import RealmRefusals
from tests.cluster.keycloak import Keycloak
from tests.cluster.keycloak_admin import AdminApi
from tests.unit.keycloak_operator.resources.examples import UNDECLARABLE

#: What is shown and has no default: what was said, and what depends on the realm, or on chance.
OF_THE_REALM = {("realm",)}
OF_THE_CLIENT = {
    ("clientId",), ("secret",), ("defaultClientScopes",), ("optionalClientScopes",),
    ("attributes", "saml.signing.certificate"), ("attributes", "saml.signing.private.key"),
}  # fmt: skip
#: Fields that older versions do not know.
LATER = {
    ("maxSecondaryAuthFailures",), ("scimApiEnabled",), ("webAuthnPolicyResidentKey",),
    ("webAuthnPolicyPasswordlessResidentKey",),
}  # fmt: skip


@pytest.fixture
def api(keycloak: Keycloak) -> AdminApi:
    return keycloak.api


@pytest.fixture
async def realm(api: AdminApi) -> AsyncIterator[str]:
    """Yield the name of a realm of which nothing is said but that it is enabled, as the operator creates it."""
    name = f"measured-{uuid4().hex[:8]}"
    await api.ask("POST", "realms", {"realm": name, "enabled": True})
    yield name
    await api.ask("DELETE", f"realms/{name}")


def paths(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from paths(inner, (*path, name))
        else:
            yield (*path, name), inner


def is_nothing(value: Any) -> bool:
    return value in (None, "", 0, False, [])


async def test_a_new_realm_has_the_defaults(api: AdminApi, realm: str) -> None:
    shown = dict(paths(realm_without_read_only(await api.ask("GET", f"realms/{realm}")).representation))
    unknown = {path for path in shown if realm_default(path) is MISSING}
    assert unknown == OF_THE_REALM
    different = {path for path, value in shown.items() if path not in unknown and value != realm_default(path)}
    assert different <= DIFFERS
    hidden = {path for path in dict(paths(every_realm_default())) if path not in shown}
    assert {path for path in hidden if not is_nothing(realm_default(path))} <= LATER


async def test_the_defaults_of_a_realm_can_be_written_and_change_nothing(api: AdminApi, realm: str) -> None:
    await api.ask("PUT", f"realms/{realm}", await api.ask("GET", f"realms/{realm}"))
    before = await api.ask("GET", f"realms/{realm}")
    known = {name: value for name, value in every_realm_default().items() if name in before}
    told = ("displayName", "displayNameHtml", "loginTheme", "passwordPolicy", "defaultLocale", "eventsExpiration",
            "supportedLocales", "defaultGroups")  # fmt: skip
    written = known | {name: realm_default((name,)) for name in told}
    del written["attributes"]
    await api.ask("PUT", f"realms/{realm}", {**before, **written})
    after = await api.ask("GET", f"realms/{realm}")
    different = {name for name in {**before, **after} if before.get(name) != after.get(name)}
    assert {name for name in different if not (is_nothing(before.get(name)) and is_nothing(after.get(name)))} <= {
        path[0] for path in DIFFERS
    }


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [
        ("openid-connect", {"publicClient": False}),
        ("openid-connect", {"publicClient": True}),
        ("openid-connect", {"bearerOnly": True}),
        ("saml", {"publicClient": False}),
    ],
)
async def test_a_new_client_has_the_defaults(api: AdminApi, realm: str, protocol: str, kind: dict[str, bool]) -> None:
    # As the operator creates it, and with nothing of which Keycloak's answer depends on whether the protocol is sent.
    client = {"clientId": "new", "protocol": protocol, "directAccessGrantsEnabled": False, "publicClient": False} | kind
    await api.ask("POST", f"realms/{realm}/clients", client)
    (found,) = await api.ask("GET", f"realms/{realm}/clients?clientId=new")
    shown = dict(paths(client_without_read_only(found).representation))
    unknown = {path for path in shown if client_default(path, protocol) is MISSING}
    assert unknown <= OF_THE_CLIENT
    different = {path for path, value in shown.items() if value != client_default(path, protocol)}
    assert different - unknown - {("protocol",)} == {(name,) for name, value in kind.items() if value}
    hidden = {path for path in dict(paths(every_client_default(protocol))) if path not in shown}
    assert [path for path in hidden if not is_nothing(client_default(path, protocol))] == []
    attributes = client_without_read_only(found).representation["attributes"]
    assert {name for name in attributes if not name.startswith("saml.signing.")} == set(client_attributes(protocol))


async def test_a_client_with_nothing_but_a_name_has_the_defaults_but_for_attributes(api: AdminApi, realm: str) -> None:
    await api.ask("POST", f"realms/{realm}/clients", {"clientId": "new"})
    (found,) = await api.ask("GET", f"realms/{realm}/clients?clientId=new")
    shown = dict(paths(client_without_read_only(found).representation))
    assert {path for path in shown if shown[path] != client_default(path, "openid-connect")} <= OF_THE_CLIENT


async def test_what_is_refused_of_a_realm_is_ignored_by_keycloak(api: AdminApi, realm: str) -> None:
    await api.ask("PUT", f"realms/{realm}", await api.ask("GET", f"realms/{realm}"))
    before = await everything(api, realm)
    for name, value in [each for group in UNDECLARABLE.values() for each in group.items()]:
        with contextlib.suppress(aiohttp.ClientResponseError):  # or it is refused by Keycloak, too
            await api.ask("PUT", f"realms/{realm}", {**before["realm"], name: value})
        assert (name, await everything(api, realm)) == (name, before)


async def everything(api: AdminApi, realm: str) -> dict[str, Any]:
    """Return the realm, and what it would have more of, if Keycloak did not ignore it."""
    found = {"realm": await api.ask("GET", f"realms/{realm}")}
    for path in (
        "users", "groups", "roles", "clients", "client-scopes", "default-default-client-scopes",
        "default-optional-client-scopes", "identity-provider/instances", "components", "authentication/flows",
        "authentication/required-actions", "localization",
    ):  # fmt: skip
        listed = await api.ask("GET", f"realms/{realm}/{path}")
        found[path] = sorted(
            each if isinstance(each, str) else str(each.get("id", each.get("alias"))) for each in listed
        )
    return found


def test_every_refused_field_of_a_realm_was_asked_about() -> None:
    asked = {name for group in UNDECLARABLE.values() for name in group}
    assert {field.alias for field in RealmRefusals.model_fields.values()} == asked


async def test_what_is_refused_of_a_client_is_ignored_by_keycloak(api: AdminApi, realm: str) -> None:
    await api.ask("POST", f"realms/{realm}/clients", {"clientId": "new"})
    (before,) = await api.ask("GET", f"realms/{realm}/clients?clientId=new")
    said: dict[str, Any] = {
        "registrationAccessToken": "t", "defaultRoles": ["user"], "directGrantsOnly": True, "clientTemplate": "t",
        "useTemplateConfig": True, "useTemplateScope": True, "useTemplateMappers": True,
    }  # fmt: skip
    # It is not ignored, but there is more to it than a PUT: it is taken only while the client is created.
    assert {field.alias for field in ClientRefusals.model_fields.values()} == {*said, "authorizationSettings"}
    await api.ask("PUT", f"realms/{realm}/clients/{before['id']}", {**before, **said})
    assert await api.ask("GET", f"realms/{realm}/clients/{before['id']}") == before


async def test_what_only_keycloak_sets_is_recognised(api: AdminApi, realm: str) -> None:
    before = await api.ask("GET", f"realms/{realm}")
    mail = {"host": "mail", "from": "a@example.com", "auth": "true", "user": "u"}
    token = {**mail, "authType": "token", "authTokenClientSecret": "s", "authTokenUrl": "https://mail/token",
             "authTokenScope": "send", "authTokenClientId": "c"}  # fmt: skip
    await api.ask("PUT", f"realms/{realm}", {**before, "smtpServer": token, "adminPermissionsEnabled": True})
    shown, left_out = realm_without_read_only(await api.ask("GET", f"realms/{realm}"))
    assert "smtpServer.authTokenClientSecret" in left_out
    await api.ask("PUT", f"realms/{realm}", {**before, "smtpServer": {**mail, "password": "p"}})
    shown, left_out = realm_without_read_only(await api.ask("GET", f"realms/{realm}"))
    assert set(left_out) >= {
        "adminPermissionsClient", "defaultRole", "id", "notBefore", "otpSupportedApplications",
        "attributes.oauth2DeviceCodeLifespan", "attributes.realmReusableOtpCode", "smtpServer.password",
    }  # fmt: skip
    assert shown["smtpServer"] == mail
    partial = await api.ask("POST", f"realms/{realm}/partial-export")
    assert "keycloakVersion" in realm_without_read_only(partial).left_out
    mapper = {"name": "m", "protocol": "openid-connect", "protocolMapper": "oidc-hardcoded-claim-mapper", "config": {}}
    await api.ask("POST", f"realms/{realm}/clients", {"clientId": "new", "protocolMappers": [mapper]})
    unsigned = {"saml.client.signature": "false"}  # Keycloak takes long to make a key
    await api.ask("POST", f"realms/{realm}/clients", {"clientId": "saml", "protocol": "saml", "attributes": unsigned})
    (found,) = await api.ask("GET", f"realms/{realm}/clients?clientId=new")
    shown, left_out = client_without_read_only(found)
    assert left_out == [
        "access", "attributes.client.secret.creation.time", "attributes.realm_client", "id", "notBefore",
        "protocolMappers.m.consentRequired", "protocolMappers.m.id",
    ]  # fmt: skip
    assert shown["protocolMappers"] == [mapper]
    (found,) = await api.ask("GET", f"realms/{realm}/clients?clientId=saml")
    assert "attributes.saml.artifact.binding.identifier" in client_without_read_only(found).left_out
