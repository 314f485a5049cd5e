"""What a resource says of a realm or a client: all that makes it what it is, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from keycloak_operator.export.declared import Why, declared_client, declared_realm, has_secret, in_realm, is_own
from keycloak_operator.reconcile.difference import differences
from keycloak_operator.resources import MASK, OWNER_ATTRIBUTE
from keycloak_operator.resources.defaults import every_client_default, every_realm_default

NEW_REALM: dict[str, Any] = {
    **every_realm_default(), "realm": "r", "id": "some-id", "smtpServer": {},
    "defaultRole": {"name": "default-roles-r"},
}  # fmt: skip
NEW_CLIENT: dict[str, Any] = {
    **every_client_default("openid-connect"), "clientId": "c", "id": "some-id", "secret": "hidden",
    "defaultClientScopes": ["roles", "email"], "optionalClientScopes": [], "authenticationFlowBindingOverrides": {},
}  # fmt: skip


def test_of_a_new_realm_nothing_is_said_but_its_name_and_what_differs_between_versions() -> None:
    declared = declared_realm(NEW_REALM, "other")
    assert declared.representation == {
        "realm": "other", "enabled": True, "webAuthnPolicyPasswordlessRequireResidentKey": "Yes",
    }  # fmt: skip
    left_out = dict(declared.left_out)
    assert (left_out["id"], left_out["defaultRole"]) == (Why.READ_ONLY, Why.READ_ONLY)
    assert (left_out["failureFactor"], left_out["browserSecurityHeaders.xRobotsTag"]) == (Why.DEFAULT, Why.DEFAULT)


def test_of_a_realm_what_differs_is_said() -> None:
    changed: dict[str, Any] = {
        "failureFactor": 7,
        "supportedLocales": ["en", "de"],
        "eventsListeners": ["jboss-logging"],
        "browserSecurityHeaders": {"xFrameOptions": "DENY", "referrerPolicy": "no-referrer"},
        "attributes": {OWNER_ATTRIBUTE: "o/n/n", "mine": "", "cibaInterval": "6", "cibaExpiresIn": "120"},
        "smtpServer": {"host": "h", "password": "hidden", "authTokenClientSecret": "hidden"},
        "users": [{"username": "u"}],
        "displayName": None,
    }
    declared = declared_realm({**NEW_REALM, **changed}, "r")
    assert declared.representation == {
        "realm": "r",
        "enabled": True,
        "attributes": {"cibaInterval": "6", "mine": ""},
        "browserSecurityHeaders": {"xFrameOptions": "DENY"},
        "failureFactor": 7,
        "smtpServer": {"host": "h"},
        "supportedLocales": ["de", "en"],
        "webAuthnPolicyPasswordlessRequireResidentKey": "Yes",
    }
    names = list(declared.representation)
    assert names == ["realm", "enabled", *sorted(names[2:])]
    left_out = dict(declared.left_out)
    assert left_out["users"] == Why.UNMANAGED
    assert left_out["smtpServer.password"] == left_out["smtpServer.authTokenClientSecret"] == Why.SECRET
    assert left_out[f"attributes.{OWNER_ATTRIBUTE}"] == Why.READ_ONLY


def test_with_all_fields_only_what_cannot_be_said_is_left_out() -> None:
    declared = declared_realm(NEW_REALM, "r", all_fields=True)
    assert declared.representation["failureFactor"] == 30
    assert {why for _, why in declared.left_out} == {Why.READ_ONLY}
    client = declared_client(NEW_CLIENT, {}, all_fields=True)
    assert client.representation["fullScopeAllowed"] is True
    assert {why for _, why in client.left_out} == {Why.READ_ONLY, Why.SECRET}


def test_of_a_new_client_its_kind_and_its_scopes_are_said() -> None:
    declared = declared_client(NEW_CLIENT, {})
    assert declared.representation == {
        "clientId": "c",
        "enabled": True,
        "protocol": "openid-connect",
        "defaultClientScopes": ["email", "roles"],
        "directAccessGrantsEnabled": False,
        "optionalClientScopes": [],
        "publicClient": False,
    }
    assert dict(declared.left_out)["secret"] == Why.SECRET


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rootUrl": "https://u"}, {"rootUrl": "https://u", "redirectUris": [], "webOrigins": []}),
        ({"redirectUris": ["b", "a"]}, {"redirectUris": ["a", "b"], "webOrigins": []}),
        ({"attributes": {}}, {"attributes": {"backchannel.logout.revoke.offline.tokens": "",
                                             "backchannel.logout.session.required": ""}}),
        ({"protocol": "saml", "frontchannelLogout": True, "attributes": {**every_client_default("saml")["attributes"],
          "saml.signing.private.key": "hidden", "saml.signing.certificate": "public", "saml.encrypt": "true"}},
         {"protocol": "saml", "directAccessGrantsEnabled": None,
          "attributes": {"saml.encrypt": "true", "saml.signing.certificate": "public"}}),
        ({"protocolMappers": [{"id": "1", "name": "b", "consentRequired": False, "config": {"y": "1", "x": "2"}},
                              {"id": "2", "name": "a"}]},
         {"protocolMappers": [{"name": "a"}, {"name": "b", "config": {"x": "2", "y": "1"}}]}),
        ({"authenticationFlowBindingOverrides": {"browser": "id-of-flow", "direct_grant": "my flow", "x": "gone"}},
         {"authenticationFlowBindingOverrides": {"browser": "my flow", "direct_grant": "my flow"}}),
        ({"authorizationSettings": {}, "authorizationServicesEnabled": True}, {"authorizationServicesEnabled": True}),
        ({"secret": MASK, "nodeReRegistrationTimeout": 0}, {"nodeReRegistrationTimeout": 0}),
    ],
)  # fmt: skip
def test_of_a_client_what_differs_is_said(changed: dict[str, Any], said: dict[str, Any]) -> None:
    usual = declared_client(NEW_CLIENT, {}).representation
    declared = declared_client({**NEW_CLIENT, **changed}, {"id-of-flow": "my flow"}).representation
    expected = {**usual, **said}
    assert declared == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize("all_fields", [True, False])
def test_no_secret_of_a_client_is_said(all_fields: bool) -> None:
    names = ("client.secret.rotated", *(f"{kind}.private.key" for kind in (
        "saml.signing", "saml.encryption", "jwt.credential",
    )))  # fmt: skip
    secrets = {"secret": "hidden", "registrationAccessToken": "hidden", "attributes": dict.fromkeys(names, "hidden")}
    declared = declared_client({**NEW_CLIENT, **secrets}, {}, all_fields=all_fields)
    assert "hidden" not in str(declared)
    assert {"secret", *(f"attributes.{name}" for name in names)} <= dict(declared.left_out).keys()


def test_a_flow_that_is_not_known_is_told() -> None:
    overrides = {"authenticationFlowBindingOverrides": {"browser": "gone"}}
    declared = declared_client({**NEW_CLIENT, **overrides}, {})
    assert ("authenticationFlowBindingOverrides.browser", Why.UNKNOWN_FLOW) in declared.left_out
    assert "authenticationFlowBindingOverrides" not in declared.representation


def test_what_is_said_is_contained_in_what_it_came_from() -> None:
    for realm in (NEW_REALM, {**NEW_REALM, "attributes": {"mine": "1"}, "eventsListeners": ["b", "a"]}):
        assert differences(declared_realm(realm, "r").representation, realm) == []
    for client in (NEW_CLIENT, {**NEW_CLIENT, "attributes": {}, "protocolMappers": [{"id": "1", "name": "m"}]}):
        assert differences(declared_client(client, {}).representation, client) == []


def test_a_client_of_keycloaks_own_exists_so_that_nothing_is_emptied() -> None:
    assert "attributes" not in declared_client({**NEW_CLIENT, "attributes": {}}, {}, exists=True).representation
    assert "attributes" not in declared_client({"clientId": "c"}, {}).representation


@pytest.mark.parametrize(
    ("client", "own"),
    [
        ({"clientId": "account"}, True),
        ({"clientId": "admin-permissions"}, True),
        ({"clientId": "shop-realm", "attributes": {"realm_client": "true"}}, True),
        ({"clientId": "shop", "attributes": {"realm_client": "false"}}, False),
        ({"clientId": "shop"}, False),
    ],
)
def test_which_clients_are_keycloaks_own(client: dict[str, Any], own: bool) -> None:
    assert is_own(client) is own


@pytest.mark.parametrize(
    ("client", "secret"),
    [
        ({}, True),
        ({"clientAuthenticatorType": "client-secret-jwt"}, True),
        ({"clientAuthenticatorType": "client-jwt"}, False),
        ({"publicClient": True}, False),
        ({"bearerOnly": True}, False),
        ({"protocol": "saml"}, False),
    ],
)
def test_which_clients_have_a_secret(client: dict[str, Any], secret: bool) -> None:
    assert has_secret(client) is secret


def test_urls_of_keycloaks_own_clients_follow_the_realm() -> None:
    client = {"baseUrl": "/realms/a/account/", "redirectUris": ["/admin/a/console/*", "/realms/ab/", "https://a/"]}
    assert in_realm(client, "a", "b") == {
        "baseUrl": "/realms/b/account/", "redirectUris": ["/admin/b/console/*", "/realms/ab/", "https://a/"],
    }  # fmt: skip
