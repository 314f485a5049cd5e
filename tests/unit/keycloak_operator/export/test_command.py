"""The command: what it writes where, what it tells, and how it ends."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from keycloak_operator.export import command
from keycloak_operator.export.command import Progress, _parser, main
from keycloak_operator.export.credentials import account
from keycloak_operator.export.source import Source
from keycloak_operator.reconcile.ports import Access
from keycloak_operator.resources import OWNER_ATTRIBUTE, KeycloakClient, KeycloakRealm, Resource
from keycloak_operator.resources.defaults import every_client_default, every_realm_default

CLIENT = {**every_client_default("openid-connect"), "secret": "hidden", "defaultClientScopes": ["email", "own"]}
KINDS: Mapping[str, type[Resource]] = {"KeycloakRealm": KeycloakRealm, "KeycloakClient": KeycloakClient}


def realm(clients: int = 2, **fields: Any) -> dict[str, Any]:
    """Return a partial export."""
    named = [{**CLIENT, "clientId": f"c{number}", "id": f"id-{number}"} for number in range(clients)]
    return {**every_realm_default(), "realm": "shop", "clients": [*named, {**CLIENT, "clientId": "account"}], **fields}


def run(
    *options: str, content: Any = None, folder: Path | None = None, environ: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, list[dict[str, Any]], str, str]:
    """Run the command; return how it ended, the documents, and both texts."""
    out, err = io.StringIO(), io.StringIO()
    if folder is not None:
        (folder / "in.json").write_text(content if isinstance(content, str) else json.dumps(content))
        options = (f"--from={folder / 'in.json'}", *options)
    code = main(options, environ, out, err)
    return code, list(yaml.safe_load_all(out.getvalue())), out.getvalue(), err.getvalue()


def test_a_partial_export_of_two_hundred_clients_is_as_many_resources(tmp_path: Path) -> None:
    code, documents, out, err = run(content=realm(200), folder=tmp_path)
    assert code == 0
    assert [each["kind"] for each in documents] == ["KeycloakRealm", *200 * ["KeycloakClient"]]
    assert len({each["metadata"]["name"] for each in documents}) == 201
    for each in documents:
        stored = {**each["metadata"], "namespace": "n", "uid": "u", "generation": 1}
        KINDS[each["kind"]].parse({**each, "metadata": stored})
    assert "hidden" not in out + err
    assert err.startswith("realm shop: 1 KeycloakRealm and 200 KeycloakClient written\n")


def test_what_comes_out_depends_on_nothing_but_what_comes_in(tmp_path: Path) -> None:
    content = realm()
    backwards = {**dict(reversed(content.items())), "clients": content["clients"][::-1]}
    assert run(content=content, folder=tmp_path)[2] == run(content=backwards, folder=tmp_path)[2]


def test_beside_the_realm_it_adopts_and_another_realm_has_to_be_new(tmp_path: Path) -> None:
    _, documents, *_ = run("--built-in-clients", content=realm(1), folder=tmp_path)
    assert [(each["spec"]["adopt"], each["spec"]["deletionPolicy"]) for each in documents] == 3 * [(True, "Retain")]
    _, documents, *_ = run("--built-in-clients", "--as=other", content=realm(1), folder=tmp_path)
    by_client = {each["spec"].get("client", {}).get("clientId", "realm"): each["spec"] for each in documents}
    assert {name: spec["adopt"] for name, spec in by_client.items()} == {"realm": False, "account": True, "c0": False}
    assert by_client["realm"]["realm"]["realm"] == "other"
    assert by_client["c0"]["realmRef"] == {"name": "other"}


def test_where_the_resources_are(tmp_path: Path) -> None:
    options = ("--namespace=team", "--connection=identity/main", "--prefix=a-")
    _, (of_realm, of_client), *_ = run(*options, content=realm(1), folder=tmp_path)
    assert of_realm["metadata"] == {"name": "a-shop", "namespace": "team"}
    assert of_realm["spec"]["connectionRef"] == {"name": "main", "namespace": "identity"}
    assert of_client["metadata"] == {"name": "a-c0", "namespace": "team"}
    assert of_client["spec"]["realmRef"] == {"name": "a-shop"}


def test_a_file_for_each_resource(tmp_path: Path) -> None:
    code, documents, out, _ = run(f"--output={tmp_path / 'new' / 'deep'}", content=realm(1), folder=tmp_path)
    assert (code, documents, out) == (0, [], "")
    files = {path.name: path.read_text() for path in (tmp_path / "new" / "deep").iterdir()}
    assert sorted(files) == ["client-c0.yaml", "realm-shop.yaml"]
    assert files["realm-shop.yaml"].startswith("# Made by python -m keycloak_operator.export of realm shop\n")
    assert yaml.safe_load(files["client-c0.yaml"])["spec"]["client"]["clientId"] == "c0"


def test_what_was_left_out_is_listed_with_the_reason(tmp_path: Path) -> None:
    content = realm(
        id="1",
        users=[{}, {}],
        smtpServer={"host": "h", "password": "hidden"},
        attributes={OWNER_ATTRIBUTE: "operator/team/shop"},
        defaultGroups=["/staff"],
        browserFlow="own flow",
    )
    *_, err = run(content=content, folder=tmp_path)
    told = " ".join(err.split())
    for said in (
        f"left out of the realm, as only Keycloak sets them: attributes.{OWNER_ATTRIBUTE}, id",
        "left out of clients, as only Keycloak sets them: id (2)",
        "left out of the realm, as they are Keycloak's defaults: accessCodeLifespan, ",
        "left out of clients, as they are Keycloak's defaults: adminUrl (2), ",
        "left out of the realm, as they are secrets: smtpServer.password",
        "left out, as the operator does not manage them: 2 users",
        "left out, as they are Keycloak's own clients; --built-in-clients exports them: account",
        "unless spec.clientSecretRef names a Secret that has it: c0, c1",
        "spec.smtpPasswordSecret names a Secret that has the password",
        "has to be there in another realm first: authentication flow own flow, client scope own, group /staff",
        "operator/namespace/name: realm shop (operator/team/shop)",
    ):
        assert said in told
    assert "hidden" not in err


def test_what_no_resource_can_declare_is_named_and_the_rest_is_written(tmp_path: Path) -> None:
    content = realm(1)
    content["clients"].append({**CLIENT, "clientId": "registry", "protocol": "docker-v2"})
    code, documents, _, err = run(content=content, folder=tmp_path)
    assert code == 1
    assert [each["metadata"]["name"] for each in documents] == ["shop", "c0"]
    assert "NOT exported, as no resource can declare it: client registry: spec.client.protocol: expected" in err
    assert run(content={"realm": "no name"}, folder=tmp_path)[0] == 1
    code, documents, _, err = run("--realm=shop", content={"clientId": "account"}, folder=tmp_path)
    assert (code, documents) == (1, [])
    assert err.startswith("realm shop: nothing written\n")


@pytest.mark.parametrize(
    ("options", "content", "said"),
    [
        ((), "text", "in.json is no JSON"),
        (("--output=/dev/null/x",), realm(), "/dev/null/x cannot be written to: "),
        (("--realm=other",), realm(), "in.json holds realm shop; say which one with --realm"),
    ],
)
def test_a_failure_is_one_line(tmp_path: Path, options: tuple[str, ...], content: Any, said: str) -> None:
    code, documents, _, err = run(*options, content=content, folder=tmp_path)
    assert (code, documents) == (1, [])
    assert said in err
    assert err.count("\n") == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    code, *_, err = run(f"--from={tmp_path / 'gone'}")
    assert (code, "gone cannot be read: " in err) == (1, True)


SERVER = ("--server=http://127.0.0.1:9", "--realm=shop")


@pytest.mark.parametrize(
    ("file", "environ", "said"),
    [
        (None, {}, "no account to log in with in the environment variables: expected KEYCLOAK_OPERATOR_CLIENT_ID and"),
        (None, {}, "KEYCLOAK_OPERATOR_USERNAME and KEYCLOAK_OPERATOR_PASSWORD, or a file with --credentials\n"),
        (None, {"KEYCLOAK_OPERATOR_CLIENT_ID": "a", "KEYCLOAK_OPERATOR_PASSWORD": "hidden"}, "no account to log in"),
        ("client-id: a", {}, "credentials: expected client-id and client-secret or username and password\n"),
        ("hidden: [", {}, "credentials is no YAML: expected lines like client-id: NAME\n"),
        ("- hidden", {}, "credentials holds no YAML of names and values"),
        ("client-id: a\nclient-secret: hidden", {}, "Keycloak at http://127.0.0.1:9 does not answer"),
        ("username: a\npassword: 123", {}, "Keycloak at http://127.0.0.1:9 does not answer"),
        (None, {"KEYCLOAK_OPERATOR_USERNAME": "a", "KEYCLOAK_OPERATOR_PASSWORD": "hidden"}, "does not answer"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_credentials(tmp_path: Path, file: str | None, environ: dict[str, str], said: str) -> None:
    options = list(SERVER)
    if file is not None:
        (tmp_path / "credentials").write_text(file)
        options.append(f"--credentials={tmp_path / 'credentials'}")
    code, *_, err = run(*options, environ=environ)
    assert code == 1
    assert said in err
    assert "hidden" not in err


def test_how_a_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Access] = []

    async def read(access: Access, *_: object) -> Source:
        found.append(access)
        return Source(name="shop", realm=realm())

    monkeypatch.setattr(command, "_read", read)
    environ = {"KEYCLOAK_OPERATOR_CLIENT_ID": "a", "KEYCLOAK_OPERATOR_CLIENT_SECRET": "hidden"}
    assert run("--server=https://kc/base/", "--realm=shop", "--login-realm=tenants", environ=environ)[0] == 0
    assert run(*SERVER, environ=environ)[0] == 0
    account = {"client_id": "a", "client_secret": "hidden", "origin": "the environment variables"}
    assert found == [
        Access(url="https://kc/base", realm="tenants", **account),
        Access(url="http://127.0.0.1:9", realm="master", **account),
    ]


def test_certificates_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("text")
    account = {"KEYCLOAK_OPERATOR_CLIENT_ID": "a", "KEYCLOAK_OPERATOR_CLIENT_SECRET": "b"}
    code, *_, err = run(*SERVER, f"--ca={tmp_path / 'ca'}", environ=account)
    assert (code, "ca holds no certificate in PEM form; correct --ca" in err) == (1, True)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--server=http://k",),
        ("--server=http://k", "--from=f"),
        ("--from=f", "--prefix=A_"),
        ("--from=f", "--connection=a/"),
        ("--from=f", "--password=x"),
    ],
)
def test_a_wrong_command_line(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(options, {})
    assert end.value.code == 2
    assert (
        "usage: python -m keycloak_operator.export (--server URL --realm NAME | --from FILE)" in capsys.readouterr().err
    )


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "keycloak-operator.md").read_text()
    options = [action.option_strings[-1] for action in _parser()._actions]
    assert [option for option in options if f"`{option}" not in page and option != "--help"] == []


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [(True, "\r100 clients read\r120 clients read\n"), (False, "100 clients read\n120 clients read\n")],
)
def test_progress(terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    progress = Progress(stream)
    progress.tell(100)
    progress.tell(120)
    progress.end()
    assert stream.getvalue() == shown


@pytest.mark.parametrize("text", ["0123", "1e5", "yes", "2026-01-01", "' a b '", "null"])
def test_credentials_are_taken_as_they_are_written(tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"username: 007\npassword: {text}\nurl: ignored\n")
    assert account({}, file) == ({"username": "007", "password": text.strip("'")}, str(file))
