"""The kind Keycloak, in external mode: it is Ready when the operator can log in and may administrate."""

from __future__ import annotations

from keycloak_operator.reconcile.outcome import Outcome, World
from keycloak_operator.reconcile.references import admin_of
from keycloak_operator.resources import Keycloak


async def reconcile(world: World, keycloak: Keycloak) -> Outcome:
    """Log in and ask for the version."""
    admin = await admin_of(world, keycloak)
    return Outcome(status={"url": keycloak.spec.external.url, "version": await admin.version()})


async def release(world: World, keycloak: Keycloak) -> Outcome:  # noqa: ARG001 - as the other kinds have it
    """Do nothing: the server is somebody else's."""
    return Outcome()
