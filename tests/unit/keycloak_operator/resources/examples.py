"""Specs that fit and specs that do not, for both who judge them: the API server, and the operator."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keycloak_operator.resources import (
    API_VERSION,
    MASK,
    OWNER_ATTRIBUTE,
    KeycloakClient,
    KeycloakConnection,
    KeycloakRealm,
    Resource,
)
from keycloak_operator.resources.read_only import MIRRORED

#: In place of a value: the field goes.
ABSENT = object()

#: With -credentials behind it, it is as long as the name of a Secret may be.
LONGEST_NAME = 241 * "n"

VALID: Mapping[type[Resource], Mapping[str, Any]] = {
    KeycloakConnection: {
        "url": "https://keycloak.example.com/auth",
        "caSecret": {"name": "authority"},
        "admin": {"secret": "administrator"},
        "allowedNamespaces": [
            {"namespace": "team-a", "allowedRealms": ["team-a", "team-a-*"], "adopt": True, "builtInClients": True},
            {"namespace": "*"},
        ],
    },
    KeycloakRealm: {
        "connectionRef": {"name": "main", "namespace": "identity"},
        "realm": {
            "realm": "Shop_1.~-",
            "displayName": "Shop",
            "sslRequired": "external",
            "failureFactor": 5,
            "supportedLocales": [],
            "smtpServer": {"host": "mail", "port": "25"},
            "attributes": {"frontendUrl": "https://shop.example.com", "empty": ""},
            "somethingNew": {"deep": [1, {"deeper": True}, "text"]},
        },
        "smtpPasswordSecret": {"name": "mail", "key": "password"},
    },
    KeycloakClient: {
        "realmRef": {"name": "shop"},
        "client": {
            "clientId": "https://shop.example.com/saml?a=b",
            "publicClient": False,
            "serviceAccountsEnabled": True,
            "redirectUris": ["https://shop.example.com/*"],
            "protocolMappers": [{"name": "who", "config": {"claim.name": "who"}, "somethingNew": [2]}],
            "authenticationFlowBindingOverrides": {"browser": "some-id"},
        },
        "clientSecretRef": {"name": "shop", "key": "secret"},
        "outputSecret": {"labels": {"app": "shop"}, "annotations": {"note": "any text"}},
    },
}
DEFAULTS: Mapping[type[Resource], Mapping[str, Any]] = {
    KeycloakConnection: {"spec.caSecret.key": "ca.crt", "spec.admin.loginRealm": "master"},
    KeycloakRealm: {
        "spec.mode": "Enforce",
        "spec.removal": "Remove",
        "spec.adopt": False,
        "spec.deletionPolicy": "Retain",
        "spec.allowedNamespaces": [],
    },
    KeycloakClient: {
        "spec.mode": "Enforce",
        "spec.removal": "Remove",
        "spec.adopt": False,
        "spec.deletionPolicy": "Delete",
    },
}


@dataclass(frozen=True)
class Refusal:
    """Changes of a valid document, the field that is to blame, and, if a rule refuses it, the rule's words."""

    kind: type[Resource]
    changes: Mapping[str, Any]
    blamed: str
    says: str = ""
    id: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        return f"{self.kind.definition.short_name}-{self.id or self.blamed.removeprefix('spec.')}"


#: What a RealmRepresentation can hold and a KeycloakRealm cannot, by what is said about it.
UNDECLARABLE: Mapping[str, Mapping[str, Any]] = {
    "is not managed by this operator, and ignored by Keycloak in a realm; leave it out": {
        "users": [{"username": "u", "enabled": True}],
        "federatedUsers": [{"id": "f:1:u", "realmRoles": ["offline_access"]}],
        "groups": [{"name": "g"}],
        "roles": {"realm": [{"name": "r"}]},
        "identityProviders": [{"alias": "i", "providerId": "oidc"}],
        "identityProviderMappers": [{"name": "m", "identityProviderAlias": "i", "identityProviderMapper": "h"}],
        "components": {"org.keycloak.keys.KeyProvider": [{"name": "k", "providerId": "rsa-generated", "config": {}}]},
        "authenticationFlows": [{"alias": "f", "providerId": "basic-flow", "topLevel": True, "builtIn": False}],
        "authenticatorConfig": [{"alias": "c", "config": {}}],
        "requiredActions": [{"alias": "CONFIGURE_TOTP", "name": "n", "providerId": "CONFIGURE_TOTP", "enabled": False}],
        "clientScopes": [{"name": "s", "protocol": "openid-connect"}],
        "defaultDefaultClientScopes": ["email"],
        "defaultOptionalClientScopes": [],
        "scopeMappings": [{"clientScope": "offline_access", "roles": ["uma_authorization"]}],
        "clientScopeMappings": {"account": [{"client": "account-console", "roles": ["view-profile"]}]},
        "organizations": [{"name": "o", "domains": [{"name": "example.com"}]}],
        "localizationTexts": {"de": {"key": "text"}},
    },
    "of former versions, and Keycloak ignores or refuses it": {
        "userFederationProviders": [{"displayName": "l", "providerName": "ldap", "config": {}}],
        "userFederationMappers": [{"name": "l", "federationProviderDisplayName": "l", "federationMapperType": "x"}],
        "applications": [{"name": "a"}],
        "oauthClients": [{"name": "o"}],
        "clientTemplates": [{"name": "t"}],
        "applicationScopeMappings": {"account": [{"client": "account-console", "roles": ["view-profile"]}]},
        "social": True,
        "socialProviders": {"a.key": "b"},
        "updateProfileOnInitialSocialLogin": True,
        "passwordCredentialGrantAllowed": True,
        "userCacheEnabled": False,
        "realmCacheEnabled": False,
    },
    "Keycloak keeps keys as components": {
        "privateKey": "hidden",
        "publicKey": "key",
        "certificate": "key",
        "codeSecret": "hidden",
    },
    "by the composites of the role default-roles-<realm>": {"defaultRoles": ["user"]},
    "use client.protocolMappers of a KeycloakClient": {
        "protocolMappers": [
            {"name": "m", "protocol": "openid-connect", "protocolMapper": "oidc-hardcoded-claim-mapper"}
        ],
    },
    "use KeycloakClient": {"clients": [{"clientId": "a"}]},
}
_NEEDS = "needs adopt: true and deletionPolicy: Retain"
_RELATIVE = "cannot be a relative path"

REFUSALS = (
    Refusal(KeycloakConnection, {"spec": ABSENT}, "spec"),
    Refusal(KeycloakConnection, {"spec.url": ABSENT}, "spec.url", id="no-url"),
    Refusal(KeycloakConnection, {"spec.url": "keycloak"}, "spec.url", id="no-scheme"),
    Refusal(KeycloakConnection, {"spec.url": "https://k?a=b"}, "spec.url", id="query"),
    Refusal(KeycloakConnection, {"spec.url": "https://k/"}, "spec.url", "must not end with a slash", id="slash"),
    Refusal(KeycloakConnection, {"spec.url": "https://a:b@k"}, "spec.url", "must not hold credentials", id="at"),
    Refusal(KeycloakConnection, {"spec.url": "http://" + 2048 * "k"}, "spec.url", id="long"),
    Refusal(KeycloakConnection, {"spec.caSecret.key": "a/b"}, "spec.caSecret.key"),
    Refusal(KeycloakConnection, {"spec.admin": ABSENT}, "spec.admin"),
    Refusal(KeycloakConnection, {"spec.admin.secret": "No Name"}, "spec.admin.secret"),
    Refusal(
        KeycloakConnection,
        {"spec.allowedNamespaces": [{"namespace": "fine"}, {"namespace": "team-*"}]},
        "spec.allowedNamespaces[1].namespace",
    ),
    Refusal(
        KeycloakConnection,
        {"spec.allowedNamespaces": [{"namespace": f"n{number}"} for number in range(257)]},
        "spec.allowedNamespaces",
        id="many",
    ),
    Refusal(
        KeycloakConnection,
        {"spec.allowedNamespaces": [{"namespace": "fine", "allowedRealms": ["a b"]}]},
        "spec.allowedNamespaces[0].allowedRealms[0]",
    ),
    Refusal(KeycloakConnection, {"spec.admin.loginRealm": "a/b"}, "spec.admin.loginRealm", id="bad-login-realm"),
    Refusal(KeycloakConnection, {"spec.admin.loginRealm": ".."}, "spec.admin.loginRealm", _RELATIVE, id="login-realm"),
    Refusal(KeycloakRealm, {"spec.connectionRef": ABSENT}, "spec.connectionRef"),
    Refusal(KeycloakRealm, {"spec.connectionRef.name": "a..b"}, "spec.connectionRef.name"),
    Refusal(KeycloakRealm, {"spec.connectionRef.namespace": "a.b"}, "spec.connectionRef.namespace"),
    Refusal(KeycloakRealm, {"spec.realm.realm": ABSENT}, "spec.realm.realm", id="no-name"),
    Refusal(KeycloakRealm, {"spec.realm.realm": "a/b"}, "spec.realm.realm", id="bad-name"),
    Refusal(KeycloakRealm, {"spec.realm.realm": ".."}, "spec.realm.realm", _RELATIVE, id="relative"),
    Refusal(KeycloakRealm, {"spec.realm.realm": "."}, "spec.realm.realm", _RELATIVE, id="relative-here"),
    Refusal(KeycloakRealm, {"spec.realm.sslRequired": "EXTERNAL"}, "spec.realm.sslRequired"),
    Refusal(KeycloakRealm, {"spec.realm.failureFactor": "5"}, "spec.realm.failureFactor", id="text"),
    Refusal(KeycloakRealm, {"spec.realm.failureFactor": -1}, "spec.realm.failureFactor", id="negative"),
    Refusal(KeycloakRealm, {"spec.realm.accessTokenLifespan": 2**31}, "spec.realm.accessTokenLifespan"),
    Refusal(KeycloakRealm, {"spec.realm.smtpServer.port": 25}, "spec.realm.smtpServer.port"),
    Refusal(
        KeycloakRealm,
        {"spec.realm.smtpServer.password": "hidden"},
        "spec.realm.smtpServer",
        "must not hold the password; use spec.smtpPasswordSecret",
    ),
    Refusal(
        KeycloakRealm,
        {"spec.realm.attributes": {OWNER_ATTRIBUTE: "me"}},
        "spec.realm.attributes",
        "the attribute is the operator's own mark",
    ),
    Refusal(
        KeycloakRealm,
        {"spec.realm.smtpServer.authTokenClientSecret": "hidden"},
        "spec.realm.smtpServer",
        "must not hold authTokenClientSecret",
        id="mail-token",
    ),
    Refusal(
        KeycloakRealm,
        {"spec.realm.defaultRole": {"name": "users"}},
        "spec.realm.defaultRole",
        "Keycloak ignores another default role than the realm's own",
    ),
    *(
        Refusal(
            KeycloakRealm,
            {"spec.realm.attributes": {attribute: "1"}},
            "spec.realm.attributes",
            f"the attribute {attribute} shows the field {field}",
            id=attribute,
        )
        for attribute, field in MIRRORED.items()
    ),
    *(
        Refusal(KeycloakRealm, {f"spec.realm.{name}": value}, f"spec.realm.{name}", says)
        for says, fields in UNDECLARABLE.items()
        for name, value in fields.items()
    ),
    Refusal(
        KeycloakRealm,
        {"spec.realm.smtpServer": ABSENT},
        "spec.smtpPasswordSecret",
        "smtpPasswordSecret needs realm.smtpServer",
    ),
    Refusal(KeycloakRealm, {"spec.smtpPasswordSecret.key": ABSENT}, "spec.smtpPasswordSecret.key"),
    Refusal(KeycloakRealm, {"spec.realm.realm": "master"}, "spec.realm.realm", _NEEDS, id="master"),
    Refusal(
        KeycloakRealm,
        {"spec.realm.realm": "master", "spec.adopt": True, "spec.deletionPolicy": "Delete"},
        "spec.realm.realm",
        _NEEDS,
        id="master-delete",
    ),
    Refusal(KeycloakRealm, {"spec.deletionPolicy": "Orphan"}, "spec.deletionPolicy"),
    Refusal(KeycloakRealm, {"spec.mode": "Watch"}, "spec.mode"),
    Refusal(KeycloakClient, {"spec.removal": "Prune"}, "spec.removal"),
    Refusal(KeycloakClient, {"spec.realmRef": ABSENT}, "spec.realmRef"),
    Refusal(KeycloakClient, {"spec.client.clientId": ABSENT}, "spec.client.clientId", id="no-id"),
    Refusal(KeycloakClient, {"spec.client.clientId": ""}, "spec.client.clientId", id="empty-id"),
    Refusal(KeycloakClient, {"spec.client.clientId": 256 * "c"}, "spec.client.clientId", id="long-id"),
    Refusal(KeycloakClient, {"spec.client.protocol": "oidc"}, "spec.client.protocol"),
    Refusal(KeycloakClient, {"spec.client.redirectUris": "*"}, "spec.client.redirectUris"),
    Refusal(KeycloakClient, {"spec.client.protocolMappers": [{}]}, "spec.client.protocolMappers[0].name"),
    Refusal(KeycloakClient, {"spec.client.secret": "hidden"}, "spec.client.secret", "use spec.clientSecretRef"),
    Refusal(KeycloakClient, {"spec.client.attributes": {OWNER_ATTRIBUTE: ""}}, "spec.client.attributes", "own mark"),
    Refusal(
        KeycloakClient,
        {"spec.client.publicClient": True, "spec.clientSecretRef": ABSENT},
        "spec.client.serviceAccountsEnabled",
        "publicClient excludes serviceAccountsEnabled",
        id="public-account",
    ),
    Refusal(
        KeycloakClient,
        {"spec.client.publicClient": True, "spec.client.serviceAccountsEnabled": False},
        "spec.clientSecretRef",
        "publicClient excludes clientSecretRef",
        id="public-secret",
    ),
    Refusal(KeycloakClient, {"spec.client.clientId": "broker"}, "spec.client.clientId", _NEEDS, id="built-in"),
    Refusal(
        KeycloakClient,
        {"spec.client.clientId": "admin-cli", "spec.adopt": True},  # deleted by default
        "spec.client.clientId",
        _NEEDS,
        id="built-in-delete",
    ),
    Refusal(KeycloakClient, {"spec.outputSecret.labels.app": "a b"}, "spec.outputSecret.labels.app"),
    *(
        Refusal(KeycloakClient, {"spec.client.attributes": {name: "hidden"}}, "spec.client.attributes", says, id=name)
        for name, says in (
            ("saml.signing.private.key", "a private key has no place here"),
            ("saml.encryption.private.key", "a private key has no place here"),
            ("jwt.credential.private.key", "a private key has no place here"),
            ("client.secret.rotated", "a secret has no place here"),
        )
    ),
    *(
        Refusal(KeycloakClient, {f"spec.client.{name}": value}, f"spec.client.{name}", says)
        for name, value, says in (
            ("registrationAccessToken", "hidden", "a token has no place here"),
            ("authorizationSettings", {}, "resources, scopes and policies of authorization are not managed"),
            ("defaultRoles", [], "of former versions"),
            ("directGrantsOnly", True, "of former versions"),
            ("clientTemplate", "a", "of former versions"),
            ("useTemplateConfig", True, "of former versions"),
            ("useTemplateScope", True, "of former versions"),
            ("useTemplateMappers", True, "of former versions"),
        )
    ),
    Refusal(
        KeycloakClient,
        {"spec.client.defaultClientScopes": ["a", "b"], "spec.client.optionalClientScopes": ["c", "b"]},
        "spec.client.optionalClientScopes",
        "is one of defaultClientScopes or of optionalClientScopes, not of both",
        id="scope-of-both-kinds",
    ),
    Refusal(KeycloakClient, {"metadata.name": LONGEST_NAME + "n"}, "metadata.name", "choose a shorter name"),
)
#: Near what a rule refuses, but not that; with what Keycloak shows, as it is pasted.
ACCEPTED: tuple[tuple[type[Resource], Mapping[str, Any]], ...] = (
    (KeycloakConnection, {"spec.allowedNamespaces": ABSENT, "spec.url": "http://127.0.0.1:8080"}),
    (KeycloakRealm, {"spec.realm.realm": "master", "spec.adopt": True}),
    (KeycloakRealm, {"spec.realm": {"realm": "..."}, "spec.smtpPasswordSecret": ABSENT}),
    (KeycloakClient, {"spec.client.publicClient": True, "spec.client.serviceAccountsEnabled": False,
                      "spec.clientSecretRef": ABSENT}),
    (KeycloakClient, {"spec.client": {"clientId": "account"}, "spec.adopt": True, "spec.deletionPolicy": "Retain"}),
    (KeycloakRealm, {"spec.realm.smtpServer.password": MASK, "spec.realm.smtpServer.authTokenClientSecret": MASK,
                     "spec.realm.defaultRole": {"id": "some-id", "name": "default-roles-shop_1.~-", "composite": True},
                     "spec.realm.id": "some-id", "spec.realm.keycloakVersion": "26.5.5",
                     "spec.realm.oauth2DeviceCodeLifespan": 600,
                     "spec.realm.attributes": {"oauth2DeviceCodeLifespan": "600"}}),
    (KeycloakClient, {"spec.client.secret": MASK, "spec.client.attributes": {"saml.signing.private.key": MASK},
                      "spec.client.id": "some-id", "spec.client.access": {"view": True},
                      "spec.client.redirectUris": ["https://a/*", "https://a/*"]}),
    (KeycloakClient, {"spec.client.defaultClientScopes": ["a", "b"], "spec.client.optionalClientScopes": ["c"]}),
    (KeycloakClient, {"spec.client.defaultClientScopes": [f"{number:x>255}" for number in range(256)],
                      "spec.client.optionalClientScopes": [f"{number:y>255}" for number in range(256)]}),
    (KeycloakClient, {"metadata.name": LONGEST_NAME}),
    (KeycloakClient, {"metadata.name": LONGEST_NAME + 12 * "n", "spec.outputSecret.name": "short"}),
    (KeycloakClient, {"metadata.name": LONGEST_NAME + 12 * "n", "spec.client.bearerOnly": True}),
    (KeycloakClient, {"metadata.name": LONGEST_NAME + 12 * "n", "spec.client.publicClient": True,
                      "spec.client.serviceAccountsEnabled": False, "spec.clientSecretRef": ABSENT}),
)  # fmt: skip


def document(kind: type[Resource], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a valid document of *kind* with *changes*, by path; the metadata is that of a stored one."""
    body: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": kind.definition.kind,
        "metadata": {"name": "example", "namespace": "here", "uid": "some-uid", "generation": 3, "managedFields": []},
        "spec": copy.deepcopy(dict(VALID[kind])),
    }
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        inner = body
        for parent in parents:
            inner = inner.setdefault(parent, {})
        if value is ABSENT:
            del inner[last]
        else:
            inner[last] = value
    return body


def at(body: Mapping[str, Any], path: str) -> Any:
    """Return what is at *path*; KeyError if there is nothing."""
    value: Any = body
    for step in path.split("."):
        value = value[step]
    return value
