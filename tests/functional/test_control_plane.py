"""The control plane of the tests: a real API that leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient, ApiException, CoreV1Api, V1ConfigMap, V1ObjectMeta, VersionApi

from tests import cluster
from tests.cluster import ControlPlane, ControlPlaneError, wait_until
from tests.cluster.folder import temporary_folder

# Prints what it started, and stays until its standard input ends.
STARTER = """
import json, sys
from pathlib import Path
from tests.cluster import control_plane
with control_plane() as plane:
    parent = Path(f"/proc/{plane.pids['etcd']}/stat").read_text().rsplit(")", 1)[1].split()[1]
    print(json.dumps([str(plane.folder), {**plane.pids, "supervisor": int(parent)}]), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Started:
    """A process that started a control plane, and everything that came with it."""

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
def started(control_plane: ControlPlane) -> Iterator[Started]:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
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


async def test_serves_the_version_that_its_program_calls_itself(api: ApiClient) -> None:
    program = cluster.locate(print) / "kube-apiserver"
    called = await asyncio.create_subprocess_exec(program, "--version", stdout=subprocess.PIPE)
    output, _ = await called.communicate()
    assert output.decode().split() == ["Kubernetes", (await VersionApi(api).get_code()).git_version]


async def test_keeps_what_it_is_given(api: ApiClient, namespace: str) -> None:
    core = CoreV1Api(api)
    assert (await core.list_namespaced_config_map(namespace)).items == []
    await core.create_namespaced_config_map(
        namespace, V1ConfigMap(metadata=V1ObjectMeta(name="one"), data={"key": "value"})
    )
    assert (await core.read_namespaced_config_map("one", namespace)).data == {"key": "value"}


async def test_refuses_what_does_not_fit_its_schema(api: ApiClient, namespace: str) -> None:
    with pytest.raises(ApiException) as refusal:
        await CoreV1Api(api).create_namespaced_config_map(namespace, V1ConfigMap(metadata=V1ObjectMeta(name="No Name")))
    assert refusal.value.status == 422


def test_only_the_owner_may_read_the_kubeconfig(control_plane: ControlPlane) -> None:
    assert stat.S_IMODE(control_plane.kubeconfig.stat().st_mode) == 0o600


def _lose(plane: ControlPlane, name: str) -> None:
    os.kill(plane.pids[name], signal.SIGKILL)
    wait_until(lambda: not plane.folder.exists(), "everything is stopped")


def test_an_ended_process_is_named_with_the_end_of_its_log(control_plane: ControlPlane) -> None:
    expected = pytest.raises(ControlPlaneError, match=r"etcd ended with exit code -9.*\n.*warn")
    with expected, cluster.control_plane() as plane:
        _lose(plane, "etcd")


def test_a_failure_because_of_an_ended_process_carries_the_end_of_its_log(control_plane: ControlPlane) -> None:
    def fail(plane: ControlPlane) -> None:
        _lose(plane, "kube-apiserver")
        raise ConnectionError

    with pytest.raises(ConnectionError) as failure, cluster.control_plane() as plane:
        fail(plane)
    assert any("kube-apiserver ended with exit code -9" in note for note in failure.value.__notes__)


def test_ctrl_c_is_for_the_starter_alone(started: Started) -> None:
    assert os.getsid(started.pids["supervisor"]) != os.getsid(started.process.pid)


def test_two_at_once_do_not_disturb_each_other(control_plane: ControlPlane, started: Started) -> None:
    assert started.left() == {"etcd", "kube-apiserver", "supervisor", "folder"}
    assert control_plane.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_outlives_a_killed_starter(started: Started, number: signal.Signals) -> None:
    started.process.send_signal(number)
    started.wait_for(set())


def test_nothing_outlives_an_orderly_end(started: Started) -> None:
    started.process.communicate()
    assert started.left() == set()


def test_no_process_outlives_a_killed_supervisor(started: Started) -> None:
    os.kill(started.pids["supervisor"], signal.SIGKILL)
    started.wait_for({"folder"})
    started.process.communicate()
    assert started.left() == set()


def test_nothing_outlives_a_supervisor_that_is_asked_to_end(started: Started) -> None:
    os.kill(started.pids["supervisor"], signal.SIGTERM)
    started.wait_for(set())


def test_the_next_start_deletes_what_nobody_alive_could_delete(started: Started) -> None:
    os.kill(started.process.pid, signal.SIGSTOP)  # so that it cannot clean up in between
    os.kill(started.pids["supervisor"], signal.SIGKILL)
    started.process.kill()
    started.wait_for({"folder"})
    started.process.wait()
    with temporary_folder():
        assert started.left() == set()
