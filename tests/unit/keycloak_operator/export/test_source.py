"""What is read of a file and of a server, and what either has more of than there are resources for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from keycloak_operator.errors import ForbiddenError, NotFoundError
from keycloak_operator.export.errors import ExportError
from keycloak_operator.export.source import PAGE, from_file, from_server
from keycloak_operator.keycloak.admin import AdminClient

FLOWS: list[dict[str, Any]] = [
    {"id": "1", "alias": "browser", "builtIn": True},
    {"id": "2", "alias": "mine", "builtIn": False},
]
ROLES = [{"name": name} for name in ("offline_access", "uma_authorization", "default-roles-r", "own")]
SCOPES = [{"name": name} for name in ("profile", "own")]


def read(content: Any, name: str | None = None) -> Any:
    return from_file(json.dumps(content), "file.json", name)


def test_a_partial_export() -> None:
    source = read(
        {
            "realm": "r",
            "clients": [{"clientId": "c"}, {"clientId": "account"}],
            "authenticationFlows": FLOWS,
            "roles": {"realm": ROLES, "client": {"account": [{}, {}], "c": [{}]}},
            "clientScopes": SCOPES,
            "components": {"a": [{}, {}], "b": [{}]},
            "users": [{"username": "u"}, {"username": "s", "serviceAccountClientId": "c"}],
            "groups": [{}],
            "identityProviders": None,
            "localizationTexts": {"de": {}},
        }
    )
    assert (source.name, [each["clientId"] for each in source.clients]) == ("r", ["c", "account"])
    assert source.flows == {"1": "browser", "2": "mine"}
    assert {what: count for what, count in source.unmanaged.items() if count} == {
        "authentication flows": 1, "realm roles": 1, "client roles": 1, "client scopes": 1, "components": 3, "users": 1,
        "groups": 1, "languages with own texts": 1,
    }  # fmt: skip


def test_what_get_answers() -> None:
    source = read({"realm": "r", "id": "1"})
    assert (source.realm, source.clients) == ({"realm": "r", "id": "1"}, [])
    for content in ({"clientId": "c"}, [{"clientId": "c"}]):
        source = read(content, "r")
        assert (source.name, source.realm, source.clients) == ("r", None, [{"clientId": "c"}])


def test_one_of_several_realms() -> None:
    assert read([{"realm": "a"}, {"realm": "b"}], "b").realm == {"realm": "b"}


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("no JSON", None, "file.json is no JSON: "),
        ("[]", None, "file.json holds neither a realm nor a client; expected what Keycloak exports"),
        ("5", None, "file.json holds neither"),
        ('[{"users": []}, 7]', "r", "file.json holds neither"),
        ('{"clientId": "c"}', None, "file.json holds clients without their realm; say which it is with --realm"),
        ('[{"realm": "a"}, {"realm": "b"}]', None, "file.json holds realm a, b; say which one with --realm"),
        ('{"realm": "a"}', "b", "file.json holds realm a; say which one with --realm"),
    ],
)
def test_what_cannot_be_read_is_said(content: str, name: str | None, said: str) -> None:
    with pytest.raises(ExportError) as error:
        from_file(content, "file.json", name)
    assert str(error.value).startswith(said)


class Admin:
    """The Admin API, as far as an export asks it, of a realm with *clients*."""

    def __init__(self, clients: list[dict[str, Any]], forbidden: tuple[str, ...] = ()) -> None:
        self.all, self.forbidden = clients, forbidden
        self.pages: list[int] = []

    async def get_realm(self, realm: str) -> dict[str, Any] | None:
        return {"realm": realm, "id": "1"} if realm == "r" else None

    async def clients(self, _realm: str, first: int, most: int) -> list[dict[str, Any]]:
        self.pages.append(first)
        return self.all[first : first + most]

    async def listed(self, _realm: str, what: str) -> list[dict[str, Any]]:
        self._check(what)
        known: dict[str, list[dict[str, Any]]] = {
            "authentication/flows": FLOWS, "roles": [*ROLES], "client-scopes": [*SCOPES],
        }  # fmt: skip
        return known.get(what, [{}, {}])

    async def count(self, _realm: str, what: str) -> int:
        self._check(what)
        if what == "organizations":
            raise NotFoundError("they are switched off")
        return 3

    def _check(self, what: str) -> None:
        if what in self.forbidden:
            raise ForbiddenError(what)


async def source_of(admin: Admin, name: str = "r", tell: Callable[[int], None] = lambda _: None) -> Any:
    return await from_server(cast(AdminClient, admin), name, tell)


def client(number: int) -> dict[str, Any]:
    return {"id": str(number), "clientId": f"c{number}", "enabled": True}


@pytest.mark.parametrize(
    ("number", "pages", "told"),
    [
        (0, [0], []),
        (PAGE - 1, [0], [99]),
        (PAGE, [0, 100], [100]),
        (2 * PAGE + 20, [0, 100, 200], [100, 200, 220]),
    ],
)
async def test_clients_come_in_pages_and_it_is_told_how_many(number: int, pages: list[int], told: list[int]) -> None:
    admin = Admin([client(each) for each in range(number)])
    heard: list[int] = []
    source = await source_of(admin, tell=heard.append)
    assert [each["clientId"] for each in source.clients] == [f"c{each}" for each in range(number)]
    assert (admin.pages, heard) == (pages, told)


async def test_a_client_that_comes_twice_counts_once() -> None:
    # One was made meanwhile, before those of the first page: the last of them moves to the second.
    clients = [client(each) for each in range(PAGE)]
    assert len((await source_of(Admin([*clients, clients[-1]]))).clients) == PAGE


async def test_what_else_there_is_on_a_server() -> None:
    source = await source_of(Admin([], forbidden=("users", "components")))
    assert source.flows == {"1": "browser", "2": "mine"}
    assert source.unmanaged == {
        "authentication flows": 1, "realm roles": 1, "client scopes": 1, "identity providers": 2, "components": None,
        "users": None, "groups": 3, "organizations": 0,
    }  # fmt: skip


async def test_a_realm_that_is_not_there_and_a_client_that_may_not_be_seen() -> None:
    with pytest.raises(ExportError, match="Keycloak has no realm x; correct --realm"):
        await source_of(Admin([]), "x")
    with pytest.raises(ForbiddenError, match="sees of client c only its name"):
        await source_of(Admin([{"id": "1", "clientId": "c"}]))
