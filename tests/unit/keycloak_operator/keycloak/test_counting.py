"""Every request to Keycloak is counted: with its status, or with the fact that there was none."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import REGISTRY

from keycloak_operator import errors
from keycloak_operator.keycloak.admin import AdminClient
from tests.unit.keycloak_operator.keycloak.answering import Server, answered, failed


def counted(method: str, status: str) -> float:
    name, labels = "keycloak_operator_keycloak_requests_total", {"method": method, "status": status}
    return REGISTRY.get_sample_value(name, labels) or 0


async def test_answers_count_by_status_and_so_do_logins(server: Server, admin: AdminClient) -> None:
    before = counted("GET", "404"), counted("POST", "200")
    server.answers = [answered(404)]
    assert await admin.get_realm("r") is None
    assert (counted("GET", "404"), counted("POST", "200")) == (before[0] + 1, before[1] + 1)


async def test_what_was_not_answered_counts_too(server: Server, admin: AdminClient) -> None:
    before = counted("DELETE", "none")
    server.answers = [failed(httpx.ConnectError)]
    with pytest.raises(errors.KeycloakUnavailableError):
        await admin.delete_realm("r")
    assert counted("DELETE", "none") == before + 1
