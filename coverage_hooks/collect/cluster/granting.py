"""The Role for one claim: which rights whoever collects from it needs, by name."""

from __future__ import annotations

import asyncio

from coverage_hooks.collect.cluster import claims, role
from coverage_hooks.collect.cluster.connection import Target, connect
from coverage_hooks.collect.cluster.pod import name_for
from coverage_hooks.collect.cluster.role import Right, Subject


def retrieving(claim: str, *, by_release: bool) -> list[Right]:
    """Return what it takes to retrieve from *claim*, found by its name or by its release."""
    reader = name_for(claim)
    return [*role.finding(claim, by_release=by_release), *role.making(reader), *role.entering(reader)]


def role_for(target: Target, subject: Subject | None, *, by_hand: bool) -> str:
    """Return the Role for the claim that *target* means, as YAML; with *by_hand*, for a reader that is there."""
    claim = target.claim or asyncio.run(_claim_of(target))
    rights = role.entering(name_for(claim)) if by_hand else retrieving(claim, by_release=target.release is not None)
    return role.to_yaml(name_for(claim, "retrieve"), target.namespace, [*rights, *role.witnessing()], subject)


async def _claim_of(target: Target) -> str:
    async with connect(target) as api:
        return await claims.name_of(api, target)
