"""Claims with recordings on them, and calls of the command line that read them, as a person would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coverage_hooks.collect.cluster.claims import GID, IMAGE, UID
from coverage_hooks.collect.cluster.pod import name_for
from tests.cluster.waiting import WITHIN
from tests.e2e.namespaces import Document, Namespace, claim, pod

USER = 65532

#: An operator, as far as a claim knows: it has it mounted, and does not want to stop.
HOLDER = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: exit())\nprint('up', flush=True)\nsignal.pause()"


#: The command line, which tells at the end how much memory it took. Not by getrusage, which counts what the process
#: was before it became this one, too.
MEASURED = """
import atexit, pathlib
from coverage_hooks.cli import main
def tell():
    print(*(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
atexit.register(tell)
main()
"""


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
            # This runs as root: never through a link, which may lead to anywhere on this machine.
            os.chown(path, USER, USER, follow_symlinks=False)
            if not path.is_symlink():
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
    # It says that it does not record, so nobody misses its recording.
    env = [{"name": "COVERAGE_HOOKS_ENABLED", "value": "false"}]
    namespace.apply(
        annotated(name, image, release=release, mode=mode), pod("operator", image, program=HOLDER, claim=name, env=env)
    )
    namespace.wait_until_ready("operator")
    bound = namespace.find("pvc", name) or {}
    return Claimed(namespace, name, namespace.cluster.volume(bound["spec"]["volumeName"]))


@contextmanager
def started(
    namespace: Namespace, folder: Path, command: str, *options: str, kubeconfig: Path | None = None, program: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """Start a command of coverage-hooks in *folder*, or *program* with its arguments; at the end it is killed."""
    environ = {
        **namespace.cluster.environ,
        "KUBECONFIG": str(kubeconfig or namespace.cluster.kubeconfig),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    head = [sys.executable, *(["-c", program] if program else ["-m", "coverage_hooks"])]
    with subprocess.Popen(
        [*head, command, f"--namespace={namespace.name}", *options],
        cwd=folder,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended, and everything that it said."""

    code: int
    said: str


def call(
    namespace: Namespace,
    folder: Path,
    command: str,
    *options: str,
    kubeconfig: Path | None = None,
    lines: bool = False,
    measured: bool = False,
) -> Done:
    """Run a command of coverage-hooks in *folder*; what it says is one line unless *lines*."""
    program = MEASURED if measured else ""
    with started(namespace, folder, command, *options, kubeconfig=kubeconfig, program=program) as process:
        said, _ = process.communicate(timeout=WITHIN)
    return Done(code=process.returncode, said=said if lines else " ".join(said.split()))


def account(namespace: Namespace, folder: Path, name: str) -> Path:
    """Make a service account, and return a kubeconfig with its token."""
    namespace.kubectl("create", "serviceaccount", name)
    configuration = json.loads(namespace.cluster.kubeconfig.read_text())
    token = namespace.kubectl("create", "token", name).strip()
    for user in configuration["users"]:
        user["user"] = {"token": token}
    path = folder / f"{name}.kubeconfig"
    path.write_text(json.dumps(configuration))
    return path


def is_forbidden(namespace: Namespace, kubeconfig: Path, path: str) -> bool:
    """Return whether whoever *kubeconfig* is may not open a stream at *path*."""
    cluster = namespace.cluster
    done = subprocess.run(
        cluster.command("create", f"--raw={path}", "--filename=/dev/null", f"--kubeconfig={kubeconfig}"),
        env=cluster.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "Forbidden" in done.stderr
