"""Which cluster is meant, and what is said when it is not there; certificates that leave nothing behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner
from kubernetes_asyncio.client.exceptions import ApiException

from coverage_hooks.cli import commands
from coverage_hooks.collect.cluster.connection import Target, asking, connect
from coverage_hooks.errors import SourceError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a kubeconfig, on a machine that is no pod."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return tmp_path


_NAMES = ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "major", "minor", "platform")
VERSION = dict.fromkeys(_NAMES, "x")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@asynccontextmanager
async def serving(status: int) -> AsyncIterator[str]:
    """Give the URL of a server that answers *status* to everything."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({**VERSION, "message": "because"}, status=status)

    app = web.Application()
    app.router.add_get("/{anything:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def kubeconfig(path: Path, url: str, user: dict[str, Any] | None = None, **cluster: object) -> Path:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))
    return path


async def test_the_kubeconfig_is_the_given_one_or_the_usual_ones(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(200) as url:
        usual = kubeconfig(home / ".kube/config", f"{url}/usual")
        several = [home / "absent", kubeconfig(home / "one", f"{url}/one"), kubeconfig(home / "two", f"{url}/two")]
        async with connect(Target(namespace="n")) as api:
            assert api.configuration.host == f"{url}/usual"
        monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, several)))
        async with connect(Target(namespace="n")) as api:
            assert api.configuration.host == f"{url}/one"
        async with connect(Target(namespace="n", kubeconfig=usual, context="x")) as api:
            assert api.configuration.host == f"{url}/usual"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(namespace="n"), "no cluster is named"),
        (Target(namespace="n", kubeconfig=Path("/nowhere")), "there is no kubeconfig '/nowhere'"),
    ],
)
async def test_a_kubeconfig_that_is_not_there_is_wrong_use(target: Target, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        async with connect(target):
            raise AssertionError


async def test_what_kubeconfig_names_and_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(UsageError, match="KUBECONFIG names /nowhere"):
        async with connect(Target(namespace="n")):
            raise AssertionError


@pytest.mark.parametrize(
    "content", ["", "[]", "a: [", "{}", '{"clusters": 1}', '{"clusters": [], "users": [], "contexts": []}']
)
async def test_what_is_no_kubeconfig_is_wrong_use(home: Path, content: str) -> None:
    path = home / "k"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"cannot be used|lacks"):
        async with connect(Target(namespace="n", kubeconfig=path)):
            raise AssertionError


async def test_a_context_that_is_not_there_is_named(home: Path) -> None:
    path = kubeconfig(home / "k", "http://127.0.0.1:1")
    with pytest.raises(UsageError, match="context 'other'"):
        async with connect(Target(namespace="n", kubeconfig=path, context="other")):
            raise AssertionError


async def test_a_server_that_is_not_there_is_not_reached(home: Path) -> None:
    path = kubeconfig(home / "k", "http://127.0.0.1:1")
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        async with connect(Target(namespace="n", kubeconfig=path)):
            raise AssertionError


@pytest.mark.parametrize(("status", "said"), [(401, "does not know who is asking"), (500, "answers 500: because")])
async def test_a_server_that_refuses_is_not_reached(home: Path, status: int, said: str) -> None:
    async with serving(status) as url:
        path = kubeconfig(home / "k", url)
        with pytest.raises(SourceError, match=said):
            async with connect(Target(namespace="n", kubeconfig=path)):
                raise AssertionError


async def test_a_server_that_keeps_its_version_to_itself_is_reached(home: Path) -> None:
    async with serving(403) as url, connect(Target(namespace="n", kubeconfig=kubeconfig(home / "k", url))):
        pass


@pytest.fixture
def _no_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files cannot be made, however short they would be there."""
    monkeypatch.setattr("tempfile.tempdir", str(home / "absent"))


@pytest.mark.usefixtures("_no_disk")
async def test_certificates_in_a_kubeconfig_are_never_on_a_disk(home: Path) -> None:
    authority = base64.b64encode(b"no certificate").decode()
    path = kubeconfig(home / "k", "https://127.0.0.1:1", None, **{"certificate-authority-data": authority})
    before, content = open_files(), path.read_bytes()
    with pytest.raises(UsageError, match=r"cannot be used: .*X509"):
        async with connect(Target(namespace="n", kubeconfig=path)):
            raise AssertionError
    assert open_files() == before
    assert path.read_bytes() == content


@pytest.mark.usefixtures("_no_disk")
async def test_certificates_of_a_plugin_are_never_on_a_disk(home: Path) -> None:
    path = kubeconfig(
        home / "k", "https://127.0.0.1:1", plugin({"clientCertificateData": "no certificate", "clientKeyData": "none"})
    )
    before = open_files()
    with pytest.raises(UsageError, match=r"cannot be used: .*(SSL|X509)"):
        async with connect(Target(namespace="n", kubeconfig=path)):
            raise AssertionError
    assert open_files() == before


def plugin(status: dict[str, str]) -> dict[str, Any]:
    """Return a user whose credentials a plugin gives: *status*."""
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    script = ["-c", f"print({json.dumps(answer)!r})"]
    return {
        "exec": {"apiVersion": version, "command": sys.executable, "args": script, "interactiveMode": "Never"},
    }


async def test_what_a_plugin_answers_is_used(home: Path) -> None:
    async with serving(200) as url:
        path = kubeconfig(home / "k", url, plugin({"token": "t0"}))
        async with connect(Target(namespace="n", kubeconfig=path)) as api:
            assert api.configuration.api_key["BearerToken"] == "Bearer t0"


@pytest.mark.parametrize(
    ("status", "body", "said", "role"),
    [
        (403, "", "cannot list pods in namespace 'n': the Kubernetes API answers 403 Forbidden;", True),
        (403, '{"message": "pods is forbidden: User x cannot list it"}', "cannot list it;", True),
        (403, '{"message": "exceeded quota: none"}', "exceeded quota: none", False),
        (403, "<html>", "403 Forbidden", True),
        (599, "", "answers 599", False),
    ],
)
def test_a_refusal_names_what_was_asked(status: int, body: str, said: str, role: bool) -> None:
    error: Any = ApiException(status=status)
    error.body = body
    with pytest.raises(SourceError) as raised, asking("list", "pods", "n"):
        raise error
    assert said in str(raised.value)
    assert ("coverage-hooks role" in str(raised.value)) == role


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say where the recordings are"),
        (["--namespace=n"], "--release NAME or --claim NAME"),
        (["--claim=c"], "say where the recordings are"),
        (["--from=x", "--namespace=n"], "exclude each other"),
        (["--from=x", "--claim=c"], "exclude each other"),
        (["--namespace=n", "--claim=c", "--release=r"], "exclude each other"),
        (["--namespace=n", "--reader=r", "--reader-image=i"], "exclude each other"),
        (["--from=x", "--reader-manifest"], "is for a claim"),
        (["--namespace=n", "--claim=c", "--run=r", "--since=1h"], "--run and --since exclude"),
        (["--namespace=n", "--claim=c"], "no cluster is named"),
    ],
)
def test_wrong_use_is_told_before_anything_is_opened(options: list[str], said: str) -> None:
    result = CliRunner().invoke(commands, ["retrieve", *options])
    assert result.exit_code == 2
    assert said in result.output


def test_whoever_reads_a_folder_does_not_wait_for_a_client_of_clusters(home: Path) -> None:
    code = (
        "import sys; from coverage_hooks.cli import commands; "
        f"commands(['status', '--from', {str(home)!r}], standalone_mode=False); "
        "print('kubernetes_asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
