"""Why a resource is not Ready, as one tree.

::

    OperatorError                     reason      tried again
    ├── WaitingError                  Waiting               soon: what it needs is not there yet
    │   └── ClusterError              Waiting               with growing delays: the Kubernetes API refused
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
    └── NotConvergedError             NotConverged          at the next resync

`reason` is what the Ready condition shows; the message says what was expected, what was found, and what to do. Values
of Secrets are never in a message.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

#: soon: seconds · backoff: 5 to 60 seconds · minute · resync: the next resync · never: when the spec changes
Retry = Literal["soon", "backoff", "minute", "resync", "never"]


class OperatorError(Exception):
    """The base: nothing else is raised on purpose.

    `done` are the events of what was done before it: they happened all the same, and no later pass knows of them.
    `retry_after` are the seconds for which trying again is of no use, where that is known.
    """

    reason: ClassVar[str]
    retry: ClassVar[Retry] = "resync"
    done: tuple[Any, ...] = ()
    retry_after: float | None = None


class WaitingError(OperatorError):
    """Something this resource depends on is not ready yet."""

    reason = "Waiting"
    retry: ClassVar[Retry] = "soon"


class ClusterError(WaitingError):
    """The Kubernetes API did not do what was asked."""

    retry = "backoff"


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
    """The output Secret's name is taken by a Secret of somebody else."""

    reason = "SecretConflict"


class NamespaceNotAllowedError(OperatorError):
    """The parent resource does not allow children in this namespace."""

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
