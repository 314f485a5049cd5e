"""What an earlier spec declared and this one does not: it leaves Keycloak, too.

Which fields were declared is remembered in the status, as a digest of each path: an attribute, a mapper, a redirect
URI. A digest is enough, because a field that has to go is there to be compared with, and it keeps the memory small.
What was never declared is not in the memory, and stays.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keycloak_operator.reconcile.difference import NAMED, SETS, are_both_nothing
from keycloak_operator.resources import MEMORY_LIMIT
from keycloak_operator.resources.defaults import MISSING

Path = tuple[str, ...]

#: The value that Keycloak gives to a field of which nothing is said when the realm or client is created.
Default = Callable[[Path], Any]

_DIGEST = 8

#: Fields of clients and realms that are empty unless they are filled. What else has no known default is left alone.
_MAY_BE_EMPTY = frozenset(
    {
        "accountTheme", "adminTheme", "adminUrl", "baseUrl", "defaultLocale", "description", "displayName",
        "displayNameHtml", "emailTheme", "loginTheme", "name", "passwordPolicy", "redirectUris", "rootUrl",
        "supportedLocales", "webOrigins",
    }
)  # fmt: skip


class Memory:
    """The fields that were declared; empty where nothing is remembered."""

    def __init__(self, text: str | None = None) -> None:
        text = text or ""
        self._digests = frozenset(text[start : start + _DIGEST] for start in range(0, len(text), _DIGEST))

    @classmethod
    def of(cls, *representations: Mapping[str, Any]) -> Memory:
        """Return the memory of what *representations* declare."""
        memory = cls()
        memory._digests = frozenset(_digest(path) for each in representations for path in _paths(each, ()))
        return memory

    def __contains__(self, path: Path) -> bool:
        return _digest(path) in self._digests

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __or__(self, other: Memory) -> Memory:
        both = Memory()
        both._digests = self._digests | other._digests
        return both

    @property
    def fits(self) -> bool:
        """Whether the status has room for it."""
        return _DIGEST * len(self._digests) <= MEMORY_LIMIT

    def __str__(self) -> str:
        return "".join(sorted(self._digests))


@dataclass(frozen=True, slots=True)
class Stale:
    """A field that has left the spec, and what is to be there instead; `MISSING` for nothing."""

    path: Path
    value: Any

    def __str__(self) -> str:
        return ".".join(self.path)


def stale(memory: Memory, declared: Memory, actual: Mapping[str, Any], default: Default) -> list[Stale]:
    """Return the fields of *actual* that *memory* knows and *declared* does not, but for those that have their default.

    A field whose default is not known is left as it is, unless it is one that may be empty: no other value would be
    right.
    """
    return list(_stale(memory, declared, actual, (), default))


def removed(actual: Mapping[str, Any], stales: list[Stale]) -> dict[str, Any]:
    """Return *actual* without what is stale, and with the defaults of that; *actual* is not changed."""
    result: dict[str, Any] = copy.deepcopy(dict(actual))
    for each in stales:
        *parents, last = each.path
        container: Any = result
        for step in parents:
            container = _named(container, step) if isinstance(container, list) else container[step]
        if isinstance(container, list):
            container.remove(_named(container, last))
        elif each.value is MISSING:
            del container[last]
        else:
            container[last] = copy.deepcopy(each.value)
    return result


def _stale(memory: Memory, kept: Memory, value: Mapping[str, Any], path: Path, default: Default) -> Iterator[Stale]:
    for name, inner in value.items():
        here = (*path, name)
        if isinstance(inner, Mapping):
            yield from _stale(memory, kept, inner, here, default)
        elif name in NAMED and isinstance(inner, list):
            for element in inner:
                whole = (*here, str(element.get(NAMED[name])))
                if whole in memory and whole not in kept:
                    yield Stale(whole, MISSING)
                else:
                    yield from _stale(memory, kept, element, whole, default)
        elif here in memory and here not in kept:
            yield from _replaced(memory, inner, here, default)


def _replaced(memory: Memory, present: Any, path: Path, default: Default) -> Iterator[Stale]:
    value = default(path)
    if path[-1] in SETS and isinstance(present, list):
        known = value if isinstance(value, list) else []
        # What was added in Keycloak while the list was not enforced stays.
        wanted = [each for each in present if (*path, str(each)) not in memory and each not in known] + known
        if set(map(str, wanted)) != set(map(str, present)):
            yield Stale(path, wanted)
    elif value is not MISSING:
        if value != present and not are_both_nothing(value, present):
            yield Stale(path, value)
    elif len(path) > 1:
        yield Stale(path, MISSING)
    elif path[0] in _MAY_BE_EMPTY and present:
        yield Stale(path, type(present)())


def _paths(value: Mapping[str, Any], path: Path) -> Iterator[Path]:
    """Yield the path of each field, of each element with a name, and of each element of a set."""
    for name, inner in value.items():
        here = (*path, name)
        if isinstance(inner, Mapping):
            yield from _paths(inner, here)
        elif name in NAMED and isinstance(inner, list):
            for element in inner:
                whole = (*here, str(element.get(NAMED[name])))
                yield whole
                yield from _paths(element, whole)
        else:
            yield here
            if name in SETS and isinstance(inner, list):
                yield from ((*here, str(each)) for each in inner)


def _named(container: list[Any], name: str) -> Any:
    return next(each for each in container if str(each.get("name")) == name)


def _digest(path: Path) -> str:
    text = "\0".join(path).encode()
    return base64.b64encode(hashlib.sha256(text).digest()[: _DIGEST * 3 // 4]).decode()
