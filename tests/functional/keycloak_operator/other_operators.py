"""The kinds of other operators for Keycloak, as far as their names have to do with Keycloak: facts, and no schemas.

kubectl chooses by these names when it is given one without a group. Of the provider that has a definition for each
thing in Keycloak, some with its category stand for all: none of its kinds has a short name, or `keycloak` in its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

NAME = "theirs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of another operator."""

    group: str
    version: str
    kind: str
    short_names: Sequence[str] = ()
    categories: Sequence[str] = ()
    namespaced: bool = True

    @property
    def singular(self) -> str:
        """Return its name in commands."""
        return self.kind.lower()

    @property
    def plural(self) -> str:
        """Return its name in the API's paths."""
        return f"{self.singular}es" if self.singular.endswith("ch") else f"{self.singular}s"

    @property
    def resource(self) -> str:
        """Return the name by which kubectl takes it for no other."""
        return f"{self.plural}.{self.group}"

    @property
    def names(self) -> set[str]:
        """Return everything that kubectl takes for it, or for it and others."""
        return {self.plural, self.singular, *self.short_names, *self.categories}

    def definition(self) -> dict[str, Any]:
        """Return a custom resource definition that accepts everything."""
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.resource},
            "spec": {
                "group": self.group,
                "names": {
                    "kind": self.kind,
                    "plural": self.plural,
                    "singular": self.singular,
                    "shortNames": list(self.short_names),
                    "categories": list(self.categories),
                },
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "versions": [
                    {"name": self.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
                ],
            },
        }

    def objects(self, namespaces: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield an object for each of *namespaces*, or the only one of a kind that is in none."""
        for namespace in namespaces if self.namespaced else [None]:
            metadata = {"name": NAME} | ({"namespace": namespace} if namespace else {})
            yield {"apiVersion": f"{self.group}/{self.version}", "kind": self.kind, "metadata": metadata}


def _kinds(group: str, version: str, *named: str, categories: Sequence[str] = ()) -> Iterator[Kind]:
    """Yield the kinds of a group; each is named, with its short name behind it if it has one."""
    for each in named:
        kind, *short_names = each.split()
        yield Kind(
            group=group,
            version=version,
            kind=kind,
            short_names=short_names,
            categories=categories,
            namespaced=not kind.startswith("Cluster") and not group.endswith("keycloak.crossplane.io"),
        )


KINDS: Sequence[Kind] = (
    *_kinds("k8s.keycloak.org", "v2beta1", "Keycloak kc", "KeycloakRealmImport"),
    *_kinds("k8s.keycloak.org", "v2alpha1", "KeycloakOIDCClient", "KeycloakSAMLClient"),
    *_kinds(
        "keycloak.org", "v1alpha1", "Keycloak", "KeycloakBackup", "KeycloakClient", "KeycloakRealm", "KeycloakUser"
    ),
    *_kinds("v1.edp.epam.com", "v1alpha1", "ClusterKeycloak", "ClusterKeycloakRealm", "KeycloakOrganization"),
    *_kinds(
        "v1.edp.epam.com",
        "v1",
        "Keycloak",
        "KeycloakAuthFlow",
        "KeycloakClient",
        "KeycloakClientScope",
        "KeycloakRealm",
        "KeycloakRealmComponent",
        "KeycloakRealmGroup",
        "KeycloakRealmIdentityProvider",
        "KeycloakRealmRole",
        "KeycloakRealmRoleBatch",
        "KeycloakRealmUser",
    ),
    *_kinds(
        "keycloak.hostzero.com",
        "v1beta1",
        "ClusterKeycloakInstance ckci",
        "ClusterKeycloakRealm ckcrm",
        "KeycloakAuthenticationFlow kcaf",
        "KeycloakClient kcc",
        "KeycloakClientScope kccs",
        "KeycloakComponent kcco",
        "KeycloakGroup kcg",
        "KeycloakIdentityProvider kcidp",
        "KeycloakIdentityProviderMapper kcidpm",
        "KeycloakInstance kci",
        "KeycloakOrganization kcorg",
        "KeycloakProtocolMapper kcpm",
        "KeycloakRealm kcrm",
        "KeycloakRequiredAction kcra",
        "KeycloakRole kcr",
        "KeycloakRoleMapping kcrmap",
        "KeycloakUser kcu",
        "KeycloakUserCredential kcuc",
        categories=("keycloak", "all"),
    ),
    *_kinds("vriesdemichael.github.io", "v1", "Keycloak kc", "KeycloakClient kcc", "KeycloakRealm kcr"),
    *_kinds("realm.keycloak.crossplane.io", "v1alpha1", "Realm", categories=("crossplane", "managed", "keycloak")),
    *_kinds("realm.keycloak.m.crossplane.io", "v1alpha1", "Realm", categories=("crossplane", "managed", "keycloak")),
    *_kinds(
        "openidclient.keycloak.crossplane.io", "v1alpha2", "Client", categories=("crossplane", "managed", "keycloak")
    ),
    *_kinds(
        "openidclient.keycloak.m.crossplane.io", "v1alpha2", "Client", categories=("crossplane", "managed", "keycloak")
    ),
)
