"""The witness against a real API server: what it tells again, what it refuses, and what a kill leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes_asyncio.client import ApiClient, ApiException, CoreV1Api, RbacAuthorizationV1Api

from coverage_hooks.collect.cluster import claims
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.watch import ask, witness
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.objects import Pod
from coverage_hooks.errors import SourceError
from tests.cluster import ControlPlane, eventually

Document = dict[str, Any]

_WATCHES = """
import sys, time
from pathlib import Path
from coverage_hooks.collect.cluster import claims
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.watch import watching
with watching(Target(namespace=sys.argv[1], kubeconfig=Path(sys.argv[2])), Path(sys.argv[3])):
    print("watching", flush=True)
    sys.stdin.read()
"""


@dataclass
class Wire:
    """What lies between a client and the API server: every byte of it can be held up, and every connection cut."""

    port: int = 0
    broken: bool = False
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Break every connection, and let no other one come about until `mend`."""
        self.broken = True
        for connection in self.connections:
            connection.transport.abort()

    def join(self, connection: asyncio.StreamWriter) -> None:
        """Make *connection* one of those that are cut; at once, if that has happened meanwhile."""
        self.connections.add(connection)
        if self.broken:
            connection.transport.abort()

    def mend(self) -> None:
        """Let connections come about again."""
        self.broken = False


@asynccontextmanager
async def wire(plane: ControlPlane) -> AsyncIterator[Wire]:
    """Give a wire to *plane*."""
    server = urlsplit(plane.url)
    made = Wire()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if made.broken:
            writer.transport.abort()
            return
        made.join(writer)  # now, so that the end waits for one that is still being made
        try:
            far_reader, far_writer = await asyncio.open_connection(server.hostname, server.port)
            made.join(far_writer)
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
            made.connections.discard(far_writer)
        finally:
            made.connections.discard(writer)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.cut()
        listening.close()
        await eventually(_is_empty(made), "every connection is closed")


def _is_empty(made: Wire) -> Any:
    async def is_empty() -> bool:
        return not made.connections

    return is_empty


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


class Pods:
    """Pods of a namespace that no kubelet cares for, so that a test says how they are."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._core: Any = CoreV1Api(api)
        self._namespace = namespace

    async def make(self, name: str) -> None:
        """Make a pod, and say that it runs."""
        container = {"name": "main", "image": "none"}
        body: Document = {"metadata": {"name": name}, "spec": {"containers": [container]}}
        await self._core.create_namespaced_pod(self._namespace, body)
        state = {"running": {"startedAt": "2026-01-31T23:59:59Z"}}
        running = {"name": "main", "image": "none", "imageID": "", "ready": True, "restartCount": 0, "state": state}
        body = {"status": {"phase": "Running", "containerStatuses": [running]}}
        await self._core.patch_namespaced_pod_status(name, self._namespace, body)

    async def delete(self, name: str) -> None:
        """Delete a pod at once."""
        await self._core.delete_namespaced_pod(name, self._namespace, grace_period_seconds=0)


@pytest.fixture
def pods(api: ApiClient, namespace: str) -> Pods:
    return Pods(api, namespace)


@pytest.fixture
def target(control_plane: ControlPlane, namespace: str) -> Target:
    return Target(namespace=namespace, kubeconfig=control_plane.kubeconfig)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / watchlog.NAME


def told(testimony: watchlog.Testimony | None) -> list[str]:
    """Return what *testimony* tells of pods; a status that is said twice is one."""
    assert testimony is not None
    entries = [
        f"{each.change} {each.what.name}" if isinstance(each, watchlog.Seen) else f"gap {each.reason}"
        for each in testimony.entries
        if (isinstance(each, watchlog.Gap) and each.kind == "pods")
        or (isinstance(each, watchlog.Seen) and isinstance(each.what, Pod))
    ]
    return [entry for number, entry in enumerate(entries) if entry not in entries[:number]]


async def until(testimony: watchlog.Testimony, word: str) -> None:
    async def said() -> bool:
        return word in told(testimony)

    await eventually(said, word, details=lambda: str(told(testimony)))


async def test_a_pod_that_came_and_went_while_the_server_was_out_of_reach_is_told(
    control_plane: ControlPlane, target: Target, pods: Pods, path: Path
) -> None:
    async with wire(control_plane) as between:
        through = through_port(control_plane.kubeconfig, between.port, path.parent)
        async with witness(Target(namespace=target.namespace, kubeconfig=through), path) as testimony:
            await pods.make("first")
            await until(testimony, "MODIFIED first")
            between.cut()
            await pods.make("short")
            await pods.delete("short")
            assert "ADDED short" not in told(testimony)
            between.mend()
            await until(testimony, "DELETED short")
    assert told(watchlog.read(path)) == [
        "ADDED first", "MODIFIED first", "ADDED short", "MODIFIED short", "DELETED short",
    ]  # fmt: skip


async def test_what_happened_after_the_witness_was_killed_is_told_to_whoever_asks(
    target: Target, pods: Pods, path: Path
) -> None:
    assert target.kubeconfig is not None
    command = [sys.executable, "-c", _WATCHES, target.namespace, str(target.kubeconfig), str(path)]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"watching\n"
    await pods.make("one")

    async def is_written() -> bool:
        return "MODIFIED one" in told(watchlog.read(path))

    await eventually(is_written, "it is on disk while the witness runs")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await pods.delete("one")
    testimony = await ask(target, path)
    assert told(testimony) == ["ADDED one", "MODIFIED one", "DELETED one"]
    assert testimony.gaps("pods") == []
    assert not testimony.asked
    assert process.stdin is not None
    process.stdin.close()


async def test_history_that_the_server_never_had_is_a_gap(target: Target, pods: Pods, path: Path) -> None:
    """As after a restore: the real server does not refuse a version that it has not reached, and says nothing."""
    async with witness(target, path):
        await pods.make("one")
    with path.open("a") as file:
        confirmed = {"at": "2026-01-31T23:59:59.000000Z", "confirmed": "pods", "version": str(10**9)}
        file.write(json.dumps(confirmed) + "\n")
    await pods.delete("one")
    entries = told(await ask(target, path))
    assert entries[:2] == ["ADDED one", "MODIFIED one"]
    assert entries[2].endswith("its history was replaced")
    assert entries[3:] == ["GONE one"]


class TestRights:
    async def test_a_role_for_pods_is_enough_and_the_lack_of_events_is_said(
        self, control_plane: ControlPlane, api: ApiClient, target: Target, pods: Pods, path: Path
    ) -> None:
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]
        await self.grant(api, target.namespace, rules)
        limited = await self.account(control_plane, api, target.namespace, path.parent)
        async with witness(Target(namespace=target.namespace, kubeconfig=limited), path) as testimony:
            await pods.make("one")
            await until(testimony, "MODIFIED one")
        assert "cannot watch events" in testimony.gaps("events")[0].reason
        assert testimony.header.namespace_uid == ""

    async def test_without_rights_the_verb_is_named(
        self, control_plane: ControlPlane, api: ApiClient, target: Target, path: Path
    ) -> None:
        limited = await self.account(control_plane, api, target.namespace, path.parent)
        with pytest.raises(SourceError, match=r'cannot list resource "pods".*`coverage-hooks role` prints a Role'):
            async with witness(Target(namespace=target.namespace, kubeconfig=limited), path):
                pass

    async def grant(self, api: ApiClient, namespace: str, rules: list[Document]) -> None:
        rbac: Any = RbacAuthorizationV1Api(api)
        await rbac.create_namespaced_role(namespace, {"metadata": {"name": "limited"}, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": "limited", "namespace": namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"}
        body = {"metadata": {"name": "limited"}, "roleRef": reference, "subjects": [subject]}
        await rbac.create_namespaced_role_binding(namespace, body)

    async def account(self, plane: ControlPlane, api: ApiClient, namespace: str, folder: Path) -> Path:
        """Return a kubeconfig of an account that may do nothing but what was granted."""
        core: Any = CoreV1Api(api)
        with contextlib.suppress(ApiException):
            await core.create_namespaced_service_account(namespace, {"metadata": {"name": "limited"}})
        token = await core.create_namespaced_service_account_token("limited", namespace, {"spec": {}})
        return changed(plane.kubeconfig, folder / "limited", user={"token": token.status.token})


def through_port(kubeconfig: Path, port: int, folder: Path) -> Path:
    """Return a kubeconfig that leads to the same server by another port."""
    return changed(kubeconfig, folder / "through", server=f"https://127.0.0.1:{port}")


def changed(kubeconfig: Path, path: Path, *, server: str = "", user: Document | None = None) -> Path:
    document = json.loads(kubeconfig.read_text())
    for each in document["clusters"]:
        each["cluster"] |= {"server": server} if server else {}
    if user is not None:
        document["users"] = [{**each, "user": user} for each in document["users"]]
    path.write_text(json.dumps(document))
    return path


class TestBeforeTheInstallation:
    """``status --watch`` as somebody types it who has nothing in the cluster yet."""

    @pytest.mark.parametrize("place", ["--release", "--claim"])
    async def test_the_witness_is_there_first_and_the_claim_is_waited_for(
        self, api: ApiClient, target: Target, pods: Pods, tmp_path: Path, place: str
    ) -> None:
        core: Any = CoreV1Api(api)
        process = await self.watch(target, tmp_path, place, "shop")
        try:
            assert process.stderr is not None
            whose = {"--release": "the claim of release 'shop'", "--claim": "claim 'shop'"}[place]
            said = await process.stderr.readline()
            expected = f"waiting for {whose} in namespace {target.namespace!r} to be there and Bound\n"
            assert said.decode() == expected
            await pods.make("first")
            path = tmp_path / "out" / watchlog.NAME

            async def is_written() -> bool:
                return "MODIFIED first" in told(watchlog.read(path))

            await eventually(is_written, "it is seen before there is a claim")
            metadata = {
                "name": "shop",
                "labels": {"app.kubernetes.io/instance": "shop"},
                "annotations": {claims.IMAGE: "operator:1-coverage"},
            }
            spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
            await core.create_namespaced_persistent_volume_claim(target.namespace, {"metadata": metadata, "spec": spec})
            assert await self.readers(core, target.namespace) == []
            bound = {"status": {"phase": "Bound"}}
            await core.patch_namespaced_persistent_volume_claim_status("shop", target.namespace, bound)

            container = {"name": "main", "image": "none"}
            volume = {"name": "claim", "persistentVolumeClaim": {"claimName": "shop"}}
            body = {"metadata": {"name": "operator"}, "spec": {"containers": [container], "volumes": [volume]}}
            await core.create_namespaced_pod(target.namespace, body)
            listed = await self.listed(api)

            async def is_seen() -> bool:
                return await self.listed(api) >= listed + 3

            await eventually(is_seen, "it has looked at the pods more than once since")
            assert await self.readers(core, target.namespace) == []
            running = {"status": {"phase": "Running"}}
            await core.patch_namespaced_pod_status("operator", target.namespace, running)

            async def is_made() -> bool:
                return bool(await self.readers(core, target.namespace))

            await eventually(is_made, "a reader is made")
            process.send_signal(signal.SIGINT)
            assert expected not in (await process.stderr.read()).decode()
            assert await process.wait() == 0
            assert await self.readers(core, target.namespace) == []
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def test_waiting_is_ended_by_an_interrupt_and_leaves_what_was_seen(
        self, target: Target, tmp_path: Path
    ) -> None:
        process = await self.watch(target, tmp_path, "--claim", "shop")
        assert process.stderr is not None
        assert (await process.stderr.readline()).startswith(b"waiting for claim 'shop'")
        process.send_signal(signal.SIGTERM)
        # The signal may be late: it says again what it waits for, every now and then.
        assert all(line.startswith(b"waiting for") for line in (await process.stderr.read()).splitlines())
        assert await process.wait() == 0
        assert watchlog.read(tmp_path / "out" / watchlog.NAME) is not None

    async def watch(self, target: Target, folder: Path, *place: str) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "coverage_hooks", "status", "--watch", "--namespace", target.namespace, *place]
        options = ["--kubeconfig", str(target.kubeconfig), "--output", str(folder / "out")]
        return await asyncio.create_subprocess_exec(*command, *options, stderr=subprocess.PIPE)

    async def listed(self, api: ApiClient) -> float:
        """Return how often pods were listed, by the API server's own count."""
        headers: dict[str, str] = {}
        await api.update_params_for_auth(headers, [], ["BearerToken"])
        answer = await api.rest_client.GET(f"{api.configuration.host}/metrics", headers=headers, _preload_content=False)
        async with answer:
            metrics = (await answer.text()).splitlines()
        wanted = ("apiserver_request_total{", 'resource="pods"', 'subresource=""', 'verb="LIST"')
        return sum(float(line.rpartition(" ")[2]) for line in metrics if all(each in line for each in wanted))

    async def readers(self, core: Any, namespace: str) -> list[str]:
        listed = await core.list_namespaced_pod(namespace, label_selector="app.kubernetes.io/component=reader")
        return [pod.metadata.name for pod in listed.items]
