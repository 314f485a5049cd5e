"""The kind KeycloakConnection: it is Ready when the operator can log in and may administrate."""

from __future__ import annotations

from keycloak_operator.reconcile.outcome import Outcome, World
from keycloak_operator.reconcile.references import access_of
from keycloak_operator.resources import KeycloakConnection


async def reconcile(world: World, connection: KeycloakConnection) -> Outcome:
    """Log in, see whether the account may administrate, and ask for the version, which not every account may see."""
    admin = world.keycloaks.admin(await access_of(world, connection))
    return Outcome(status={"url": connection.spec.url, "version": await admin.version()})


async def release(world: World, connection: KeycloakConnection) -> Outcome:  # noqa: ARG001 - as the other kinds have it
    """Do nothing: the server is not ours."""
    return Outcome()
