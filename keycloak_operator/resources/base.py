"""What the three kinds have in common: how they are read, what a status can do, and how a kind is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from keycloak_operator.resources.conditions import STATUS_CONFIG, Condition
from keycloak_operator.resources.errors import InvalidSpec
from keycloak_operator.resources.rules import Rule

GROUP = "keycloak.vriesdemichael.github.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
#: The attribute of a realm or a client in Keycloak that says whose it is; no resource may declare one of this name.
OWNER_ATTRIBUTE = f"{GROUP}/owner"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``; above priority 0 it is shown with ``-o wide`` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
REASON = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason')
AGE = Column("Age", ".metadata.creationTimestamp", type="date")


@dataclass(frozen=True, slots=True)
class Definition:
    """The names of a kind, and its columns."""

    kind: str
    plural: str
    short_name: str
    columns: tuple[Column, ...]

    @property
    def singular(self) -> str:
        return self.kind.lower()


class ObjectKey(NamedTuple):
    """Where an object is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Part(BaseModel):
    """A part of a spec: closed, so that a field that would do nothing is an error and not a silent hope."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, use_attribute_docstrings=True)


class Status(BaseModel):
    """What the operator reports; fields that it does not know are left alone."""

    model_config = STATUS_CONFIG

    observed_generation: int | None = Field(default=None, ge=0)
    """The generation of the spec that was last carried out completely."""
    conditions: tuple[Condition, ...] = Field(
        default_factory=tuple,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """The state of the resource: `Ready` is True when Keycloak is as the spec says."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Return the status in *body*, whatever its spec is like; one that cannot be read counts as none."""
        try:
            return cls.model_validate_json(_json(body.get("status") or {}), strict=True)
        except ValidationError:
            return cls()

    def condition(self, kind: str = "Ready") -> Condition | None:
        """Return the condition of type *kind*, if there is one."""
        return next((each for each in self.conditions if each.type == kind), None)

    def changes_from(self, old: Status) -> dict[str, Any]:
        """Return the merge patch that makes this of *old*: empty when they are equal, None for what has to go."""
        before, after = _document(old), _document(self)
        return {key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)}


def _document(status: Status) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _json(document: Mapping[str, Any]) -> str:
    """Return *document* as what it is, so that no value is taken for one of another type; views are no obstacle."""
    return json.dumps(dict(document), default=dict)


class ManagedSpec(Part):
    """What the specs of realms and clients have in common."""

    mode: Literal["Enforce", "Observe", "Paused"] = "Enforce"
    """What is done when Keycloak differs: Enforce writes what is declared, Observe writes nothing and lists the
    differences in the status, Paused does not even look."""
    removal: Literal["Remove", "Keep"] = "Remove"
    """What becomes of a field that an earlier version of this spec declared and this one does not: Remove takes it out
    of Keycloak, or puts Keycloak's default back; Keep leaves it as it is."""
    adopt: bool = False
    """Whether to take over what exists already and is not managed by another resource. From another namespace than that
    of the KeycloakConnection, its spec.allowedNamespaces has to allow it, too."""


#: Characters of the memory of declared fields, 8 for each of them.
MEMORY_LIMIT = 8 * 16384


class ManagedStatus(Status):
    """What the statuses of realms and clients have in common."""

    issuer: str | None = None
    """URL of the realm, which its tokens have for an issuer."""
    differences: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64)] = Field(
        default_factory=tuple
    )
    """Fields that differ in Keycloak, where they are only observed; the first ones, if there are many."""
    declared: Annotated[str, Field(max_length=MEMORY_LIMIT)] | None = None
    """Digests of the fields that were declared last, from which the operator tells what has left the spec."""
    attempted: Annotated[str, Field(max_length=64)] | None = None
    """Digest of the spec and of what Keycloak made of it, while the two differ. The operator writes again when either
    one changes."""


class Metadata(BaseModel):
    """What the operator wants to know of an object's metadata."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    name: str
    namespace: str
    uid: str
    generation: int
    deletion_timestamp: AwareDatetime | None = None


class Resource(BaseModel):
    """A custom resource as the API server gives it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, use_attribute_docstrings=True)

    definition: ClassVar[Definition]
    #: Rules about the resource as a whole: its name is visible nowhere else.
    rules: ClassVar[tuple[Rule, ...]] = ()
    metadata: Metadata

    @model_validator(mode="after")
    def _follows_the_rules(self) -> Self:
        for rule in self.rules:
            rule.check(self)
        return self

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Return the resource that *body* describes; raise `InvalidSpec` that names everything wrong with it.

        A field of the status that cannot be read counts as none: it can be found out again, and must not stand in the
        way of that.
        """
        try:
            return cls.model_validate_json(_json(body), strict=True)
        except ValidationError as error:
            if unreadable := {detail["loc"][1:2] for detail in error.errors() if detail["loc"][:1] == ("status",)}:
                status = {} if () in unreadable else dict(body["status"])
                readable = {key: value for key, value in status.items() if (key,) not in unreadable}
                return cls.parse({**body, "status": readable if readable != status else {}})
            raise InvalidSpec.from_validation(error) from None

    @property
    def key(self) -> ObjectKey:
        """Where this resource is."""
        return ObjectKey(self.metadata.namespace, self.metadata.name)

    @property
    def terminating_since(self) -> datetime | None:
        """When its deletion was asked for, if it was."""
        return self.metadata.deletion_timestamp
