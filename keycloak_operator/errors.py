"""Why a resource is not Ready, as one tree.

::

    OperatorError                     reason      tried again
    ├── WaitingError                  Waiting               soon: what it needs is not there yet
    │   └── ClusterError              Waiting               with growing delays: the Kubernetes API refused
    ├── PausedError                   Paused                when the spec changes
    ├── OutOfSyncError                OutOfSync             at the next resync: it is only observed
    ├── NotFoundError                 NotFound              soon
    ├── KeycloakUnavailableError      KeycloakUnavailable   with growing delays, not before its Retry-After
    ├── AuthenticationFailedError     AuthenticationFailed  no faster than once a minute: Keycloak locks accounts
    ├── ForbiddenError                Forbidden             with growing delays
    ├── SecretNotFoundError           SecretNotFound        soon
    ├── SecretConflictError           SecretConflict        at the next resync
    ├── NamespaceNotAllowedError      NamespaceNotAllowed   at the next resync
    ├── NameConflictError             NameConflict          at the next resync
    ├── InvalidSpecError              InvalidSpec           when the spec changes
    ├── RejectedByKeycloakError       RejectedByKeycloak    at the next resync
    ├── NotConvergedError             NotConverged          at the next resync
    └── InternalError                 InternalError         with growing delays: the operator did not expect it

`reason` is what the Ready condition shows; the message says what was expected, what was found, and what to do. Values
of Secrets are never in a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

#: soon: seconds · backoff: 5 to 60 seconds · minute · resync: the next resync · never: when the spec changes
Retry = Literal["soon", "backoff", "minute", "resync", "never"]


class OperatorError(Exception):
    """The base: nothing else is raised on purpose.

    `done` are the events of what was done before it: they happened all the same, and no later pass knows of them.
    `status` are the fields of the resource's status that are known nevertheless.
    `retry_after` are the seconds for which trying again is of no use, where that is known.
    """

    reason: ClassVar[str]
    retry: ClassVar[Retry] = "resync"
    #: The status of the condition Ready; Unknown where it was not looked.
    ready: ClassVar[Literal["False", "Unknown"]] = "False"
    #: Whether it is a problem, and not what was asked for.
    warns: ClassVar[bool] = True
    done: tuple[Any, ...] = ()
    status: Mapping[str, Any] = MappingProxyType({})
    retry_after: float | None = None


class WaitingError(OperatorError):
    """Something this resource depends on is not ready yet."""

    reason = "Waiting"
    retry: ClassVar[Retry] = "soon"


class ClusterError(WaitingError):
    """The Kubernetes API did not do what was asked."""

    retry = "backoff"


class PausedError(OperatorError):
    """The spec asks to leave the resource alone."""

    reason = "Paused"
    retry = "never"
    ready = "Unknown"
    warns = False


class OutOfSyncError(OperatorError):
    """Keycloak differs from the spec, which asks to observe and to write nothing."""

    reason = "OutOfSync"
    warns = False


class NotFoundError(OperatorError):
    """A resource that this one refers to does not exist."""

    reason = "NotFound"
    retry = "soon"


class KeycloakUnavailableError(OperatorError):
    """Keycloak does not answer, or says that it cannot right now, and for how many seconds it will not."""

    reason = "KeycloakUnavailable"
    retry = "backoff"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AuthenticationFailedError(OperatorError):
    """Keycloak does not accept the operator's credentials."""

    reason = "AuthenticationFailed"
    retry = "minute"


class ForbiddenError(OperatorError):
    """The operator's account lacks a role."""

    reason = "Forbidden"
    retry = "backoff"


class SecretNotFoundError(OperatorError):
    """A Secret, or a key in it, does not exist."""

    reason = "SecretNotFound"
    retry = "soon"


class SecretConflictError(OperatorError):
    """The output Secret's name is taken by a Secret that this resource does not own."""

    reason = "SecretConflict"


class NamespaceNotAllowedError(OperatorError):
    """The connection or the realm does not let this namespace do what its resource asks for."""

    reason = "NamespaceNotAllowed"


class NameConflictError(OperatorError):
    """The realm or client exists and is not this resource's."""

    reason = "NameConflict"


class InvalidSpecError(OperatorError):
    """The spec says what cannot be, and the API server could not see it."""

    reason = "InvalidSpec"
    retry = "never"


class RejectedByKeycloakError(OperatorError):
    """Keycloak understood the request and refused it."""

    reason = "RejectedByKeycloak"


class NotConvergedError(OperatorError):
    """Keycloak accepted a change and shows something else."""

    reason = "NotConverged"


class InternalError(OperatorError):
    """The operator met what it did not expect; its log has the traceback."""

    reason = "InternalError"
    retry = "backoff"
