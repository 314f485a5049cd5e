"""What scans everything that every test here produces finds a secret wherever it is and however it is written."""

from __future__ import annotations

import asyncio
import base64
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from kubernetes_asyncio.client import CoreV1Api, CustomObjectsApi

from keycloak_operator.resources import GROUP, VERSION, KeycloakRealm
from tests.cluster import ControlPlane, Proxy, eventually, proxy
from tests.cluster.keycloak import Keycloak
from tests.functional.keycloak_operator.secrecy import Produced, shown_in
from tests.functional.keycloak_operator.users import User, start_operator
from tests.unit.keycloak_operator.resources.examples import VALID

WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "URL-encoded": quote_plus,
    "in base64": lambda secret: base64.b64encode(f"some-client:{secret}".encode()).decode(),
}


class Planting:
    """Puts a text into each of the four places."""

    def __init__(self, user: User, control_plane: ControlPlane, folder: Path) -> None:
        self._user, self._plane, self._folder = user, control_plane, folder

    async def in_a_log_line(self, text: str) -> None:
        # The operator does not start, and says what is wrong.
        with start_operator(
            self._folder, self._plane.kubeconfig, self._user.namespace, KEYCLOAK_OPERATOR_ID=text
        ) as it:
            assert await asyncio.to_thread(it.ended) != 0

    async def in_an_event(self, text: str) -> None:
        event: Any = {
            "metadata": {"generateName": "planted-", "namespace": self._user.namespace},
            "involvedObject": {"kind": "KeycloakRealm", "name": "realm", "namespace": self._user.namespace},
            "reason": "Planted",
            "message": f"planted {text}",
        }
        await CoreV1Api(self._user.api).create_namespaced_event(self._user.namespace, event)

    async def in_a_status(self, text: str) -> None:
        await self._patch({"status": {"realm": f"planted {text}"}}, "_status")

    async def in_an_annotation(self, text: str) -> None:
        await self._patch({"metadata": {"annotations": {f"{GROUP}/planted": text}}})

    async def _patch(self, patch: dict[str, Any], where: str = "") -> None:
        await self._user.apply("KeycloakRealm", "realm", VALID[KeycloakRealm])
        patched: Any = getattr(CustomObjectsApi(self._user.api), f"patch_namespaced_custom_object{where}")
        plural, namespace = KeycloakRealm.definition.plural, self._user.namespace
        await patched(GROUP, VERSION, namespace, plural, "realm", patch, _content_type="application/merge-patch+json")


PLACES = {
    "in_a_log_line": "operator-",
    "in_an_event": "event Planted in events",
    "in_a_status": "status of keycloakrealms",
    "in_an_annotation": "metadata of keycloakrealms",
}


async def until_found(produced: Produced) -> list[str]:
    """Wait until something was found: a request is written down about when it is answered."""

    async def found() -> list[str]:
        return produced.leaks()

    return await eventually(found, "a secret is found")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", WRITTEN)
async def test_a_planted_secret_is_found(  # noqa: PLR0917 - fixtures and parameters
    user: User, control_plane: ControlPlane, tmp_path: Path, produced: Produced, place: str, form: str
) -> None:
    secret = f"Pass/word+{uuid.uuid4()} & more"
    await user.put_secret("planted", password=secret, client_id="harmless", username=secret[:4])
    await getattr(Planting(user, control_plane, tmp_path), place)(WRITTEN[form](secret))
    found = await until_found(produced)
    assert all(each.startswith(PLACES[place]) for each in found), found
    assert f"key password of Secret {user.namespace}/planted, {form}" in found[0]
    assert secret not in str(found)
    assert produced.leaks() == [], "it is told once"


async def test_a_planted_token_is_found(
    user: User, keycloak: Keycloak, control_plane: ControlPlane, tmp_path: Path, produced: Produced
) -> None:
    await Planting(user, control_plane, tmp_path).in_a_status(await keycloak.api.token())
    assert [each.partition(": ")[2] for each in await until_found(produced)] == ["a token"]


async def test_a_secret_that_only_a_proxy_has_seen_is_found(
    user: User, control_plane: ControlPlane, tmp_path: Path, produced: Produced
) -> None:
    async with proxy("http://127.0.0.1:9") as between:
        between.credentials["made by Keycloak"] = "secret of GET /clients"
        produced.watch(between)
    await Planting(user, control_plane, tmp_path).in_an_event("made by Keycloak")
    assert "secret of GET /clients, as it is" in (await until_found(produced))[0]


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "z", "zy", "\n"])
@pytest.mark.parametrize("secret", ["12345678", "pässwörd?~>", "a" * 65])
def test_base64_is_found_wherever_the_secret_begins_in_it(secret: str, before: str, after: str) -> None:
    whole = f"{before}{secret}{after}".encode()
    for text in (base64.b64encode(whole), base64.urlsafe_b64encode(whole)):
        assert list(shown_in(f"x {text.decode()} y", {secret: "it"})) == ["it, in base64"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("a neu b", True), ("password=neu,", True), ("neutral", False), ("bmV1", True), ("xbmV1", False)],
)
def test_a_short_secret_is_found_as_a_word(text: str, *, found: bool) -> None:
    assert bool(list(shown_in(text, {"neu": "it"}))) is found


def test_nothing_is_found_in_what_shows_nothing() -> None:
    assert list(shown_in("client app of realm shop: Synced", {"some-secret": "it"})) == []


async def life_of_secrets(user: User, keycloak: Keycloak, between: Proxy) -> None:
    """Have the operator use secrets of every kind, right ones and wrong ones."""
    account, random = keycloak.service_account, str(uuid.uuid4())
    connection = {"url": between.url, "admin": {"secret": "admin"}}
    await user.put_secret("admin", client_id=account.client_id, client_secret=f"wrong-{random}")
    await user.apply("KeycloakConnection", "keycloak", connection)
    await user.wait_for("KeycloakConnection", "keycloak", "AuthenticationFailed")
    await user.put_secret("admin", client_id=account.client_id, client_secret=account.client_secret)
    generation = await user.apply(
        "KeycloakConnection", "keycloak", {**connection, "allowedNamespaces": [{"namespace": "x"}]}
    )
    await user.wait_for("KeycloakConnection", "keycloak", "Synced", generation)
    await user.put_secret("smtp", password=f"smtp-{random}")
    await user.put_secret("chosen", secret=f"chosen-{random}")
    realm = {"realm": f"realm-of-{user.namespace}", "smtpServer": {"host": "mail", "from": "a@example.com"}}
    spec = {"connectionRef": {"name": "keycloak"}, "realm": realm, "deletionPolicy": "Delete"}
    await user.apply("KeycloakRealm", "realm", {**spec, "smtpPasswordSecret": {"name": "smtp", "key": "password"}})
    chosen = {"clientSecretRef": {"name": "chosen", "key": "secret"}}
    await user.apply("KeycloakClient", "chosen", {"realmRef": {"name": "realm"}, "client": {"clientId": "a"}, **chosen})
    await user.apply("KeycloakClient", "made", {"realmRef": {"name": "realm"}, "client": {"clientId": "b"}})
    for name in ("chosen", "made"):
        await user.wait_for("KeycloakClient", name, "Synced")
    # What Keycloak refuses, it repeats in its answer.
    await user.apply("KeycloakRealm", "realm", {**spec, "realm": {**realm, "browserFlow": "none"}})
    await user.wait_for("KeycloakRealm", "realm", "RejectedByKeycloak")
    for kind, name in (("KeycloakClient", "chosen"), ("KeycloakClient", "made"), ("KeycloakRealm", "realm")):
        await user.delete(kind, name)
        await user.wait_until_gone(kind, name)


@pytest.mark.parametrize("options", [("--verbose",), ("--debug",)], ids=" ".join)
async def test_debug_lines_show_no_secret(  # noqa: PLR0917 - fixtures and parameters
    user: User, keycloak: Keycloak, control_plane: ControlPlane, tmp_path: Path, produced: Produced, options: tuple[str]
) -> None:
    kubeconfig = control_plane.kubeconfig
    with start_operator(tmp_path, kubeconfig, user.namespace, "kopf run", options=options) as operator:
        async with proxy(keycloak.url) as between:
            produced.watch(between)
            try:
                await life_of_secrets(user, keycloak, between)
            except BaseException as error:
                error.add_note(operator.text()[-5000:])
                raise
        operator.signal(signal.SIGTERM)
        assert await asyncio.to_thread(operator.ended) == 0
    assert "[DEBUG   ]" in operator.text()
    assert between.credentials
