"""Documents are read exactly, and what is wrong with one is named."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from keycloak_operator import resources
from keycloak_operator.resources import (
    API_VERSION,
    GROUP,
    VERSION,
    ConnectionStatus,
    InvalidSpec,
    KeycloakClient,
    KeycloakConnection,
    KeycloakRealm,
    RealmStatus,
    Resource,
)
from tests.unit.keycloak_operator.resources.examples import (
    ABSENT,
    ACCEPTED,
    DEFAULTS,
    REFUSALS,
    UNDECLARABLE,
    VALID,
    Refusal,
    at,
    document,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def declared(resource: Resource) -> dict[str, Any]:
    """Return what a realm or a client declares."""
    if isinstance(resource, KeycloakRealm):
        return resource.spec.realm.declared()
    assert isinstance(resource, KeycloakClient)
    return resource.spec.client.declared()


def test_all_is_sorted_and_there() -> None:
    # As ruff sorts: constants, then classes, then functions.
    names = resources.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name.islower(), name))
    assert all(hasattr(resources, name) for name in names)
    assert f"{GROUP}/{VERSION}" == API_VERSION


@pytest.mark.parametrize("kind", VALID)
def test_a_valid_document_is_read(kind: type[Resource]) -> None:
    assert kind.parse(document(kind)).key == ("here", "example")


@pytest.mark.parametrize(("kind", "changes"), ACCEPTED)
def test_what_is_near_a_refusal_is_read(kind: type[Resource], changes: Mapping[str, Any]) -> None:
    kind.parse(document(kind, changes))


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_an_invalid_document_is_refused_with_the_path_and_the_reason(refusal: Refusal) -> None:
    with pytest.raises(InvalidSpec) as error:
        refusal.kind.parse(document(refusal.kind, refusal.changes))
    assert [problem.path for problem in error.value.problems] == [refusal.blamed]
    assert refusal.says in str(error.value)
    assert "hidden" not in str(error.value)
    assert "pydantic" not in str(error.value)


@pytest.mark.parametrize("kind", VALID)
def test_a_misspelt_field_is_refused(kind: type[Resource]) -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.misspelt: expected a field that this version knows"):
        kind.parse(document(kind, {"spec.misspelt": True}))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.realm.enabled", "yes", "spec.realm.enabled: expected true or false, found a string"),
        ("spec.realm.failureFactor", 1.5, "spec.realm.failureFactor: expected a whole number, found a number"),
        ("spec.realm.failureFactor", -1, "spec.realm.failureFactor: expected at least 0, found -1"),
        ("spec.realm.sslRequired", "All", "spec.realm.sslRequired: expected 'none', 'external' or 'all', found 'All'"),
        ("spec.realm.supportedLocales", {}, "spec.realm.supportedLocales: expected a list, found an object"),
        ("spec.realm.attributes", {"a.b": None}, "spec.realm.attributes['a.b']: expected a string, found nothing"),
        ("spec.realm.realm", 256 * "r", "spec.realm.realm: expected at most 255 characters, found 256"),
        ("spec.connectionRef", "main", "spec.connectionRef: expected an object, found a string"),
        ("spec.connectionRef", {}, "spec.connectionRef.name: expected a value, found nothing"),
        ("spec.deletionPolicy", 99 * "x", "found '" + 59 * "x" + "…"),
    ],
)
def test_a_problem_says_what_was_expected_and_what_was_found(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidSpec) as error:
        KeycloakRealm.parse(document(KeycloakRealm, {path: value}))
    assert message in str(error.value)


def test_every_problem_is_named_and_what_is_said_of_many_is_said_once() -> None:
    fields = {f"spec.realm.{name}": value for group in UNDECLARABLE.values() for name, value in group.items()}
    with pytest.raises(InvalidSpec) as error:
        KeycloakRealm.parse(document(KeycloakRealm, {**fields, "spec.misspelt": 1, "spec.realm.failureFactor": -1}))
    assert {problem.path for problem in error.value.problems} >= fields.keys()
    assert len(error.value.problems) == len(fields) + 2
    said = str(error.value)
    assert [path for path in [*fields, "spec.misspelt", "spec.realm.failureFactor"] if path not in said] == []
    assert [said.count(words) for words in UNDECLARABLE] == [1 for _ in UNDECLARABLE]


@pytest.mark.parametrize(("kind", "field"), [(KeycloakRealm, "realm"), (KeycloakClient, "client")])
@given(unknown=st.dictionaries(st.text().map("new{}".format), JSON, max_size=3))
def test_a_representation_gives_back_what_was_declared_and_nothing_else(
    kind: type[Resource], field: str, unknown: dict[str, Any]
) -> None:
    body = document(kind)
    body["spec"][field] |= unknown
    assert declared(kind.parse(body)) == body["spec"][field]


def test_a_field_in_pythons_spelling_is_refused_with_keycloaks_name() -> None:
    with pytest.raises(InvalidSpec, match=r"^spec\.realm: display_name is called displayName$"):
        KeycloakRealm.parse(document(KeycloakRealm, {"spec.realm.display_name": "Shop"}))


@pytest.mark.parametrize("kind", VALID)
def test_defaults_are_those_of_the_definition(kind: type[Resource]) -> None:
    body = kind.parse(document(kind)).model_dump(mode="json", by_alias=True)
    for path, value in DEFAULTS[kind].items():
        assert at(body, path) == value


def test_a_document_is_not_touched() -> None:
    body = document(KeycloakClient)
    parsed = KeycloakClient.parse(body)
    parsed.spec.client.declared()["redirectUris"].append("another")
    assert body == document(KeycloakClient)
    assert parsed.spec.client.declared() == body["spec"]["client"]


def test_a_document_may_consist_of_views() -> None:
    body = document(KeycloakRealm)
    viewed = MappingProxyType({key: MappingProxyType(value) if isinstance(value, dict) else value
                               for key, value in body.items()})  # fmt: skip
    assert KeycloakRealm.parse(viewed) == KeycloakRealm.parse(body)


@pytest.mark.parametrize("path", ["spec", "spec.realm", "metadata", "status"])
def test_what_was_read_is_not_changed_by_accident(path: str) -> None:
    resource = KeycloakRealm.parse(document(KeycloakRealm))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(attrgetter(path)(resource), "name" if path == "metadata" else "realm", "other")


def test_a_reference_is_to_the_own_namespace_unless_it_says_otherwise() -> None:
    assert str(KeycloakRealm.parse(document(KeycloakRealm)).connection_key) == "identity/main"
    assert str(KeycloakClient.parse(document(KeycloakClient)).realm_key) == "here/shop"


@pytest.mark.parametrize(
    ("allowed", "asking", "answer"),
    [
        ([], "here", True),
        ([], "there", False),
        (["there"], "there", True),
        (["there"], "other", False),
        (["*"], "x", True),
    ],
)
def test_the_own_namespace_and_the_listed_ones_are_allowed(allowed: list[str], asking: str, answer: bool) -> None:
    realm = KeycloakRealm.parse(document(KeycloakRealm, {"spec.allowedNamespaces": allowed}))
    entries = [{"namespace": namespace} for namespace in allowed]
    connection = KeycloakConnection.parse(document(KeycloakConnection, {"spec.allowedNamespaces": entries}))
    assert (realm.allows(asking), connection.allows(asking)) == (answer, answer)


@pytest.mark.parametrize(
    ("entries", "asking", "realm", "login_realm", "answer"),
    [
        ([], "here", "master", "master", True),
        ([{"namespace": "there"}], "there", "any", "master", False),
        ([{"namespace": "there", "allowedRealms": ["*"]}], "there", "any", "master", True),
        ([{"namespace": "there", "allowedRealms": ["*"]}], "there", "master", "master", False),
        ([{"namespace": "there", "allowedRealms": ["master"]}], "there", "master", "master", False),
        ([{"namespace": "there", "allowedRealms": ["*"]}], "there", "admins", "admins", False),
        ([{"namespace": "there", "allowedRealms": ["*"]}], "there", "master", "admins", False),
        ([{"namespace": "*", "allowedRealms": ["shop-*-eu"]}], "there", "shop-a-eu", "master", True),
        ([{"namespace": "*", "allowedRealms": ["shop-*-eu"]}], "there", "shop-a-eu.", "master", False),
        ([{"namespace": "*", "allowedRealms": ["a.c"]}], "there", "abc", "master", False),
        ([{"namespace": "*", "allowedRealms": ["ab*ba"]}], "there", "aba", "master", False),
        ([{"namespace": "*", "allowedRealms": ["a*b*c*d"]}], "there", "a-c-b-cd", "master", True),
        ([{"namespace": "*", "allowedRealms": ["a*b*c*d"]}], "there", "a-c-b-d", "master", False),
        ([{"namespace": "*", "allowedRealms": [20 * "a*" + "b"]}], "there", 255 * "a", "master", False),
        ([{"namespace": "there", "allowedRealms": ["*"]}], "there", "MASTER", "master", False),
        # The entry of a namespace counts alone: it would be of no use to name a namespace in order to allow it less.
        ([{"namespace": "*", "allowedRealms": ["*"]}, {"namespace": "there"}], "there", "any", "master", False),
    ],
)
def test_a_connection_says_which_realms_a_namespace_may_declare(
    entries: list[dict[str, Any]], asking: str, realm: str, login_realm: str, answer: bool
) -> None:
    changes = {"spec.allowedNamespaces": entries, "spec.admin.loginRealm": login_realm}
    connection = KeycloakConnection.parse(document(KeycloakConnection, changes))
    grant = connection.grant(asking)
    assert grant is not None
    assert grant.declares(realm, administrative=connection.administers(realm)) is answer
    assert (grant.adopt, grant.built_in_clients) == (2 * (asking == "here",))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "example-credentials"),
        ({"spec.outputSecret": {"name": "mine"}}, "mine"),
        ({"spec.outputSecret": {}}, "example-credentials"),
        ({"spec.outputSecret": ABSENT}, "example-credentials"),
    ],
)
def test_the_output_secret_has_a_name_of_its_own_or_that_of_the_resource(changes: Mapping[str, Any], name: str) -> None:
    assert KeycloakClient.parse(document(KeycloakClient, changes)).output_secret_name == name


def test_a_deletion_is_seen() -> None:
    assert KeycloakConnection.parse(document(KeycloakConnection)).terminating_since is None
    body = document(KeycloakConnection, {"metadata.deletionTimestamp": "2026-01-31T23:59:59Z"})
    assert str(KeycloakConnection.parse(body).terminating_since) == "2026-01-31 23:59:59+00:00"


def test_a_status_is_read_and_what_is_unknown_in_it_is_ignored() -> None:
    body = document(KeycloakRealm, {"status": {"realm": "shop", "observedGeneration": 2, "newer": {}}})
    assert KeycloakRealm.parse(body).status == RealmStatus(realm="shop", observed_generation=2) == RealmStatus.of(body)


def test_a_status_that_cannot_be_read_counts_as_none() -> None:
    body = document(KeycloakConnection, {"status": {"url": 5, "version": "26"}})
    assert KeycloakConnection.parse(body).status == ConnectionStatus(version="26"), "what can be read is kept"
    assert ConnectionStatus.of(body) == ConnectionStatus()
    broken = document(KeycloakConnection, {"status": "text"})
    assert KeycloakConnection.parse(broken).status == ConnectionStatus()
    assert ConnectionStatus.of({}) == ConnectionStatus()
    assert ConnectionStatus.of({"status": {"version": "26"}, "spec": 5}) == ConnectionStatus(version="26")


def test_a_status_that_cannot_be_read_does_not_hide_what_is_wrong_with_the_spec() -> None:
    with pytest.raises(InvalidSpec, match=r"^spec\.admin: "):
        KeycloakConnection.parse(document(KeycloakConnection, {"status": {"url": 5}, "spec.admin": ABSENT}))
