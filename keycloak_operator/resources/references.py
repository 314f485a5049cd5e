"""How one object names another: Secrets of its own namespace, and resources that may live in another one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, Field

from keycloak_operator.resources.base import ObjectKey, Part
from keycloak_operator.resources.conditions import STATUS_CONFIG

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

Name = Annotated[str, Field(max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
Namespace = Annotated[str, Field(max_length=63, pattern=rf"^{_LABEL}$")]
DataKey = Annotated[str, Field(max_length=253, pattern="^[-._a-zA-Z0-9]+$")]

NamespaceOrAll = Annotated[str, Field(max_length=63, pattern=rf"^(\*|{_LABEL})$")]
Namespaces = Annotated[
    tuple[NamespaceOrAll, ...],
    Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


class ObjectRef(Part):
    """Another resource of this API."""

    name: Name
    """Name of the resource."""
    namespace: Namespace | None = None
    """Namespace of the resource; by default the one that this resource is in. It has to allow this one."""

    def key(self, own_namespace: str) -> ObjectKey:
        """Return where the object is, as seen from *own_namespace*."""
        return ObjectKey(self.namespace or own_namespace, self.name)


class SecretKeyRef(Part):
    """One entry of a Secret in the namespace of this resource."""

    name: Name
    """Name of the Secret."""
    key: DataKey
    """Key below the Secret's data."""


class CaSecretRef(Part):
    """The entry of a Secret, in the namespace of this resource, that holds certificates to trust."""

    name: Name
    """Name of the Secret."""
    key: DataKey = "ca.crt"
    """Key below the Secret's data, whose value is one or more certificates in PEM form."""


def allows(allowed: Collection[str], own: str, asking: str) -> bool:
    """Return whether a resource in namespace *own* that lists *allowed* may be used from namespace *asking*."""
    return asking == own or "*" in allowed or asking in allowed


class SecretVersion(BaseModel):
    """The version of a Secret."""

    model_config = STATUS_CONFIG

    name: Annotated[str, Field(max_length=253)]
    """Name of the Secret."""
    resource_version: Annotated[str, Field(max_length=64)]
    """Its metadata.resourceVersion."""


SecretVersions = Annotated[
    tuple[SecretVersion, ...],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
]
