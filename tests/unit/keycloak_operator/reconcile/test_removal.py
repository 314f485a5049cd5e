"""What has left a spec, as a table: what was declared, what is declared, what Keycloak has, and what it has then."""

from __future__ import annotations

from typing import Any

import pytest

from keycloak_operator.reconcile.removal import Memory, removed, stale
from keycloak_operator.resources import MEMORY_LIMIT
from keycloak_operator.resources.defaults import MISSING

DEFAULTS: dict[tuple[str, ...], Any] = {
    ("registrationAllowed",): False,
    ("eventsListeners",): ["jboss-logging"],
    ("browserSecurityHeaders", "xFrameOptions"): "SAMEORIGIN",
}


def mapper(name: str, **config: str) -> dict[str, Any]:
    return {"name": name, "protocolMapper": "m", "config": config}


@pytest.mark.parametrize(
    ("before", "now", "actual", "after"),
    [
        pytest.param({"description": "d"}, {}, {"description": "d"}, {"description": ""}, id="text is emptied"),
        pytest.param({"description": "d"}, {}, {"description": "x"}, {"description": ""}, id="whatever it is now"),
        pytest.param({}, {}, {"description": "theirs"}, {"description": "theirs"}, id="never declared"),
        pytest.param({"description": "d"}, {"description": "e"}, {"description": "d"}, {"description": "d"}, id="kept"),
        pytest.param({"registrationAllowed": True}, {}, {"registrationAllowed": True}, {"registrationAllowed": False},
                     id="a flag gets its default"),
        pytest.param({"protocol": "saml"}, {}, {"protocol": "saml"}, {"protocol": "saml"}, id="needed text"),
        pytest.param({"unknown": True}, {}, {"unknown": True}, {"unknown": True}, id="a flag without a known default"),
        pytest.param({"attributes": {"a": "1"}}, {"attributes": {}}, {"attributes": {"a": "1", "b": "2"}},
                     {"attributes": {"b": "2"}}, id="attribute"),
        pytest.param({"attributes": {"a": "1"}}, {}, {"attributes": {"a": "1", "b": "2"}}, {"attributes": {"b": "2"}},
                     id="all attributes"),
        pytest.param({"protocolMappers": [mapper("a"), mapper("b")]}, {"protocolMappers": [mapper("b")]},
                     {"protocolMappers": [mapper("a"), mapper("b"), mapper("c")]},
                     {"protocolMappers": [mapper("b"), mapper("c")]}, id="mapper"),
        pytest.param({"protocolMappers": [mapper("a", x="1", y="2")]}, {"protocolMappers": [mapper("a", x="1")]},
                     {"protocolMappers": [mapper("a", x="1", y="2", z="3")]},
                     {"protocolMappers": [mapper("a", x="1", z="3")]}, id="a mapper's setting"),
        pytest.param({"redirectUris": ["a", "b"]}, {}, {"redirectUris": ["a", "b", "c"]}, {"redirectUris": ["c"]},
                     id="URIs"),
        pytest.param({"redirectUris": ["a"]}, {"redirectUris": []}, {"redirectUris": ["a"]}, {"redirectUris": ["a"]},
                     id="a list that is declared is compared as a whole"),
        pytest.param({"eventsListeners": []}, {}, {"eventsListeners": []}, {"eventsListeners": ["jboss-logging"]},
                     id="a list gets its default"),
        pytest.param({"eventsListeners": ["x"]}, {}, {"eventsListeners": ["x", "y"]},
                     {"eventsListeners": ["y", "jboss-logging"]}, id="a list gets its default and keeps others"),
        pytest.param({"browserSecurityHeaders": {"xFrameOptions": "DENY"}}, {},
                     {"browserSecurityHeaders": {"xFrameOptions": "DENY", "o": "1"}},
                     {"browserSecurityHeaders": {"xFrameOptions": "SAMEORIGIN", "o": "1"}}, id="an entry's default"),
    ],
)  # fmt: skip
def test_what_left_the_spec_leaves_keycloak(before: Any, now: Any, actual: Any, after: Any) -> None:
    memory = Memory(str(Memory.of(before)))

    def default(path: tuple[str, ...]) -> Any:
        return DEFAULTS.get(path, MISSING)

    found = removed(actual, stale(memory, Memory.of(now), actual, default))
    assert found == after
    assert stale(memory, Memory.of(now), found, default) == [], "it is not written again"


def test_a_path_says_where_it_is_and_never_what_was_there() -> None:
    actual = {"attributes": {"a": "hidden"}, "protocolMappers": [mapper("m")]}
    found = stale(Memory.of(actual), Memory(), actual, lambda _: MISSING)
    assert [str(each) for each in found] == ["attributes.a", "protocolMappers.m"]


def test_a_memory_has_a_limit() -> None:
    assert Memory.of({"attributes": {str(number): "" for number in range(MEMORY_LIMIT // 8)}}).fits
    assert not Memory.of({"attributes": {str(number): "" for number in range(MEMORY_LIMIT // 8 + 1)}}).fits
