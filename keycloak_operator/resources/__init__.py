"""The three kinds of ``keycloak.vriesdemichael.github.io/v1alpha1``, and their conditions.

::

    a body from the API server ──parse──> spec, status ──reconcile──> changes_from ──> a patch of the status

Knows neither Kopf nor Kubernetes nor Keycloak: documents in, values out. The custom resource definitions are made from
the same models by `keycloak_operator.resources.crds`.
"""

from __future__ import annotations

from keycloak_operator.resources.base import (
    API_VERSION,
    GROUP,
    MEMORY_LIMIT,
    OWNER_ATTRIBUTE,
    VERSION,
    ManagedSpec,
    ManagedStatus,
    ObjectKey,
    Resource,
    Status,
)
from keycloak_operator.resources.client import ClientSpec, ClientStatus, KeycloakClient, OutputSecret
from keycloak_operator.resources.client_representation import BUILT_IN, FLOWS, ClientRepresentation
from keycloak_operator.resources.conditions import (
    REASONS,
    Condition,
    ConditionStatus,
    Reason,
    condition,
    with_condition,
)
from keycloak_operator.resources.connection import (
    MASTER,
    Admin,
    AllowedNamespace,
    ConnectionSpec,
    ConnectionStatus,
    Grant,
    KeycloakConnection,
)
from keycloak_operator.resources.errors import InvalidSpec, Problem
from keycloak_operator.resources.realm import KeycloakRealm, RealmSpec, RealmStatus
from keycloak_operator.resources.realm_representation import RealmRepresentation
from keycloak_operator.resources.references import CaSecretRef, ObjectRef, SecretKeyRef, SecretVersion
from keycloak_operator.resources.rules import MASK

__all__ = [
    "API_VERSION",
    "BUILT_IN",
    "FLOWS",
    "GROUP",
    "MASK",
    "MASTER",
    "MEMORY_LIMIT",
    "OWNER_ATTRIBUTE",
    "REASONS",
    "VERSION",
    "Admin",
    "AllowedNamespace",
    "CaSecretRef",
    "ClientRepresentation",
    "ClientSpec",
    "ClientStatus",
    "Condition",
    "ConditionStatus",
    "ConnectionSpec",
    "ConnectionStatus",
    "Grant",
    "InvalidSpec",
    "KeycloakClient",
    "KeycloakConnection",
    "KeycloakRealm",
    "ManagedSpec",
    "ManagedStatus",
    "ObjectKey",
    "ObjectRef",
    "OutputSecret",
    "Problem",
    "RealmRepresentation",
    "RealmSpec",
    "RealmStatus",
    "Reason",
    "Resource",
    "SecretKeyRef",
    "SecretVersion",
    "Status",
    "condition",
    "with_condition",
]
