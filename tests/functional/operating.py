"""A small Kopf operator in a checkout of its own, run as its own process, and what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import TracebackType
from typing import Any, Self

from kubernetes_asyncio.client import ApiClient, CoreV1Api, V1ConfigMap, V1ObjectMeta

from tests import pacing
from tests.cluster import WITHIN, wait_until
from tests.unit.record.children import Left, left_on

ROOT = Path(__file__).parents[2]

#: Sync handlers run in Kopf's threads; what the operator prints is what is compared with and without the hook.
HANDLERS = """
    import kopf
    from under_test import work

    def say(text):
        print("SAID", text, flush=True)

    @kopf.on.startup()
    def configure(settings, **_):
        settings.posting.enabled = False
        work.started()
        say("startup")

    @kopf.on.create("configmaps", labels={"for": "operator"})
    def created(name, **_):
        work.created(name)
        say(f"created {name}")

    @kopf.on.cleanup()
    async def clean(**_):
        work.cleaned()
        say("cleanup")
"""

WORK = """
    def started():
        return 1

    def created(name):
        return len(name)

    def cleaned():
        return 3
"""

#: The ways in which recording gets into an operator; ``none`` is the operator alone.
WAYS: Mapping[str, Sequence[str]] = {
    "none": ("-m", "kopf", "run", "-m", "under_test.handlers"),
    "module": ("-m", "kopf", "run", "-m", "coverage_hooks.kopf", "-m", "under_test.handlers"),
    "kopf-run": ("-m", "coverage_hooks", "kopf-run", "under_test/handlers.py"),
    "entrypoint": ("-m", "under_test"),
}

ENTRYPOINT = """
    import sys
    import coverage_hooks
    coverage_hooks.start()
    import kopf
    import under_test.handlers

    kopf.run(standalone=True, namespaces=[sys.argv[sys.argv.index("-n") + 1]])
    coverage_hooks.save()
"""


@dataclass
class Running:
    """An operator's process; everything it prints goes to `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def text(self) -> str:
        """Return everything printed so far."""
        return self.log.read_text(errors="replace")

    def said(self) -> list[str]:
        """Return what the operator said, in the order of the alphabet: threads say things in any order."""
        return sorted(line for line in self.text().splitlines() if line.startswith("SAID"))

    def wait_for(self, text: str) -> None:
        """Wait until *text* was printed."""

        def printed_or_ended() -> bool:
            return text in self.text() or self.process.poll() is not None

        wait_until(printed_or_ended, f"the operator prints {text!r}", details=self.text)
        assert text in self.text(), f"ended with {self.process.returncode} before {text!r}:\n{self.text()}"

    def signal(self, number: int) -> None:
        """Send signal *number*."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end and return the exit code, negative for a signal."""
        try:
            return self.process.wait(timeout=WITHIN)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the operator did not end within {WITHIN:g} s:\n{self.text()}") from None


@dataclass
class Operator:
    """A package ``under_test`` with *handlers* and *work*, tracked by git, for one namespace of one API server.

    `tests.pacing` lies beside it, as ``pacing``.
    """

    folder: Path
    kubeconfig: Path
    namespace: str
    handlers: str = HANDLERS
    work: str = WORK
    environment: dict[str, str] = field(default_factory=dict)
    wrapper: Sequence[str] = ()
    note: Callable[[str, object], None] = lambda _name, _value: None
    volume: Path = field(init=False)

    def __post_init__(self) -> None:
        self.volume = self.folder / "volume"
        self.checkout = self.folder / "checkout"
        package = self.checkout / "under_test"
        package.mkdir(parents=True)
        sources = {"__init__": "", "__main__": ENTRYPOINT, "handlers": self.handlers, "work": self.work}
        for name, source in sources.items():
            (package / f"{name}.py").write_text(dedent(source))
        shutil.copy(pacing.__file__, self.checkout)
        (self.checkout / ".coveragerc").write_text("[run]\nbranch = True\nsource = under_test\n")
        for command in (["init", "--quiet"], ["add", "."]):
            subprocess.run(["git", *command], cwd=self.checkout, check=True)

    def start(self, way: str = "module", **settings: str) -> Running:
        """Start the operator in one of `WAYS`; *settings* are ``COVERAGE_HOOKS_*`` without the prefix.

        It waits for the volume as long as a test does: one that answers late is no failure.
        """
        given = {"ENABLED": str(int(way != "none")), "DIR": str(self.volume), "INTERVAL": "0.2"}
        given |= {"EXIT_TIMEOUT": f"{WITHIN:g}"} | settings
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        environment |= {f"COVERAGE_HOOKS_{name}": value for name, value in given.items()}
        # The package beside these tests, whichever one is installed.
        environment |= {"KUBECONFIG": str(self.kubeconfig), "PYTHONPATH": f"{self.checkout}:{ROOT}"} | self.environment
        options = () if way == "entrypoint" else ("--standalone",)
        log = self.folder / f"operator-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *self.wrapper,
                    "env",
                    f"--chdir={self.checkout}",
                    sys.executable,
                    *WAYS[way],
                    *options,
                    "-n",
                    self.namespace,
                ],
                cwd=self.checkout,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Running(process, log)

    def left(self) -> list[Left]:
        """Return every recording on the volume."""
        return left_on(self.volume)

    def left_one(self) -> Left:
        """Return the only recording on the volume."""
        (left,) = self.left()
        return left

    def collect(self, *options: str, command: str = "collect") -> Collected:
        """Run ``coverage-hooks collect``, or its first step, on the volume as a user would."""
        output = self.folder / "collected"
        arguments = ["-m", "coverage_hooks", command, "--from", str(self.volume), "--output", str(output)]
        arguments += ["--silent-after", "1", *options]  # five of its intervals; the default is made for slower beats
        result = subprocess.run(
            [sys.executable, *arguments], cwd=self.checkout, capture_output=True, text=True, timeout=WITHIN, check=False
        )
        collected = Collected(result.returncode, result.stdout + result.stderr, output)
        self.note("exit_code", collected.code)
        for row in collected.rows():
            self.note("state", row["state"])
            self.note("lost_seconds", row["lost_seconds"])
        return collected


async def make_config_map(api: ApiClient, namespace: str, name: str) -> None:
    """Make a config map that the operator in *namespace* handles."""
    metadata = V1ObjectMeta(name=name, labels={"for": "operator"})
    await CoreV1Api(api).create_namespaced_config_map(namespace, V1ConfigMap(metadata=metadata))


@dataclass(frozen=True)
class Collected:
    """What ``collect`` said and made."""

    code: int
    text: str
    output: Path

    def rows(self) -> list[Any]:
        """Return the rows of the ledger; none if there was nothing to report."""
        summary = self.output / "summary.json"
        return list(json.loads(summary.read_text())["ledger"]) if summary.exists() else []
