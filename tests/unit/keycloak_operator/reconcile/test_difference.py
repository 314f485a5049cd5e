"""The difference between declared and actual: what is put in is then contained, and nothing else changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycloak_operator.reconcile.difference import MASK, canonical, differences, merged

names = st.sampled_from(["a", "b", "c", "redirectUris", "protocolMappers", "attributes"])
scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "x", "y"])
mappers = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["m", "n", "o"])},
        optional={"config": st.dictionaries(names, st.sampled_from(["1", "2"]))},
    ),
    max_size=3,
    unique_by=lambda mapper: str(mapper["name"]),
)


def values(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(scalars, max_size=3) | representations(children)


@st.composite
def representations(draw: st.DrawFn, children: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw objects whose fields have the types that Keycloak gives them."""
    drawn: dict[str, Any] = draw(st.dictionaries(st.sampled_from(["a", "b", "c"]), children, max_size=3))
    if draw(st.booleans()):
        drawn["redirectUris"] = draw(st.lists(st.sampled_from(["u", "v", "w"]), max_size=3))
    if draw(st.booleans()):
        drawn["protocolMappers"] = draw(mappers)
    return drawn


documents = representations(st.recursive(scalars, values, max_leaves=6))


@given(declared=documents, actual=documents)
def test_what_is_put_in_is_contained(declared: dict[str, Any], actual: dict[str, Any]) -> None:
    assert differences(declared, merged(declared, actual)) == []


@given(declared=documents, actual=documents)
def test_putting_in_twice_changes_nothing_more(declared: dict[str, Any], actual: dict[str, Any]) -> None:
    once = merged(declared, actual)
    assert merged(declared, once) == once


@given(declared=documents, actual=documents)
def test_undeclared_fields_stay_and_inputs_are_not_changed(declared: dict[str, Any], actual: dict[str, Any]) -> None:
    before = copy.deepcopy((declared, actual))
    result = merged(declared, actual)
    assert (declared, actual) == before
    assert all(result[key] == value for key, value in actual.items() if key not in declared)


@given(document=documents)
def test_what_is_the_same_does_not_differ(document: dict[str, Any]) -> None:
    assert differences(document, copy.deepcopy(document)) == []
    assert differences({}, document) == []


@pytest.mark.parametrize(
    ("declared", "actual", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": 1}, {}, ["a"]),
        ({"a": False}, {}, ["a"]),
        ({"a": 0}, {}, ["a"]),
        ({"a": ""}, {}, []),
        ({"a": None}, {}, []),
        ({"a": None}, {"a": 1}, ["a"]),
        ({"a": []}, {}, []),
        ({"a": []}, {"a": [1]}, ["a"]),
        ({"a": {}}, {}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}, ["a.c"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
        ({"redirectUris": ["x", "y"]}, {"redirectUris": ["y", "x"]}, []),
        ({"redirectUris": ["x"]}, {"redirectUris": ["x", "y"]}, ["redirectUris"]),
        ({"redirectUris": ["x", "y", "x"]}, {"redirectUris": ["y", "x"]}, []),
        ({"redirectUris": ["x", "x"]}, {"redirectUris": ["y", "x"]}, ["redirectUris"]),
        ({"a": ["x", "x"]}, {"a": ["x"]}, ["a"]),
        ({"protocolMappers": [{"name": "m"}]}, {"protocolMappers": [{"name": "n"}, {"name": "m", "id": "1"}]}, []),
        (
            {"protocolMappers": [{"name": "m", "x": 1}]},
            {"protocolMappers": [{"name": "m", "x": 2}]},
            ["protocolMappers"],
        ),
        ({"protocolMappers": []}, {"protocolMappers": [{"name": "m"}]}, ["protocolMappers"]),
        ({"secret": "known"}, {"secret": MASK}, []),
        ({"secret": "known"}, {"secret": "other"}, ["secret"]),
    ],
)
def test_differences(declared: Any, actual: Any, expected: list[str]) -> None:
    assert differences(declared, actual) == expected


def test_what_has_no_order_is_the_same_in_any() -> None:
    one = {"redirectUris": ["a", "b"], "protocolMappers": [{"name": "m"}, {"name": "n"}], "other": ["a", "b"]}
    two = {"redirectUris": ["b", "a"], "protocolMappers": [{"name": "n"}, {"name": "m"}], "other": ["a", "b"]}
    assert canonical(one) == canonical(two)
    assert canonical(one) != canonical({**two, "other": ["b", "a"]})


def test_what_is_declared_twice_in_a_set_is_written_once_and_in_its_order() -> None:
    assert merged({"redirectUris": ["y", "x", "y"], "a": [1, 1]}, {}) == {"redirectUris": ["y", "x"], "a": [1, 1]}
