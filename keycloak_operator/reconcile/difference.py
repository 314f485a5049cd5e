"""What a declared representation wants to be different from the actual one.

*Manage what you declare*: a field that is absent is left alone, one that is present is enforced, an empty list empties.
So the question is whether the declared part is contained in the actual representation, and the answer to write is the
actual one with the declared part put in: Keycloak replaces some fields as a whole when only a part of them is sent.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from keycloak_operator.resources import MASK

__all__ = ["MASK", "NAMED", "SETS", "differences", "merged"]

#: Lists that Keycloak keeps as sets: it returns them in any order, and an entry that was sent twice once. To write one
#: twice is no mistake that has to be refused: it is how lists of several sources, put together, come out.
SETS = frozenset(
    {
        "defaultClientScopes",
        "defaultGroups",
        "enabledEventTypes",
        "eventsListeners",
        "optionalClientScopes",
        "redirectUris",
        "requiredCredentials",
        "supportedLocales",
        "webOrigins",
    }
)

#: Lists of objects that are told apart by a name; an object that is not declared is left alone.
NAMED = {"protocolMappers": "name"}


def differences(declared: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """Return the JSON paths at which *actual* is not what *declared* says, sorted; values are never shown."""
    return sorted(_differences(declared, actual, ""))


def merged(declared: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """Return *actual* with everything that *declared* says put in; neither is changed."""
    result: dict[str, Any] = copy.deepcopy(dict(actual))
    for key, value in declared.items():
        present = result.get(key)
        if key in NAMED and isinstance(value, list):
            result[key] = _merged_by_name(value, present if isinstance(present, list) else [], NAMED[key])
        elif isinstance(value, Mapping):
            result[key] = merged(value, present if isinstance(present, Mapping) else {})
        elif key in SETS and isinstance(value, list):
            result[key] = _once(value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def canonical(value: Any, name: str = "") -> Any:
    """Return *value* with every list whose order means nothing in one order; *name* is the field that it is in."""
    if isinstance(value, Mapping):
        return {key: canonical(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        inner = [canonical(each) for each in value]
        return sorted(inner, key=repr) if name in SETS or name in NAMED else inner
    return value


def _differences(declared: Any, actual: Any, path: str) -> Iterator[str]:
    key = path.rpartition(".")[2]
    if isinstance(declared, Mapping):
        if not isinstance(actual, Mapping):
            yield from [path] if declared or actual is not None else []
            return
        for name, value in declared.items():
            yield from _differences(value, actual.get(name), f"{path}.{name}" if path else name)
    elif isinstance(declared, list):
        if (key in NAMED and not _is_contained(declared, actual or [], NAMED[key])) or (
            key not in NAMED and not _is_same_list(declared, actual, ordered=key not in SETS)
        ):
            yield path
    elif declared != actual and MASK not in (declared, actual) and not are_both_nothing(declared, actual):
        yield path


def are_both_nothing(declared: Any, actual: Any) -> bool:
    """Whether Keycloak, which leaves out what is empty, may show one as the other; False and 0 are something."""
    return declared in (None, "") and actual in (None, "")


def _is_same_list(declared: list[Any], actual: Any, *, ordered: bool) -> bool:
    if not isinstance(actual, list):
        return not declared and not actual
    if not ordered:
        declared, actual = sorted(_once(declared), key=str), sorted(_once(actual), key=str)
    if len(declared) != len(actual):
        return False
    return all(not list(_differences(mine, theirs, "")) for mine, theirs in zip(declared, actual, strict=True))


def _once(values: list[Any]) -> list[Any]:
    """Return *values* without those that came before; of any type, so not a set."""
    return list({repr(each): each for each in values}.values())


def _is_contained(declared: list[Any], actual: list[Any], name: str) -> bool:
    if not declared:
        return not actual
    by_name = {each.get(name): each for each in actual}
    return all(
        each.get(name) in by_name and not list(_differences(each, by_name[each.get(name)], "")) for each in declared
    )


def _merged_by_name(declared: list[Any], actual: list[Any], name: str) -> list[Any]:
    if not declared:
        return []
    mine = {each.get(name): each for each in declared}
    kept = [merged(mine.pop(each.get(name)), each) if each.get(name) in mine else each for each in actual]
    return kept + [copy.deepcopy(each) for each in mine.values()]
