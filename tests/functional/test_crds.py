"""The definitions of the chart on a real API server: what it accepts, keeps, fills in and refuses."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from kubernetes_asyncio.client import ApiClient, ApiException, ApiextensionsV1Api, CustomObjectsApi

from keycloak_operator.resources import GROUP, VERSION, InvalidSpec, KeycloakClient, KeycloakRealm, Resource, crds
from tests.cluster import eventually
from tests.unit.keycloak_operator.resources.examples import (
    ACCEPTED,
    DEFAULTS,
    LONGEST_NAME,
    REFUSALS,
    UNDECLARABLE,
    VALID,
    Refusal,
    at,
    document,
)


class Kinds:
    """The three kinds on the API server, for one namespace."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._api = CustomObjectsApi(api)
        self._namespace = namespace

    async def create(self, kind: type[Resource], body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Create *body*, as strictly as kubectl does, and return it as it was stored."""
        body = {**body, "metadata": {"name": _unique(body["metadata"]["name"])}}
        options = {"field_validation": "Strict", **options}
        created: dict[str, Any] = await self._api.create_namespaced_custom_object(
            GROUP, VERSION, self._namespace, kind.definition.plural, body, **options
        )
        return created

    async def replace(self, kind: type[Resource], body: Mapping[str, Any]) -> dict[str, Any]:
        """Put *body* in the place of what has its name."""
        replaced: dict[str, Any] = await self._api.replace_namespaced_custom_object(
            GROUP, VERSION, self._namespace, kind.definition.plural, body["metadata"]["name"], body
        )
        return replaced

    async def set_status(self, kind: type[Resource], name: str, status: Mapping[str, Any]) -> dict[str, Any]:
        """Make *status* the one of *name*."""
        patched: dict[str, Any] = await self._api.patch_namespaced_custom_object_status(
            GROUP,
            VERSION,
            self._namespace,
            kind.definition.plural,
            name,
            [{"op": "add", "path": "/status", "value": status}],
        )
        return patched


def _unique(name: str) -> str:
    """Return a name like *name* that no other test uses; of its length, where that is what matters."""
    suffix = f"-{uuid.uuid4().hex[:8]}"
    return f"{name[: -len(suffix)] if len(name) > 200 else name}{suffix}"


@pytest.fixture
async def kinds(api: ApiClient, namespace: str) -> Kinds:
    """Return the kinds, defined by the files of the chart."""
    definitions = ApiextensionsV1Api(api)
    for path in sorted(crds.FOLDER.iterdir()):
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
        try:
            await definitions.create_custom_resource_definition(definition)
        except ApiException as error:
            if error.status != 409:
                raise
        await _established(definitions, definition["metadata"]["name"])
    return Kinds(api, namespace)


async def _established(definitions: ApiextensionsV1Api, name: str) -> None:
    async def conditions() -> bool:
        found = await definitions.read_custom_resource_definition(name)
        states = {each.type: each.status for each in found.status.conditions or ()}
        assert states.get("NonStructuralSchema", "False") == "False", found.status.conditions
        return states.get("Established") == "True"

    await eventually(conditions, f"{name} is established")


def _answer(refusal: ApiException) -> dict[str, Any]:
    assert refusal.body
    answer: dict[str, Any] = json.loads(refusal.body)
    return answer


def _blamed(refusal: ApiException) -> list[tuple[str, str]]:
    """Return field and message of all that the API server has to say against a document."""
    return [(cause["field"], cause["message"]) for cause in _answer(refusal)["details"]["causes"]]


@pytest.mark.parametrize("kind", VALID)
async def test_a_valid_document_comes_back_with_its_unknown_fields_and_with_defaults(
    kinds: Kinds, kind: type[Resource]
) -> None:
    body = document(kind)
    stored = await kinds.create(kind, body)
    for path, value in DEFAULTS[kind].items():
        assert at(stored, path) == value
    _assert_within(body["spec"], stored["spec"])
    kind.parse(stored)


def _assert_within(expected: Any, found: Any) -> None:
    """Assert that *found* is *expected*, with more keys here and there."""
    if isinstance(expected, dict):
        assert expected.keys() <= found.keys()
        for key, value in expected.items():
            _assert_within(value, found[key])
    elif isinstance(expected, list):
        assert len(expected) == len(found)
        for one, other in zip(expected, found, strict=True):
            _assert_within(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize(("kind", "changes"), ACCEPTED)
async def test_what_is_near_a_refusal_is_accepted(
    kinds: Kinds, kind: type[Resource], changes: Mapping[str, Any]
) -> None:
    kind.parse(await kinds.create(kind, document(kind, changes)))


async def test_defaults_come_and_nothing_else(kinds: Kinds) -> None:
    spec = {"connectionRef": {"name": "main"}, "realm": {"realm": "bare"}}
    stored = await kinds.create(KeycloakRealm, document(KeycloakRealm, {"spec": spec}))
    assert stored["spec"] == {
        "connectionRef": {"name": "main"},
        "realm": {"realm": "bare"},
        "adopt": False,
        "deletionPolicy": "Retain",
        "allowedNamespaces": [],
        "mode": "Enforce",
        "removal": "Remove",
    }
    assert KeycloakRealm.parse(stored).spec.realm.declared() == {"realm": "bare"}


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_an_invalid_document_is_refused_with_the_path_and_the_reason(kinds: Kinds, refusal: Refusal) -> None:
    with pytest.raises(ApiException) as error:
        await kinds.create(refusal.kind, document(refusal.kind, refusal.changes))
    assert error.value.status == 422
    causes = _blamed(error.value)
    assert refusal.blamed in {field for field, _ in causes}
    assert any(refusal.says in message for field, message in causes if field == refusal.blamed), causes


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        (
            KeycloakRealm,
            {f"spec.realm.{name}": value for group in UNDECLARABLE.values() for name, value in group.items()},
        ),
        (
            KeycloakClient,
            {
                "metadata.name": LONGEST_NAME + "n",
                "spec.client.secret": "hidden",
                "spec.client.authorizationSettings": {},
                "spec.client.registrationAccessToken": "hidden",
                "spec.client.attributes": {"saml.signing.private.key": "hidden"},
                "spec.client.optionalClientScopes": ["a"],
            },
        ),
    ],
)
async def test_one_answer_names_every_field_that_is_refused(
    kinds: Kinds, kind: type[Resource], refused: Mapping[str, Any]
) -> None:
    body = document(kind, {**refused, **({"spec.client.defaultClientScopes": ["a"]} if kind is KeycloakClient else {})})
    with pytest.raises(ApiException) as error:
        await kinds.create(kind, body)
    assert {field for field, _ in _blamed(error.value)} == refused.keys()
    with pytest.raises(InvalidSpec) as invalid:
        kind.parse(body)
    assert {problem.path for problem in invalid.value.problems} >= {each for each in refused if _is_of_a_field(each)}


def _is_of_a_field(path: str) -> bool:
    """Whether it is refused by itself: pydantic asks what is around it, such as the name, when all fields are right."""
    return path not in {"metadata.name", "spec.client.optionalClientScopes"}


@pytest.mark.parametrize(
    ("kind", "path"),
    [(kind, "spec.misspelt") for kind in VALID] + [(KeycloakClient, "spec.realmRef.misspelt")],
)
async def test_a_misspelt_field_is_refused(kinds: Kinds, kind: type[Resource], path: str) -> None:
    with pytest.raises(ApiException) as error:
        await kinds.create(kind, document(kind, {path: True}))
    assert error.value.status == 400
    assert f'unknown field "{path}"' in _answer(error.value)["message"]


IMMUTABLE = (
    Refusal(
        KeycloakRealm, {"spec.connectionRef.name": "b"}, "spec.connectionRef", "the connection of a realm cannot be"
    ),
    Refusal(KeycloakRealm, {"spec.realm.realm": "b"}, "spec.realm.realm", "the name of the realm cannot be"),
    Refusal(KeycloakClient, {"spec.realmRef.namespace": "b"}, "spec.realmRef", "the realm of a client cannot be"),
    Refusal(KeycloakClient, {"spec.client.clientId": "b"}, "spec.client.clientId", "the clientId cannot be"),
)


@pytest.mark.parametrize("refusal", IMMUTABLE, ids=str)
async def test_what_names_an_object_in_keycloak_cannot_be_changed(kinds: Kinds, refusal: Refusal) -> None:
    stored = await kinds.create(refusal.kind, document(refusal.kind))
    changed = document(refusal.kind, refusal.changes) | {"metadata": stored["metadata"]}
    with pytest.raises(ApiException) as error:
        await kinds.replace(refusal.kind, changed)
    assert error.value.status == 422
    assert [(field, refusal.says in message) for field, message in _blamed(error.value)] == [(refusal.blamed, True)]


async def test_everything_else_can_be_changed(kinds: Kinds) -> None:
    stored = await kinds.create(KeycloakRealm, document(KeycloakRealm))
    stored["spec"]["realm"] = {"realm": stored["spec"]["realm"]["realm"], "displayName": "New"}
    stored["spec"] |= {"adopt": True, "deletionPolicy": "Delete", "allowedNamespaces": ["team"]}
    del stored["spec"]["smtpPasswordSecret"]
    assert (await kinds.replace(KeycloakRealm, stored))["metadata"]["generation"] == 2


@pytest.mark.parametrize("kind", VALID)
async def test_a_status_is_kept_apart_from_the_spec(kinds: Kinds, kind: type[Resource]) -> None:
    stored = await kinds.create(kind, document(kind, {"status": {"observedGeneration": 7}}))
    assert "status" not in stored
    patched = await kinds.set_status(kind, stored["metadata"]["name"], {"observedGeneration": 1})
    assert patched["status"] == {"observedGeneration": 1}
    assert patched["metadata"]["generation"] == 1
