"""What only Keycloak sets is taken out of a representation, with its paths, and nothing else is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycloak_operator.resources import MASK
from keycloak_operator.resources.read_only import MIRRORED, client_without_read_only, realm_without_read_only
from tests.unit.keycloak_operator.resources.examples import VALID

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
REPRESENTATIONS = st.dictionaries(
    st.sampled_from(["id", "attributes", "smtpServer", "protocolMappers", "secret", "clientId", "notBefore", "x"]), ANY
)


@pytest.mark.parametrize(
    ("given_", "left", "paths"),
    [
        ({"id": "1", "realm": "r", "keycloakVersion": "26"}, {"realm": "r"}, ["id", "keycloakVersion"]),
        ({"defaultRole": {"id": "1"}, "notBefore": 7}, {}, ["defaultRole", "notBefore"]),
        ({"adminPermissionsClient": {"id": "1"}, "otpSupportedApplications": ["a"]}, {},
         ["adminPermissionsClient", "otpSupportedApplications"]),
        ({"oauth2DeviceCodeLifespan": 700, "attributes": {"oauth2DeviceCodeLifespan": "600", "a.b": "1"}},
         {"oauth2DeviceCodeLifespan": 700, "attributes": {"a.b": "1"}}, ["attributes.oauth2DeviceCodeLifespan"]),
        # By itself it would be a slip: a rule says so.
        ({"attributes": {"oauth2DeviceCodeLifespan": "600"}}, {"attributes": {"oauth2DeviceCodeLifespan": "600"}}, []),
        ({"otpPolicyCodeReusable": False, "attributes": {"realmReusableOtpCode": "false"}},
         {"otpPolicyCodeReusable": False, "attributes": {}}, ["attributes.realmReusableOtpCode"]),
        ({"smtpServer": {"host": "h", "password": MASK}}, {"smtpServer": {"host": "h"}}, ["smtpServer.password"]),
        ({"smtpServer": {"password": "p"}}, {"smtpServer": {"password": "p"}}, []),
        ({"protocolMappers": [{"id": "1"}], "access": {}}, {"protocolMappers": [{"id": "1"}], "access": {}}, []),
    ],
)  # fmt: skip
def test_of_a_realm(given_: dict[str, Any], left: dict[str, Any], paths: list[str]) -> None:
    assert realm_without_read_only(given_) == (left, paths)


@pytest.mark.parametrize(
    ("given_", "left", "paths"),
    [
        ({"id": "1", "clientId": "c", "access": {"view": True}}, {"clientId": "c"}, ["access", "id"]),
        ({"notBefore": 0, "origin": "o", "registeredNodes": {"n": 1}}, {}, ["notBefore", "origin", "registeredNodes"]),
        ({"secret": MASK}, {}, ["secret"]),
        ({"secret": "s"}, {"secret": "s"}, []),
        ({"attributes": {"realm_client": "false", "client.secret.creation.time": "1", "mine": MASK, "a": "b"}},
         {"attributes": {"a": "b"}},
         ["attributes.client.secret.creation.time", "attributes.mine", "attributes.realm_client"]),
        ({"clientId": "saml", "attributes": {"saml.artifact.binding.identifier": "KrXTZEZ4jv5lKJLhd8JD8LtnSMw="}},
         {"clientId": "saml", "attributes": {}}, ["attributes.saml.artifact.binding.identifier"]),
        ({"clientId": "saml", "attributes": {"saml.artifact.binding.identifier": "own"}},
         {"clientId": "saml", "attributes": {"saml.artifact.binding.identifier": "own"}}, []),
        ({"protocolMappers": [{"id": "1", "name": "m", "consentRequired": False, "config": {"id": "kept"}}]},
         {"protocolMappers": [{"name": "m", "config": {"id": "kept"}}]},
         ["protocolMappers.m.consentRequired", "protocolMappers.m.id"]),
        ({"keycloakVersion": "26", "defaultRole": {}}, {"keycloakVersion": "26", "defaultRole": {}}, []),
    ],
)  # fmt: skip
def test_of_a_client(given_: dict[str, Any], left: dict[str, Any], paths: list[str]) -> None:
    assert client_without_read_only(given_) == (left, paths)


@given(representation=REPRESENTATIONS)
def test_a_second_time_nothing_is_left_to_take_and_the_original_is_not_changed(representation: dict[str, Any]) -> None:
    before = copy.deepcopy(representation)
    for clean in (realm_without_read_only, client_without_read_only):
        once = clean(representation)
        assert clean(once.representation) == (once.representation, [])
        assert once.representation.keys() <= representation.keys()
    assert representation == before


def test_what_people_write_themselves_stays() -> None:
    for kind, field, clean in zip(
        list(VALID)[1:], ("realm", "client"), (realm_without_read_only, client_without_read_only), strict=True
    ):
        assert clean(VALID[kind][field]) == (VALID[kind][field], [])
    assert set(MIRRORED.values()) >= {"otpPolicyCodeReusable", "clientSessionIdleTimeout"}
