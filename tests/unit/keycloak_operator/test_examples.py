"""The examples fit the kinds, and each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from keycloak_operator.handlers.kinds import KINDS
from keycloak_operator.resources import (
    API_VERSION,
    KeycloakClient,
    KeycloakConnection,
    KeycloakRealm,
    ObjectKey,
    Resource,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
MODELS = {kind.model.definition.kind: kind.model for kind in KINDS}
DOCUMENTS = [each for path in sorted(EXAMPLES.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]

#: What the API server adds to an object.
STORED = {"namespace": "default", "uid": "some-uid", "generation": 1}


def parsed(document: dict[str, Any]) -> Resource:
    assert document["apiVersion"] == API_VERSION
    stored = {**document, "metadata": {**document["metadata"], **STORED}}
    return MODELS[document["kind"]].parse(stored)


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}"
)
def test_an_example_fits_its_kind(document: dict[str, Any]) -> None:
    assert parsed(document).key == ObjectKey("default", document["metadata"]["name"])


def test_every_kind_has_an_example_that_refers_to_another_one() -> None:
    resources = [parsed(document) for document in DOCUMENTS]
    there = {(type(each), each.key) for each in resources}
    assert {kind for kind, _ in there} == set(MODELS.values())
    for each in resources:
        if isinstance(each, KeycloakRealm):
            assert (KeycloakConnection, each.connection_key) in there
        if isinstance(each, KeycloakClient):
            assert (KeycloakRealm, each.realm_key) in there
