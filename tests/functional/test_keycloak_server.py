"""The Keycloak of the tests: a real one that can go down and come back, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from tests import cluster
from tests.cluster import ControlPlaneError, Keycloak, Proxy, wait_until
from tests.cluster.keycloak_admin import AdminApi

# Prints what it started, and stays until its standard input ends.
STARTER = """
import json, sys
from pathlib import Path
from tests.cluster import keycloak
with keycloak(wait=False) as server:
    parent = Path(f"/proc/{server.pids['keeper']}/stat").read_text().rsplit(")", 1)[1].split()[1]
    print(json.dumps([str(server.folder), {**server.pids, "supervisor": int(parent)}]), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Started:
    """A process that started a Keycloak, and everything that came with it."""

    process: subprocess.Popen[str]
    folder: Path
    pids: dict[str, int]

    def left(self) -> set[str]:
        """Return what there still is."""
        return {name for name, pid in self.pids.items() if _runs(pid)} | ({"folder"} if self.folder.exists() else set())

    def wait_for(self, left: set[str]) -> None:
        """Wait until there is no more than *left*."""
        wait_until(lambda: self.left() == left, f"{left} is left", details=lambda: f"{self.left()} is")


@pytest.fixture
def started(keycloak: Keycloak) -> Iterator[Started]:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            folder, pids = json.loads(process.stdout.readline())
            yield Started(process, Path(folder), pids)
        finally:
            process.kill()


def _runs(pid: int) -> bool:
    try:
        # A zombie has ended: it is only not yet asked for its exit code.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _realms(api: AdminApi) -> set[str]:
    return {realm["realm"] for realm in await api.ask("GET", "realms")}


def _realm() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize("account", ["admin", "service_account"])
async def test_both_accounts_may_do_everything(keycloak: Keycloak, account: str) -> None:
    api = AdminApi(keycloak.url, getattr(keycloak, account).grant)
    realm = _realm()
    await api.ask("POST", "realms", {"realm": realm})
    assert {"master", realm} <= await _realms(api)
    await api.ask("DELETE", f"realms/{realm}")
    assert realm not in await _realms(api)


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody"}])
async def test_a_wrong_password_is_refused(keycloak: Keycloak, wrong: dict[str, str]) -> None:
    with pytest.raises(aiohttp.ClientResponseError) as refusal:
        await AdminApi(keycloak.url, replace(keycloak.admin, **wrong).grant).token()
    # Before 26.7 it is 401; RFC 6749 wants 400 for the grant `password`.
    assert refusal.value.status in {400, 401}


async def test_tells_its_health(keycloak: Keycloak) -> None:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(f"{keycloak.management_url}/health/ready") as answer,
    ):
        assert (await answer.json())["status"] == "UP"


async def test_keeps_its_address_and_its_data_while_it_is_down(keycloak: Keycloak) -> None:
    realm = _realm()
    await keycloak.api.ask("POST", "realms", {"realm": realm})
    with keycloak.down():
        keycloak.stop()  # is down, stays down
        assert "keycloak" not in keycloak.pids
        with pytest.raises(aiohttp.ClientConnectorError):
            await keycloak.api.token()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", keycloak.port))
    pids = keycloak.pids
    keycloak.start()  # is up, stays up
    assert realm in await _realms(keycloak.api)
    assert keycloak.pids == pids


def test_its_secrets_are_on_no_command_line(keycloak: Keycloak) -> None:
    lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in keycloak.pids.values())
    assert b"--optimized" in lines
    assert keycloak.admin.password.encode() not in lines
    assert keycloak.service_account.client_secret.encode() not in lines


def test_if_it_ends_by_itself_that_is_said_with_the_end_of_its_log(keycloak: Keycloak) -> None:
    expected = pytest.raises(ControlPlaneError, match=r"keycloak ended with exit code 137; .*\n.*(WARN|INFO)")
    with expected, cluster.keycloak(wait=False) as other:
        wait_until(other.log, "a line in the log")
        os.kill(other.pids["keycloak"], signal.SIGKILL)
        other.wait_until_ready()


def test_two_at_once_do_not_disturb_each_other(keycloak: Keycloak, started: Started) -> None:
    assert started.left() == {"keeper", "keycloak", "supervisor", "folder"}
    assert keycloak.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_outlives_a_killed_starter(started: Started, number: signal.Signals) -> None:
    started.process.send_signal(number)
    started.wait_for(set())


@pytest.mark.parametrize("name", ["keeper", "keycloak"])
def test_nothing_outlives_a_killed_process(started: Started, name: str) -> None:
    os.kill(started.pids[name], signal.SIGKILL)
    started.wait_for(set())


def test_no_process_outlives_a_killed_supervisor(started: Started) -> None:
    os.kill(started.pids["supervisor"], signal.SIGKILL)
    started.wait_for({"folder"})
    started.process.communicate()
    assert started.left() == set()


async def test_through_the_proxy_it_calls_itself_by_the_address_of_the_proxy(keycloak_proxy: Proxy) -> None:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(f"{keycloak_proxy.url}/realms/master/.well-known/openid-configuration") as answer,
    ):
        described = await answer.json()
    assert described["issuer"] == f"{keycloak_proxy.url}/realms/master"
    assert described["token_endpoint"].startswith(keycloak_proxy.url)


async def test_the_proxy_sees_every_write_and_can_lose_its_answer(keycloak: Keycloak, keycloak_proxy: Proxy) -> None:
    api = AdminApi(keycloak_proxy.url, keycloak.service_account.grant)
    realm = _realm()
    keycloak_proxy.drop(r"/admin/realms$", after_the_server=True, times=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await api.ask("POST", "realms", {"realm": realm})
    assert realm in await _realms(api)
    await api.ask("DELETE", f"realms/{realm}")
    assert [(write.method, write.path, write.status) for write in keycloak_proxy.writes()] == [
        ("POST", "/admin/realms", None),
        ("DELETE", f"/admin/realms/{realm}", 204),
    ]
    assert keycloak_proxy.writes()[0].body == {"realm": realm}
