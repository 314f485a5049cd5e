"""What is kept of a spec: enough to see that it has changed, and never as much as the spec."""

from __future__ import annotations

from typing import Any

import kopf
import pytest

from keycloak_operator.handlers.storage import DigestStorage
from keycloak_operator.resources import GROUP

STORAGE = DigestStorage(prefix=GROUP)
KEY = f"{GROUP}/last-handled-configuration"


def body(spec: Any, annotations: dict[str, str] | None = None, **other: Any) -> kopf.Body:
    document: Any = {"metadata": {"annotations": annotations or {}}, "spec": spec, **other}
    return kopf.Body(document)


def stored(spec: Any) -> dict[str, str]:
    """Return the annotations that are written for *spec*."""
    patch = kopf.Patch()
    STORAGE.store(body=body(spec), patch=patch, essence=STORAGE.build(body=body(spec)))
    return dict(patch["metadata"]["annotations"])


def test_what_is_kept_is_found_again() -> None:
    spec = {"realm": {"realm": "shop", "attributes": {"a": "1"}}}
    assert STORAGE.fetch(body=body(spec, stored(spec))) == STORAGE.build(body=body(spec))


def test_it_is_small_and_shows_nothing_of_the_spec() -> None:
    kept = stored({"realm": {"displayNameHtml": "shop" * 250_000}})
    assert len(str(kept)) < 500
    assert "shop" not in str(kept)


@pytest.mark.parametrize("other", [{"a": 1, "b": [1, 3]}, {"a": 1}, {}, {"a": "1", "b": [1, 2]}, {"a": 1, "b": [2, 1]}])
def test_every_change_of_the_spec_shows(other: Any) -> None:
    assert STORAGE.build(body=body(other)) != STORAGE.build(body=body({"a": 1, "b": [1, 2]}))


def test_nothing_else_does() -> None:
    same = body({"b": [1, 2], "a": 1}, {"note": "new"}, status={"conditions": []})
    assert STORAGE.build(body=same) == STORAGE.build(body=body({"a": 1, "b": [1, 2]}))


def test_a_whole_spec_that_was_kept_before_counts_as_a_change_and_is_replaced() -> None:
    spec = {"realm": {"realm": "shop"}}
    patch, before = kopf.Patch(), kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    before.store(body=body(spec), patch=patch, essence=before.build(body=body(spec)))
    assert dict(patch["metadata"]["annotations"]).keys() == stored(spec).keys()
    found = STORAGE.fetch(body=body(spec, dict(patch["metadata"]["annotations"])))
    assert found is not None
    assert found != STORAGE.build(body=body(spec))


@pytest.mark.parametrize("text", ["", "not JSON", "[]", '"text"', "null"])
def test_what_is_not_ours_counts_as_nothing(text: str) -> None:
    assert STORAGE.fetch(body=body({}, {KEY: text})) is None
