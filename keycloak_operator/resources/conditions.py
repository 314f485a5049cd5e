"""Conditions, shaped as Kubernetes' own ``metav1.Condition``.

``Ready`` is the contract: ``kubectl wait --for=condition=Ready``. Why it is so is one word of `REASONS`, and how to go
on is in the message. There is no phase.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

ConditionType: TypeAlias = Literal["Ready"]
ConditionStatus: TypeAlias = Literal["True", "False", "Unknown"]

Reason: TypeAlias = Literal[
    "Synced",  # the only one with status True
    "Paused",
    "OutOfSync",
    "Waiting",
    "NamespaceNotAllowed",
    "NotFound",
    "NameConflict",
    "InvalidSpec",
    "RejectedByKeycloak",
    "SecretNotFound",
    "SecretConflict",
    "KeycloakUnavailable",
    "AuthenticationFailed",
    "Forbidden",
    "NotConverged",
    "InternalError",
    "Deleting",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

#: Characters; a message is read in a terminal, and what Keycloak answers may be a whole page.
MESSAGE_LIMIT = 1024


def _bounded(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Kubernetes keeps whole seconds: with more, what was written would differ from what is read back.
_Moment = Annotated[
    AwareDatetime, AfterValidator(lambda moment: moment.replace(microsecond=0)), PlainSerializer(_rfc3339, str)
]

#: Of everything in a status: made here by Python's names, read by Kubernetes' names, and open to later versions.
STATUS_CONFIG = ConfigDict(
    alias_generator=to_camel,
    validate_by_name=True,
    validate_by_alias=True,
    extra="ignore",
    frozen=True,
    use_attribute_docstrings=True,
)


class Condition(BaseModel):
    """One aspect of the state of the resource."""

    model_config = STATUS_CONFIG

    type: Annotated[str, Field(max_length=316)]
    """Which aspect this is."""
    status: ConditionStatus
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one word, for programs."""
    message: Annotated[str, AfterValidator(_bounded), Field(json_schema_extra={"maxLength": 32768})]
    """Why, and what to do about it, for people."""
    last_transition_time: _Moment
    """When the status last became what it is."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the resource that this speaks about."""


def condition(
    status: ConditionStatus,
    reason: Reason,
    message: str,
    *,
    generation: int,
    now: datetime,
    kind: ConditionType = "Ready",
) -> Condition:
    """Return a condition as of *now*; a message longer than `MESSAGE_LIMIT` is cut."""
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=now,
        observed_generation=generation,
    )


def with_condition(conditions: Iterable[Condition], new: Condition) -> tuple[Condition, ...]:
    """Return *conditions* with *new* in the place of the one of its type, or at the end.

    The time of the last transition moves only when the status does. So where nothing but the time is new the result
    equals what was given, and there is nothing to write.
    """
    before = tuple(conditions)
    old = next((each for each in before if each.type == new.type), None)
    if old is None:
        return (*before, new)
    if old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(new if each.type == new.type else each for each in before)
