"""Logging in: as seldom as possible, once more when it is of use, and with an error that helps when it is not."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import httpx
import pytest

from keycloak_operator import errors
from keycloak_operator.keycloak.admin import AdminClient
from keycloak_operator.keycloak.token import MARGIN
from keycloak_operator.reconcile.ports import Access
from tests.cluster.waiting import WITHIN
from tests.unit.keycloak_operator.keycloak.answering import (
    ACCESS,
    PAGE,
    PERSON,
    Answer,
    Server,
    answered,
    client_of,
    failed,
    granted,
)


async def test_many_first_requests_make_one_login(server: Server, admin: AdminClient) -> None:
    await asyncio.gather(*(admin.delete_realm(f"r{number}") for number in range(20)))
    assert (len(server.logins), len(server.requests), len(set(server.tokens))) == (1, 20, 1)


@pytest.mark.parametrize(("seconds", "logins"), [(MARGIN + 3600, 1), (MARGIN, 3), (1, 3)])
async def test_a_token_is_used_until_shortly_before_its_end(
    server: Server, admin: AdminClient, seconds: float, logins: int
) -> None:
    server.login = granted(seconds)
    for _ in range(3):
        await admin.delete_realm("r")
    assert len(server.logins) == logins


async def test_a_refused_token_is_replaced_and_the_request_is_made_once_more(
    server: Server, admin: AdminClient
) -> None:
    server.answers = [answered(401), answered(204)]
    await admin.update_realm("r", {"displayName": "R"})
    assert len(server.logins) == 2
    assert server.paths() == 2 * ["PUT /base/admin/realms/r"]
    assert server.bodies() == 2 * [{"displayName": "R"}]
    assert len(set(server.tokens)) == 2


async def test_a_token_that_is_refused_to_many_is_replaced_once(server: Server) -> None:
    admin = client_of(ACCESS, at_a_time=32)  # all of them have the token already when it is refused
    await admin.delete_realm("first")
    outdated = server.tokens[0]
    server.answers = [lambda each: httpx.Response(401 if each.headers["Authorization"] == outdated else 204)]
    last = server.late["last"] = asyncio.Event()
    asked_before = asyncio.create_task(admin.delete_realm("last"))
    await asyncio.gather(*(admin.delete_realm(f"r{number}") for number in range(20)))
    last.set()  # it is refused when there is a new token already
    await asked_before
    assert server.tokens.count(outdated) == 22
    assert len(server.logins) == 2
    await admin.close()


async def test_a_fresh_token_that_is_refused_is_the_end_of_it(server: Server, admin: AdminClient) -> None:
    server.answers = [answered(401)]
    with pytest.raises(errors.AuthenticationFailedError, match="refused a fresh token for DELETE /base/admin/realms/r"):
        await admin.delete_realm("r")
    assert (len(server.logins), len(server.requests)) == (2, 2)


async def test_a_login_that_is_given_up_keeps_nobody_else_from_it(server: Server, admin: AdminClient) -> None:
    given_up = asyncio.create_task(admin.delete_realm("r"))
    waiting = asyncio.create_task(admin.delete_realm("r"))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait_for(waiting, WITHIN)
    assert given_up.cancelled()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("access", "form"),
    [
        (ACCESS, {"grant_type": "client_credentials", "client_id": "me", "client_secret": "hidden-secret"}),
        (
            PERSON,
            {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "hidden-password"},
        ),
    ],
    ids=["service account", "user"],
)
@pytest.mark.parametrize("realm", ["master", "tenants"])
async def test_what_is_sent_to_log_in(server: Server, access: Access, form: dict[str, str], realm: str) -> None:
    access = replace(access, realm=realm)
    admin = client_of(access)
    await admin.delete_realm("r")
    await admin.close()
    assert server.forms() == [form]
    assert str(server.logins[0].url) == f"http://kc/base/realms/{realm}/protocol/openid-connect/token"


REFUSED = {"error": "invalid_grant", "error_description": "Invalid user credentials"}


@pytest.mark.parametrize(("access", "who"), [(ACCESS, "client 'me'"), (PERSON, "user 'admin'")], ids=["client", "user"])
@pytest.mark.parametrize(
    ("login", "reason"),
    [
        (answered(401, REFUSED), "Invalid user credentials"),
        (answered(400, REFUSED), "Invalid user credentials"),
        (answered(401, PAGE), "HTTP 401"),
    ],
    ids=["401", "400", "without a word"],
)
async def test_a_refused_login_names_the_secret_and_never_what_is_in_it(
    server: Server, access: Access, who: str, login: Answer, reason: str
) -> None:
    server.login = login
    admin = client_of(access)
    with pytest.raises(errors.AuthenticationFailedError) as raised:
        await admin.delete_realm("r")
    await admin.close()
    said = str(raised.value)
    assert said.startswith(f"Keycloak at http://kc/base refused {who} ({reason})")
    assert said.endswith(f"correct {access.origin}")
    assert "hidden" not in said
    assert (len(server.logins), len(server.requests)) == (1, 0)


@pytest.mark.parametrize(
    "login",
    [
        pytest.param(answered(200, PAGE), id="a page"),
        pytest.param(answered(200, {}), id="no token"),
        pytest.param(answered(200, {"access_token": "t", "expires_in": "soon"}), id="no time"),
        pytest.param(answered(200, {"access_token": None, "expires_in": 60}), id="nothing for a token"),
        pytest.param(answered(404, {"error": "Unable to find matching target resource method"}), id="wrong path"),
        pytest.param(answered(302, PAGE), id="not a redirect"),
        pytest.param(lambda _: httpx.Response(302, headers={"Location": "https://kc"}), id="redirect"),
        pytest.param(answered(503, PAGE), id="starting"),
        pytest.param(answered(500, {"error": "unknown_error"}), id="without its database"),
        pytest.param(failed(httpx.ConnectError, "refused"), id="refused"),
    ],
)
async def test_no_keycloak_to_log_in_to(server: Server, admin: AdminClient, login: Answer) -> None:
    server.login = login
    with pytest.raises(errors.KeycloakUnavailableError, match="kc"):
        await admin.delete_realm("r")
    assert not server.requests
    server.login = granted()  # and when it is there, nothing is left of it
    await admin.delete_realm("r")


async def test_a_realm_to_log_in_to_that_is_not_there(server: Server) -> None:
    admin = client_of(replace(ACCESS, realm="tenants"))
    server.login = answered(404, {"error": "Realm does not exist"})
    with pytest.raises(errors.NotFoundError, match=r"has no realm tenants .* correct spec\.admin\.loginRealm"):
        await admin.delete_realm("r")
    await admin.close()


async def test_a_login_takes_no_longer_than_the_request_behind_it(server: Server) -> None:
    admin = client_of(ACCESS, timeout=7)
    await admin.delete_realm("r")
    await admin.close()
    limits = [request.extensions["timeout"] for request in (*server.logins, *server.requests)]
    assert limits == 2 * [dict.fromkeys(("connect", "read", "write", "pool"), 7)]


async def test_a_login_that_is_never_answered_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        access = Access(url=f"http://127.0.0.1:{silent.getsockname()[1]}", client_id="me", client_secret="s")
        admin = client_of(access, timeout=0.1)
        with pytest.raises(errors.KeycloakUnavailableError, match=r"does not answer: (Connect|Read)Timeout"):
            await asyncio.wait_for(admin.delete_realm("r"), WITHIN)
        await admin.close()
