"""What reconciling a realm and a client have in common: modes, and the memory of what was declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keycloak_operator.errors import OutOfSyncError, PausedError
from keycloak_operator.reconcile.convergence import Target, listed
from keycloak_operator.reconcile.outcome import Outcome
from keycloak_operator.reconcile.removal import Default, Memory
from keycloak_operator.resources import KeycloakClient, KeycloakRealm

Managed = KeycloakRealm | KeycloakClient

#: Differences that a status lists.
_SHOWN = 64
_PATH_LENGTH = 1024


def check_mode(resource: Managed) -> None:
    """Raise `PausedError` if the resource is to be left alone."""
    if resource.spec.mode == "Paused":
        raise PausedError("spec.mode is Paused: Keycloak is neither looked at nor changed")


def target_of(
    resource: Managed, declared: Mapping[str, Any], default: Default, hidden: Mapping[str, Any] | None = None
) -> Target:
    """Return what Keycloak has to show for *resource*."""
    remove = resource.spec.removal == "Remove"
    memory = Memory(resource.status.declared if remove else None)
    return Target(declared=declared, hidden=hidden or {}, memory=memory, default=default)


def remember(outcome: Outcome, target: Target, *, done: bool) -> None:
    """Note in the status what was declared; until it is *done*, what was declared before is remembered, too.

    A spec with more fields than the memory has room for is not remembered, and what leaves it stays in Keycloak.
    """
    memory = target.remembered if done else target.memory | target.remembered
    if memory.fits or done:
        outcome.status["declared"] = str(memory) if memory.fits else None
    if done:
        outcome.status |= {"attempted": None, "differences": None}
        if not memory.fits:
            outcome.message += "; it has too many fields to remember them, so what leaves the spec stays in Keycloak"


def mention_left_out(outcome: Outcome, left_out: list[str]) -> None:
    """Say which declared fields are only Keycloak's to set."""
    if left_out:
        outcome.message += f"; without {listed(left_out)}, which only Keycloak sets"


def mention_kept(outcome: Outcome, kept: list[str]) -> None:
    """Say which fields Keycloak keeps although they left the spec."""
    if kept:
        outcome.message += f"; Keycloak keeps {listed(kept)}, which left the spec"


def observed(outcome: Outcome, what: str, differences: list[str]) -> Outcome:
    """Return *outcome* if there are no *differences*; else raise `OutOfSyncError`, and list them in the status."""
    if not differences:
        outcome.status["differences"] = None
        outcome.message += "; it is only observed"
        return outcome
    outcome.status["differences"] = [path[:_PATH_LENGTH] for path in differences[:_SHOWN]]
    raise OutOfSyncError(f"{what} differs in {listed(differences)}; spec.mode is Observe, so nothing is written")


def tell_of_changes(outcome: Outcome, resource: Managed, what: str, changed: list[str]) -> None:
    """Add the event that says what was written, unless *what* has just been created."""
    if changed and not outcome.events:
        drifted = resource.status.observed_generation == resource.metadata.generation
        outcome.tell("DriftCorrected" if drifted else "Updated", f"{what}: {listed(changed)}")


def abandon(outcome: Outcome, why: str) -> Outcome:
    """Return *outcome* with the warning that something may remain in Keycloak."""
    outcome.tell("Abandoned", why, "Warning")
    return outcome
