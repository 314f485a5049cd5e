"""Runs one operator three times, alone, measured by plain coverage.py and recorded, and compares what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes_asyncio.client import (
    ApiClient,
    ApiException,
    ApiextensionsV1Api,
    CoreV1Api,
    CustomObjectsApi,
    V1ConfigMap,
    V1Namespace,
    V1ObjectMeta,
)

from tests.cluster import WITHIN, eventually

WAYS = ("alone", "measured", "recorded")

#: Lines and branches that were run, by file.
Executed = dict[str, tuple[list[int], list[list[int]]]]

#: What does not depend on recording: times, names of threads, addresses.
_VARIABLE = re.compile(r"^\[[\d: ,.-]+\] |\b0x[0-9a-f]+\b|\d+(\.\d+)? ?s(econds?)?\b|\b\d{4,}\b")
#: What recording says, and that its handler of Kopf's cleanup ran.
_OURS = re.compile(r"Coverage is recorded to|Activity 'coverage-hooks'")


@dataclass(frozen=True)
class Ended:
    """How one run ended: exit code, and the kinds of lines in its log, in the order of the alphabet."""

    code: int
    log: list[str]
    text: str


@dataclass(frozen=True)
class Place:
    """A checkout of an operator, and where its runs leave what they measured."""

    folder: Path
    kubeconfig: Path
    path: str = "."

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            place = self.checkout / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            if text.startswith("#!"):
                place.chmod(0o755)

    def track(self) -> None:
        """Make it a git checkout."""
        for command in (["init", "--quiet"], ["add", "."]):
            subprocess.run(["git", *command], cwd=self.checkout, check=True)

    def environment(self, way: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        settings = {
            "ENABLED": str(int(way == "recorded")),
            "DIR": str(self.volume),
            "INTERVAL": "0.2",
            "EXIT_TIMEOUT": f"{WITHIN:g}",
        }
        kept["PATH"] = os.pathsep.join([str(self.checkout / "bin"), kept["PATH"]])
        kept["PYTHONPATH"] = os.pathsep.join([str((self.checkout / self.path).resolve()), str(Path.cwd())])
        return (
            kept
            | {f"COVERAGE_HOOKS_{name}": value for name, value in settings.items()}
            | {"KUBECONFIG": str(self.kubeconfig)}
        )

    def command(self, way: str, command: Sequence[str], namespace: str, rcfile: str) -> list[str]:
        words = [word.format(namespace=namespace, port=free_port()) for word in command]
        if way == "measured":
            # The console script of a virtual environment is a file to `coverage run`, as it is to Python.
            return [sys.executable, "-m", "coverage", "run", f"--data-file={self.folder / 'plain'}",
                    f"--rcfile={rcfile}", *words]  # fmt: skip
        return [sys.executable, *words]

    def start(self, wanted: Run, namespace: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            return subprocess.Popen(
                self.command(wanted.way, wanted.command, namespace, ".plainrc"),
                cwd=self.checkout,
                env=self.environment(wanted.way),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def executed(self, data_file: Path) -> Executed:
        """Return executed lines and branches by file, as ``coverage json`` has them, of files that were run."""
        report = self.folder / f"{data_file.name}.json"
        command = [sys.executable, "-m", "coverage", "json", f"--data-file={data_file}", "-q", "-o", str(report)]
        subprocess.run(command, cwd=self.checkout, check=True, timeout=WITHIN, env=self.environment("alone"))
        files: Mapping[str, Any] = json.loads(report.read_text())["files"]
        return {
            name: (each["executed_lines"], each["executed_branches"])
            for name, each in files.items()
            if each["executed_lines"] or not each["missing_lines"]
        }

    def collect(self) -> subprocess.CompletedProcess[str]:
        """Collect what was recorded, as a user would."""
        command = [sys.executable, "-m", "coverage_hooks", "collect", "--from", str(self.volume)]
        return subprocess.run(
            [*command, "--output", str(self.folder / "collected")],
            cwd=self.checkout, env=self.environment("alone"), capture_output=True, text=True, timeout=WITHIN,
            check=False,
        )  # fmt: skip


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def define(api: ApiClient, definition: Any) -> None:
    """Have the custom resource of *definition*, which another test may have defined before."""
    try:
        await ApiextensionsV1Api(api).create_custom_resource_definition(definition)
    except ApiException as error:
        if error.status != 409:
            raise


#: What is done to the cluster while the operator runs in a namespace.
Act = Callable[[ApiClient, str], Awaitable[None]]


@dataclass(frozen=True)
class Run:
    """One run of an operator: what it is started with, what is done to the cluster meanwhile, and how it is stopped."""

    way: str
    command: Sequence[str]
    act: Act
    stop: signal.Signals = signal.SIGTERM


async def run(place: Place, api: ApiClient, wanted: Run) -> Ended:
    """Start the operator in a namespace of its own, act, and stop it."""
    namespace = f"{wanted.way}-{time.monotonic_ns()}"
    await CoreV1Api(api).create_namespace(V1Namespace(metadata=V1ObjectMeta(name=namespace)))
    peering = {"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "tests"}}
    await CustomObjectsApi(api).create_namespaced_custom_object("kopf.dev", "v1", namespace, "kopfpeerings", peering)
    log = place.folder / f"{wanted.way}.log"
    process = place.start(wanted, namespace, log)
    try:
        acting = asyncio.ensure_future(wanted.act(api, namespace))
        while not acting.done():
            await asyncio.wait([acting], timeout=0.2)
            if process.poll() is not None:
                acting.cancel()
                raise AssertionError(f"{wanted.way}: it ended with {process.returncode}:\n{log.read_text()}")
        try:
            await acting
        except TimeoutError as error:
            raise AssertionError(f"{wanted.way}: {error}:\n{log.read_text()}") from None
        process.send_signal(wanted.stop)
        code = await asyncio.to_thread(process.wait, WITHIN)
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    return Ended(code, kinds(text.replace(namespace, "NAMESPACE")), text)


def kinds(text: str) -> list[str]:
    """Return the kinds of lines in a log, without what recording itself says and what differs each time."""
    lines = {_VARIABLE.sub("", line) for line in text.splitlines() if not _OURS.search(line)}
    return sorted(line.rstrip() for line in lines if line.strip())


async def act_on_config_maps(api: ApiClient, namespace: str) -> None:
    """Make a config map, change it, and delete it, each when the operator has handled what was before."""
    core = CoreV1Api(api)

    async def handled(expected: str) -> None:
        async def is_handled() -> bool:
            found = await core.read_namespaced_config_map("one", namespace)
            return (found.metadata.annotations or {}).get("handled") == expected

        await eventually(is_handled, f"the operator says {expected!r}")

    async def is_gone() -> bool:
        try:
            await core.read_namespaced_config_map("one", namespace)
        except ApiException as error:
            return bool(error.status == 404)
        return False

    metadata = V1ObjectMeta(name="one", labels={"for": "operator"})
    await core.create_namespaced_config_map(namespace, V1ConfigMap(metadata=metadata, data={"a": "1"}))
    await handled("created")
    await core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}})
    await handled("updated")
    await core.delete_namespaced_config_map("one", namespace)
    await eventually(is_gone, "the config map is deleted")
