"""The kinds that are handled, each with what reconciles it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from keycloak_operator.reconcile import client, connection, realm
from keycloak_operator.reconcile.outcome import Outcome, World
from keycloak_operator.resources import KeycloakClient, KeycloakConnection, KeycloakRealm, Resource

Step = Callable[[World, Any], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: its model, what brings it about, and what lets go of it."""

    model: type[Resource]
    reconcile: Step
    release: Step

    @property
    def name(self) -> str:
        """The kind's own name."""
        return self.model.definition.kind

    @property
    def plural(self) -> str:
        """The kind's name in the API's paths."""
        return self.model.definition.plural


KINDS = (
    Kind(KeycloakConnection, connection.reconcile, connection.release),
    Kind(KeycloakRealm, realm.reconcile, realm.release),
    Kind(KeycloakClient, client.reconcile, client.release),
)
