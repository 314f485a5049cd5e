"""What is known of Keycloak's defaults, and what is not; whether it is true, a real Keycloak is asked elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from keycloak_operator.resources.defaults import (
    DIFFERS,
    MISSING,
    client_attributes,
    client_default,
    every_client_default,
    every_realm_default,
    realm_default,
)
from keycloak_operator.resources.read_only import client_without_read_only, realm_without_read_only


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("registrationAllowed",), False),
        (("displayName",), ""),
        (("eventsListeners",), ["jboss-logging"]),
        (("browserSecurityHeaders", "xFrameOptions"), "SAMEORIGIN"),
        (("attributes", "cibaInterval"), "5"),
        (("attributes", "mine"), MISSING),
        (("smtpServer", "host"), MISSING),
        (("clientPolicies", "policies"), []),
        (("displayName", "deeper"), MISSING),
        (("unknown",), MISSING),
    ],
)
def test_of_a_realm(path: tuple[str, ...], value: Any) -> None:
    assert realm_default(path) == value


@pytest.mark.parametrize(
    ("path", "protocol", "value"),
    [
        (("frontchannelLogout",), "openid-connect", False),
        (("frontchannelLogout",), "saml", True),
        (("standardFlowEnabled",), "saml", True),
        (("directAccessGrantsEnabled",), "openid-connect", False),
        (("attributes", "saml.authnstatement"), "saml", "true"),
        (("attributes", "saml.authnstatement"), "openid-connect", MISSING),
        (("attributes", "mine"), "saml", MISSING),
        (("defaultClientScopes",), "openid-connect", MISSING),
        (("protocolMappers", "m", "config", "a"), "openid-connect", MISSING),
        (("publicClient",), "docker-v2", False),
    ],
)
def test_of_a_client(path: tuple[str, ...], protocol: str, value: Any) -> None:
    assert client_default(path, protocol) == value


def test_what_only_keycloak_sets_has_no_default() -> None:
    assert realm_without_read_only(every_realm_default()).left_out == []
    for protocol in ("openid-connect", "saml"):
        assert client_without_read_only(every_client_default(protocol)).left_out == []


def test_names_are_those_of_fields_that_are_known() -> None:
    assert {path for path in DIFFERS if realm_default(path) is MISSING} == set()
    assert client_attributes("openid-connect").keys() == every_client_default("openid-connect")["attributes"].keys()
    assert client_attributes("docker-v2") == {}
