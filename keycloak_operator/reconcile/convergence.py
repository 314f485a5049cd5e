"""Write what differs, look again, and believe only what is seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from keycloak_operator.errors import NotConvergedError
from keycloak_operator.reconcile.difference import differences, merged

Read = Callable[[], Awaitable[dict[str, Any] | None]]
Write = Callable[[dict[str, Any]], Awaitable[None]]


async def converge(
    declared: Mapping[str, Any],
    actual: Mapping[str, Any],
    *,
    what: str,
    write: Write,
    read: Read,
    hidden: Mapping[str, Any] = MappingProxyType({}),
    force: bool = False,
) -> list[str]:
    """Bring *actual* to contain *declared*, and return the JSON paths that were changed; writes nothing if none were.

    *hidden* is declared, too, but Keycloak never shows it, so it is only written along, and *force* writes it although
    nothing else differs. Raises `NotConvergedError` when Keycloak
    accepts the change and shows something else: repeating it would never end.
    """
    changed = differences(declared, actual)
    if not changed and not force:
        return []
    await write(merged(hidden, merged(declared, actual)))
    left = differences(declared, await read() or {})
    if left:
        raise NotConvergedError(
            f"{what}: Keycloak accepted {', '.join(left)} and shows something else; correct the spec"
        )
    return changed
