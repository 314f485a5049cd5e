"""The Admin API where a real Keycloak cannot be made to answer so; the rest is tested with one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest
import trustme

from keycloak_operator import errors
from keycloak_operator.keycloak.admin import AdminClient, Pool
from tests.cluster.waiting import WITHIN
from tests.unit.keycloak_operator.keycloak.answering import ACCESS, PAGE, Answer, Server, answered, client_of, failed

Call = Callable[[AdminClient], Awaitable[object]]

READS: dict[str, Call] = {
    "version": lambda admin: admin.version(),
    "get_realm": lambda admin: admin.get_realm("r"),
    "find_client": lambda admin: admin.find_client("r", "c"),
    "client_secret": lambda admin: admin.client_secret("r", "1"),
    "client_scopes": lambda admin: admin.client_scopes("r"),
}
CREATES: dict[str, Call] = {
    "create_realm": lambda admin: admin.create_realm({}),
    "create_client": lambda admin: admin.create_client("r", {}),
}
UPDATES: dict[str, Call] = {
    "update_realm": lambda admin: admin.update_realm("r", {}),
    "update_client": lambda admin: admin.update_client("r", "1", {}),
    "link_scope": lambda admin: admin.link_scope("r", "1", "default", "2"),
}
DELETES: dict[str, Call] = {
    "delete_realm": lambda admin: admin.delete_realm("r"),
    "delete_client": lambda admin: admin.delete_client("r", "1"),
    "unlink_scope": lambda admin: admin.unlink_scope("r", "1", "default", "2"),
}
EVERYTHING = READS | CREATES | UPDATES | DELETES


@pytest.mark.parametrize("call", READS.values(), ids=READS)
@pytest.mark.parametrize("content", [PAGE, '"text"', "[1]"])
async def test_a_page_of_somebody_else_is_no_answer(
    server: Server, admin: AdminClient, call: Call, content: str
) -> None:
    server.answers = [answered(200, content)]
    with pytest.raises(errors.KeycloakUnavailableError, match=r"kc did not answer /base/admin/.* as Keycloak does"):
        await call(admin)


@pytest.mark.parametrize("call", EVERYTHING.values(), ids=EVERYTHING)
@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_no_answer_is_an_error_that_names_the_url(
    server: Server, admin: AdminClient, call: Call, error: type[httpx.HTTPError]
) -> None:
    server.answers = [failed(error)]
    with pytest.raises(errors.KeycloakUnavailableError, match=f"Keycloak at http://kc/base .*{error.__name__}"):
        await call(admin)
    assert len(server.requests) == 1  # trying again is for the next time


@pytest.mark.parametrize("call", EVERYTHING.values(), ids=EVERYTHING)
@pytest.mark.parametrize(
    ("status", "error"), [(403, errors.ForbiddenError), (503, errors.KeycloakUnavailableError)], ids=str
)
async def test_what_is_refused_names_method_and_path(
    server: Server, admin: AdminClient, call: Call, status: int, error: type[Exception]
) -> None:
    server.answers = [answered(status)]
    with pytest.raises(error) as raised:
        await call(admin)
    request = server.requests[0]
    assert f"{request.method} {request.url.path}" in str(raised.value)


ELSE = {name: call for name, call in EVERYTHING.items() if name not in DELETES and name != "get_realm"}


@pytest.mark.parametrize("call", ELSE.values(), ids=ELSE)
async def test_what_should_be_there_and_is_not(server: Server, admin: AdminClient, call: Call) -> None:
    server.answers = [answered(404)]
    with pytest.raises(errors.NotFoundError, match=r"/base/admin/.*: Keycloak knows no such thing"):
        await call(admin)


@pytest.mark.parametrize("call", DELETES.values(), ids=DELETES)
async def test_what_is_gone_already_is_deleted(server: Server, admin: AdminClient, call: Call) -> None:
    server.answers = [answered(404)]
    await call(admin)


async def test_a_realm_that_is_not_there(server: Server, admin: AdminClient) -> None:
    server.answers = [answered(404)]
    assert await admin.get_realm("r") is None


@pytest.mark.parametrize("call", CREATES.values(), ids=CREATES)
async def test_somebody_else_was_faster(server: Server, admin: AdminClient, call: Call) -> None:
    server.answers = [answered(409), answered(201)]
    assert [await call(admin), await call(admin)] == [False, True]


@pytest.mark.parametrize("call", (UPDATES | DELETES).values(), ids=UPDATES | DELETES)
async def test_a_conflict_that_is_not_about_creating(server: Server, admin: AdminClient, call: Call) -> None:
    server.answers = [answered(409, {"errorMessage": "taken"})]
    with pytest.raises(errors.RejectedByKeycloakError, match=r": taken$"):
        await call(admin)


async def test_a_realm_that_keycloak_takes_for_another_one_is_not_returned(server: Server, admin: AdminClient) -> None:
    server.answers = [answered(200, {"realm": "R", "id": "1"})]  # as a database does that does not tell cases apart
    with pytest.raises(errors.NameConflictError, match="Keycloak takes r for realm R; choose another name"):
        await admin.get_realm("r")


STUMP = {"realm": "r"}


async def test_a_realm_that_is_newer_than_the_token_is_read_with_a_new_one(server: Server, admin: AdminClient) -> None:
    server.answers = [answered(200, STUMP), answered(200, STUMP | {"id": "1"})]
    assert await admin.get_realm("r") == {"realm": "r", "id": "1"}
    assert len(server.logins) == 2


async def test_nothing_but_the_name_of_a_realm_is_never_returned(server: Server, admin: AdminClient) -> None:
    server.answers = [answered(200, STUMP)]
    with pytest.raises(errors.ForbiddenError, match="sees of realm 'r' only its name"):
        await admin.get_realm("r")
    assert (len(server.logins), len(server.requests)) == (2, 2)


@pytest.mark.parametrize("status", [201, 409])
async def test_after_a_realm_was_created_there_is_a_new_token(server: Server, admin: AdminClient, status: int) -> None:
    server.answers = [answered(status)]
    await admin.create_realm({})
    await admin.create_realm({})
    assert len(server.logins) == 2


async def test_an_account_that_sees_no_version_is_no_administrator(server: Server, admin: AdminClient) -> None:
    server.answers = [answered(200, {"profileInfo": {}}), answered(200, {"systemInfo": {"version": "26.5.5"}})]
    with pytest.raises(errors.ForbiddenError, match="realm role admin"):
        await admin.version()
    assert await admin.version() == "26.5.5"


TENANTS = replace(ACCESS, realm="tenants")
TENANT = {"realm": "tenants", "id": "1"}


@pytest.mark.parametrize(
    ("info", "version"),
    [
        pytest.param(answered(200, {"systemInfo": {"version": "26.5.5"}}), "26.5.5", id="shown"),
        pytest.param(answered(200, {"profileInfo": {}}), None, id="not shown"),
        pytest.param(answered(403), None, id="forbidden"),
    ],
)
async def test_an_account_of_another_realm_need_not_see_the_version(
    server: Server, info: Answer, version: str | None
) -> None:
    admin = client_of(TENANTS)
    server.answers = [answered(200, TENANT), info]
    assert await admin.version() == version
    assert server.paths() == ["GET /base/admin/realms/tenants", "GET /base/admin/serverinfo"]
    await admin.close()


@pytest.mark.parametrize(
    ("realm", "error"),
    [
        pytest.param(answered(200, {"realm": "tenants"}), errors.ForbiddenError, id="only the name"),
        pytest.param(answered(403), errors.ForbiddenError, id="forbidden"),
        pytest.param(answered(404), errors.NotFoundError, id="gone"),
        pytest.param(answered(503), errors.KeycloakUnavailableError, id="down"),
    ],
)
async def test_an_account_of_another_realm_has_to_see_that(
    server: Server, realm: Answer, error: type[Exception]
) -> None:
    admin = client_of(TENANTS)
    server.answers = [realm]
    with pytest.raises(error, match="tenants"):
        await admin.version()
    await admin.close()


@pytest.mark.parametrize("call", EVERYTHING.values(), ids=EVERYTHING)
async def test_an_account_of_another_realm_is_told_what_it_may(server: Server, call: Call) -> None:
    admin = client_of(TENANTS)
    server.answers = [answered(403)]
    with pytest.raises(errors.ForbiddenError) as raised:
        await call(admin)
    assert "it is in realm tenants and can manage that realm only" in str(raised.value)
    assert "use an account in realm master" in str(raised.value)
    await admin.close()


@pytest.mark.parametrize(
    ("name", "written"),
    [("a/b", "a%2Fb"), ("100%", "100%25"), ("%2F", "%252F"), ("a?b#c", "a%3Fb%23c"), ("é ~", "%C3%A9%20~")],
)
async def test_a_name_is_one_step_of_a_path(server: Server, admin: AdminClient, name: str, written: str) -> None:
    for call in (
        admin.delete_realm(name),
        admin.delete_client(name, name),
        admin.link_scope("r", "1", "default", name),
    ):
        await call
    assert server.paths() == [
        f"DELETE /base/admin/realms/{written}",
        f"DELETE /base/admin/realms/{written}/clients/{written}",
        f"PUT /base/admin/realms/r/clients/1/default-client-scopes/{written}",
    ]


async def test_a_client_is_found_by_its_exact_id(server: Server, admin: AdminClient) -> None:
    server.answers = [answered(200, [{"clientId": "a&b=c2"}, {"clientId": "a&b=c", "id": "1"}]), answered(200, [])]
    assert await admin.find_client("r", "a&b=c") == {"clientId": "a&b=c", "id": "1"}
    assert await admin.find_client("r", "a&b=c") is None
    assert dict(server.requests[0].url.params) == {"clientId": "a&b=c"}


async def test_what_there_is_in_a_realm_is_listed_and_counted(server: Server, admin: AdminClient) -> None:
    server.answers = [
        answered(200, [{"clientId": "c"}]),
        answered(200, []),
        answered(200, 7),
        answered(200, {"count": 8}),
    ]
    assert await admin.clients("a/b", 100, 50) == [{"clientId": "c"}]
    assert await admin.listed("r", "identity-provider/instances") == []
    assert (await admin.count("r", "users"), await admin.count("r", "groups")) == (7, 8)
    assert server.paths() == [
        "GET /base/admin/realms/a%2Fb/clients?first=100&max=50",
        "GET /base/admin/realms/r/identity-provider/instances",
        "GET /base/admin/realms/r/users/count",
        "GET /base/admin/realms/r/groups/count",
    ]


@pytest.mark.parametrize(("content", "secret"), [({"value": "s"}, "s"), ({"value": None}, ""), ({}, "")])
async def test_a_client_may_have_no_secret(
    server: Server, admin: AdminClient, content: dict[str, str | None], secret: str
) -> None:
    server.answers = [answered(200, content)]
    assert await admin.client_secret("r", "1") == secret


@pytest.mark.parametrize("url", ["http://kc:port", "http://[::1", "http://xn--", "http://kc:1:2"])
def test_a_url_that_only_looks_like_one(url: str) -> None:
    with pytest.raises(errors.InvalidSpecError, match=r"spec\.url .* cannot be used: "):
        client_of(replace(ACCESS, url=url))


@pytest.mark.parametrize("ca", ["text", "ä", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_is_none(ca: str) -> None:
    with pytest.raises(errors.SecretNotFoundError, match=r"spec\.caSecret .* no certificate"):
        client_of(replace(ACCESS, ca=ca))


async def test_only_a_server_whose_certificate_is_trusted_is_told_the_credentials() -> None:
    mine, another = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    mine.issue_cert("127.0.0.1").configure_cert(context)
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
        content = b'{"access_token": "t", "expires_in": 3600}'
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listening:
        access = replace(ACCESS, url=f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        for ca in ("", another.cert_pem.bytes().decode()):
            admin = client_of(replace(access, ca=ca), timeout=WITHIN)
            with pytest.raises(errors.KeycloakUnavailableError, match="certificate"):
                await admin.delete_realm("r")
            await admin.close()
        assert asked == []
        admin = client_of(replace(access, ca=mine.cert_pem.bytes().decode()), timeout=WITHIN)
        await admin.delete_realm("r")
        await admin.close()
    assert asked == [b"POST", b"DELETE"]


async def test_connections_that_share_a_secret_keep_a_client_each(server: Server) -> None:
    pool = Pool(timeout=5, requests=8)
    for _ in range(2):
        for access in (ACCESS, replace(ACCESS, url="http://other"), TENANTS):
            await pool.admin(access).delete_realm("r")
    assert len(server.logins) == 3
    await pool.close()


async def test_a_pool_keeps_logins_until_the_credentials_change(server: Server) -> None:
    pool = Pool(timeout=5, requests=8)
    for access in (ACCESS, replace(ACCESS), replace(ACCESS, origin="Secret there/admin"), ACCESS):
        await pool.admin(access).delete_realm("r")
    assert len(server.logins) == 2
    before = pool.admin(ACCESS)
    await pool.admin(replace(ACCESS, client_secret="new")).delete_realm("r")
    await before.delete_realm("r")  # somebody may be in the middle of something
    assert [form["client_secret"] for form in server.forms()] == ["hidden-secret", "hidden-secret", "new"]
    await pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        await before.delete_realm("r")
