"""Claims with recordings on them, and calls of the command line that read them, as a person would."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coverage_hooks.collect.cluster.claims import GID, IMAGE, UID
from coverage_hooks.collect.cluster.pod import name_for
from tests.cluster import wait_until
from tests.e2e.namespaces import Document, Namespace, claim, pod

USER = 65532

#: An operator, as far as a claim knows: it has it mounted, and does not want to stop.
HOLDER = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: exit())\nprint('up', flush=True)\nsignal.pause()"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim that a pod holds; `folder` is its volume, on this machine."""

    namespace: Namespace
    name: str
    folder: Path

    @property
    def reader(self) -> str:
        """Return the name of its reader."""
        return name_for(self.name)

    def give(self) -> None:
        """Let everything on it be the operator's, and nobody else's."""
        for path in self.folder.rglob("*"):
            os.chown(path, USER, USER)
            path.chmod(0o700 if path.is_dir() else 0o600)

    def reader_pod(self) -> Document | None:
        """Return its reader, if there is one."""
        return self.namespace.find("pod", self.reader)


def annotated(name: str, image: str, *, release: str = "", mode: str = "ReadWriteOnce") -> Document:
    """Return a claim as the chart makes it."""
    document = claim(name)
    document["metadata"] |= {"annotations": {IMAGE: image, UID: str(USER), GID: str(USER)}}
    if release:
        document["metadata"]["labels"] = {"app.kubernetes.io/instance": release}
    document["spec"]["accessModes"] = [mode]
    return document


def claimed(
    namespace: Namespace, image: str, name: str = "recordings", *, release: str = "", mode: str = "ReadWriteOnce"
) -> Claimed:
    """Make a claim, and a pod that holds it."""
    namespace.apply(
        annotated(name, image, release=release, mode=mode), pod("operator", image, program=HOLDER, claim=name)
    )
    namespace.wait_until_ready("operator")
    bound = namespace.find("pvc", name) or {}
    return Claimed(namespace, name, namespace.node.volume(bound["spec"]["volumeName"]))


@contextmanager
def started(
    namespace: Namespace, folder: Path, command: str, *options: str, kubeconfig: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a command of coverage-hooks in *folder*; what is left of it at the end is killed."""
    environ = {**namespace.node.environ, "KUBECONFIG": str(kubeconfig or namespace.node.kubeconfig)}
    full = [sys.executable, "-m", "coverage_hooks", command, f"--namespace={namespace.name}", *options]
    process = subprocess.Popen(
        full, cwd=folder, env={**environ, "PYTHONPATH": str(Path(__file__).parents[2])}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and everything that it said, in one line."""

    code: int
    said: str


def call(namespace: Namespace, folder: Path, command: str, *options: str, kubeconfig: Path | None = None) -> Done:
    """Run a command of coverage-hooks in *folder*."""
    with started(namespace, folder, command, *options, kubeconfig=kubeconfig) as process:
        said, _ = process.communicate(timeout=120)
        return Done(process.returncode, " ".join(said.split()))


def account(namespace: Namespace, folder: Path, name: str) -> Path:
    """Make a service account, and return a kubeconfig with its token."""
    namespace.kubectl("create", "serviceaccount", name)
    token = wait_until(lambda: namespace.try_kubectl("create", "token", name).strip(), f"there is a token for {name}")
    path = folder / f"{name}.kubeconfig"
    configuration = json.loads(namespace.node.kubeconfig.read_text())
    configuration["users"] = [{"name": "admin", "user": {"token": token}}]
    path.write_text(json.dumps(configuration))
    return path


def payload(token: str) -> Document:
    """Return what is in a token."""
    part = token.split(".")[1]
    document: Document = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return document
