"""Write what differs, look again, and believe only what is seen."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from keycloak_operator.errors import NotConvergedError
from keycloak_operator.reconcile.difference import canonical, differences, merged
from keycloak_operator.reconcile.removal import Default, Memory, Stale, removed, stale

Read = Callable[[], Awaitable[dict[str, Any] | None]]
Write = Callable[[dict[str, Any]], Awaitable[None]]

#: Fields that a message lists; the rest is counted.
_LISTED = 20


@dataclass(frozen=True, kw_only=True)  # without slots, for what is computed once
class Target:
    """What a representation has to contain, and what it has to lose.

    `hidden` is declared, too, but Keycloak never shows it, so it is only written along. What `memory` knows and
    `declared` does not has left the spec; `default` knows what is there instead.
    """

    declared: Mapping[str, Any]
    hidden: Mapping[str, Any] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    default: Default

    def differences(self, actual: Mapping[str, Any]) -> list[str]:
        """Return the JSON paths at which *actual* is not as it has to be."""
        return sorted({*differences(self.declared, actual), *self.stale(actual)})

    def stale(self, actual: Mapping[str, Any]) -> list[str]:
        """Return the JSON paths of what has left the spec and is still in *actual*."""
        return sorted(map(str, self._stale(actual)))

    def put_into(self, actual: Mapping[str, Any]) -> dict[str, Any]:
        """Return *actual* as it has to be; neither is changed."""
        return merged(self.everything, removed(actual, self._stale(actual)))

    def digest(self, actual: Mapping[str, Any]) -> str:
        """Return a digest of this and of *actual*; without the client's secret, which must not be guessed from it."""
        parts = [canonical({**each, "secret": None}) for each in (self.declared, actual)]
        return hashlib.sha256(json.dumps([*parts, self.differences(actual)], sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def everything(self) -> dict[str, Any]:
        """`declared` and `hidden` in one."""
        return merged(self.hidden, self.declared)

    @functools.cached_property
    def remembered(self) -> Memory:
        """What a later spec has to know of this one.

        A secret does not leave Keycloak with the spec: the client goes on with the one that it has.
        """
        return Memory.of({name: value for name, value in self.everything.items() if name != "secret"})

    def _stale(self, actual: Mapping[str, Any]) -> list[Stale]:
        return stale(self.memory, self.remembered, actual, self.default) if self.memory else []


async def converge(
    target: Target,
    actual: Mapping[str, Any],
    *,
    what: str,
    write: Write,
    read: Read,
    force: bool = False,
    attempted: str | None = None,
) -> tuple[list[str], list[str]]:
    """Bring *actual* to *target*; writes nothing if it is there already.

    Returns the JSON paths that were changed, and those of fields that Keycloak keeps although they left the spec.

    *force* writes although nothing differs, for the sake of what is hidden. Raises `NotConvergedError` when Keycloak
    accepts the change and shows something else. It is not written again before the spec or Keycloak changes: that is
    what *attempted* tells, the field of the status of an earlier error.
    """
    changed = target.differences(actual)
    if not changed and not force:
        return [], []
    if not changed or force or attempted != target.digest(actual):
        await write(target.put_into(actual))
        actual = await read() or {}
    if left := differences(target.declared, actual):
        error = NotConvergedError(
            f"{what}: Keycloak accepted {listed(left)} and shows something else; correct the spec"
        )
        error.status = {"attempted": target.digest(actual)}
        raise error
    return changed, target.stale(actual)


def listed(paths: Collection[str]) -> str:
    """Return *paths* for a message, the first ones if there are many."""
    shown = ", ".join(list(paths)[:_LISTED])
    return f"{shown} and {len(paths) - _LISTED} more" if len(paths) > _LISTED else shown
