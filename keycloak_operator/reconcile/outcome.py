"""What a reconcile function returns when all is well; when it is not, it raises an `OperatorError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from keycloak_operator.errors import OperatorError
from keycloak_operator.reconcile.ports import Cluster, Keycloaks


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something worth telling people: shown by ``kubectl describe``."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The resource is as declared: what its status shows beside the conditions, and what was done to get there."""

    status: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    #: What the condition Ready says.
    message: str = "as declared"

    def tell(self, reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal") -> None:
        """Add an event."""
        self.events.append(Event(reason=reason, message=message, type=kind))

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let an error on the way take along what was done, and what was found out, before it."""
        try:
            yield
        except OperatorError as error:
            error.done = tuple(self.events)
            error.status = {**self.status, **error.status}
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside that reconciling needs; `operator_id` goes into the owner marker."""

    cluster: Cluster
    keycloaks: Keycloaks
    operator_id: str
