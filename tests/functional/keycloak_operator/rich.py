"""A realm with much in it, and two dozen clients of every sort; and what two realms have in common."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from keycloak_operator.export.declared import is_own
from keycloak_operator.reconcile.difference import SETS
from keycloak_operator.resources import OWNER_ATTRIBUTE
from tests.cluster.keycloak_admin import AdminApi

SCOPE, FLOW = "team", "own browser"

_REALM: Mapping[str, Any] = {
    "enabled": True,
    "displayName": "A <b>rich</b> realm: ünïcode, 'quotes' and #",
    "sslRequired": "none",
    "loginTheme": "keycloak",
    "accessTokenLifespan": 600,
    "ssoSessionIdleTimeout": 1234,
    "clientSessionIdleTimeout": 600,
    "oauth2DeviceCodeLifespan": 700,
    "registrationAllowed": True,
    "verifyEmail": True,
    "bruteForceProtected": True,
    "failureFactor": 7,
    "passwordPolicy": "length(12) and notUsername(undefined)",
    "otpPolicyDigits": 8,
    "otpPolicyCodeReusable": True,
    "webAuthnPolicyRpEntityName": "rich",
    "webAuthnPolicySignatureAlgorithms": ["RS256", "ES256"],
    "internationalizationEnabled": True,
    "supportedLocales": ["de", "en"],
    "defaultLocale": "de",
    "eventsEnabled": True,
    "eventsExpiration": 3600,
    "eventsListeners": ["email", "jboss-logging"],
    "enabledEventTypes": ["LOGOUT", "LOGIN"],
    "adminEventsEnabled": True,
    "organizationsEnabled": True,
    "browserFlow": "browser",
    "browserSecurityHeaders": {"xFrameOptions": "DENY"},
    "smtpServer": {"host": "mail.example.com", "port": "25", "from": "a@example.com", "auth": "true", "user": "u",
                   "password": "hidden-mail-password"},
    "attributes": {"acr.loa.map": '{"gold": 2}', "cibaInterval": "6", "with space": "yes: no"},
    "clientProfiles": {"profiles": [{"name": "safe", "description": "", "executors": [
        {"executor": "pkce-enforcer", "configuration": {"auto-configure": True}}]}]},
}  # fmt: skip


def _mapper(name: str, **config: str) -> dict[str, Any]:
    kind = "oidc-hardcoded-claim-mapper"
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": {"claim.name": name, **config},
    }


def _clients(flows: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"clientId": "nothing-said"},
        {"clientId": "confidential", "protocol": "openid-connect", "publicClient": False, "name": "C",
         "description": "d"},
        {"clientId": "public", "publicClient": True, "redirectUris": ["https://b/*", "https://a/*"],
         "webOrigins": ["+"]},
        {"clientId": "no-origins", "redirectUris": ["https://a/*"], "webOrigins": []},
        {"clientId": "bearer-only", "bearerOnly": True},
        {"clientId": "robot", "serviceAccountsEnabled": True, "standardFlowEnabled": False},
        {"clientId": "authorizing", "serviceAccountsEnabled": True, "authorizationServicesEnabled": True},
        {"clientId": "off", "enabled": False, "fullScopeAllowed": False, "consentRequired": True},
        {"clientId": "no-grant", "protocol": "openid-connect", "directAccessGrantsEnabled": False},
        {"clientId": "grant", "directAccessGrantsEnabled": True, "implicitFlowEnabled": True},
        {"clientId": "signed", "clientAuthenticatorType": "client-jwt", "attributes": {"use.jwks.url": "true",
         "jwks.url": "https://signed/keys", "token.endpoint.auth.signing.alg": "ES256"}},
        {"clientId": "urls", "rootUrl": "https://urls", "baseUrl": "/start", "adminUrl": "https://urls/admin"},
        {"clientId": "logout", "protocol": "openid-connect", "frontchannelLogout": True, "attributes": {
         "backchannel.logout.session.required": "false", "post.logout.redirect.uris": "https://a/*##https://b/*"}},
        {"clientId": "mapped", "protocolMappers": [_mapper("b", x="1"), _mapper("a", y="true")]},
        {"clientId": "scoped", "defaultClientScopes": ["profile", SCOPE], "optionalClientScopes": ["email"]},
        {"clientId": "scopeless", "defaultClientScopes": [], "optionalClientScopes": []},
        {"clientId": "flow", "authenticationFlowBindingOverrides": {"browser": flows[FLOW],
                                                                    "direct_grant": flows["direct grant"]}},
        {"clientId": "My_App", "attributes": {"access.token.lifespan": "77"}},
        {"clientId": "my-app", "alwaysDisplayInConsole": True},
        {"clientId": "https://shop.example.com/saml?a=b", "protocol": "saml", "attributes": {
         "saml.client.signature": "false", "saml.encrypt": "false"}},
        {"clientId": "saml", "protocol": "saml", "redirectUris": ["https://saml/*"], "attributes": {
         "saml_name_id_format": "email", "saml_assertion_consumer_url_post": "https://saml/acs"}},
        {"clientId": "saml-mapped", "protocol": "saml", "frontchannelLogout": False, "protocolMappers": [
         {"name": "role list", "protocol": "saml", "protocolMapper": "saml-role-list-mapper",
          "config": {"single": "false", "attribute.name": "Role"}}], "attributes": {"saml.client.signature": "false"}},
        *({"clientId": f"many-{number}", "publicClient": True, "attributes": {"number": str(number)}}
          for number in range(4)),
    ]  # fmt: skip


async def make_scope_and_flow(api: AdminApi, realm: str) -> dict[str, str]:
    """Make what clients of a rich realm name and no resource makes; return the ids of flows by alias."""
    scope = {"name": SCOPE, "protocol": "openid-connect"}
    await api.ask("POST", f"realms/{realm}/client-scopes", scope)
    await api.ask("POST", f"realms/{realm}/authentication/flows/browser/copy", {"newName": FLOW})
    flows = await api.ask("GET", f"realms/{realm}/authentication/flows")
    return {each["alias"]: each["id"] for each in flows}


async def make_rich_realm(api: AdminApi, realm: str) -> None:
    """Make the realm with its clients."""
    await api.ask("POST", "realms", {"realm": realm, **_REALM})
    # Keycloak shows some fields as attributes, too, from the first PUT on: the one of an adoption must add none.
    await api.ask("PUT", f"realms/{realm}", await api.ask("GET", f"realms/{realm}"))
    flows = await make_scope_and_flow(api, realm)
    for client in _clients(flows):
        await api.ask("POST", f"realms/{realm}/clients", client)
    # Attributes that a new client has and this one has not.
    (saml,) = await api.ask("GET", f"realms/{realm}/clients?clientId=saml-mapped")
    gone = dict.fromkeys(("saml.authnstatement", "saml.server.signature"), "")
    saml["attributes"] |= gone
    await api.ask("PUT", f"realms/{realm}/clients/{saml['id']}", saml)


async def snapshot(api: AdminApi, realm: str) -> dict[str, Any]:
    """Return the realm and its clients by clientId, as Keycloak shows them; what has no order in one of its own."""
    clients = await api.ask("GET", f"realms/{realm}/clients?max=1000")
    found = {"realm": await api.ask("GET", f"realms/{realm}")}
    found |= {each["clientId"]: each for each in clients if not is_own(each)}
    return {name: _in_order(each) for name, each in found.items()}


def without_mark(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a snapshot as it is before anything was adopted."""
    result = copy.deepcopy(dict(found))
    for each in result.values():
        each["attributes"].pop(OWNER_ATTRIBUTE, None)
    return result


def comparable(found: Mapping[str, Any], realm: str) -> dict[str, Any]:
    """Return a snapshot of *realm* without what cannot be equal in two realms: ids, times, secrets, and its name."""
    return {name: _comparable(each, realm) for name, each in without_mark(found).items()}


def _comparable(value: Any, realm: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _comparable(each, realm) for key, each in value.items() if key not in _OF_ONE_REALM}
    if isinstance(value, list):
        return [_comparable(each, realm) for each in value]
    return value.replace(realm, "THE REALM") if isinstance(value, str) else value


_OF_ONE_REALM = {
    "id", "containerId", "secret", "client.secret.creation.time", "saml.signing.private.key",
    "authenticationFlowBindingOverrides",
}  # fmt: skip


def _in_order(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(each, key) for key, each in value.items()}
    if isinstance(value, list):
        inner = [_in_order(each) for each in value]
        if name == "protocolMappers":
            return sorted(inner, key=lambda each: str(each["name"]))
        return sorted(inner, key=str) if name in SETS else inner
    return value
