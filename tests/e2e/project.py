"""Somebody's tests of an operator in a cluster, and sessions of pytest with them that are processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml

from tests.cluster.waiting import WITHIN
from tests.e2e.collecting import Collected
from tests.e2e.namespaces import Namespace

# A shell has what it runs in the background ignore interrupts, and so has everything below it.
_PYTEST = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main())
"""
_FOREIGN = ("COV", "PYTEST", "HELM", "KUBE", "XDG")


@dataclass(frozen=True, slots=True)
class Project:
    """Tests in `folder`, which is theirs alone, of an operator whose sources are in `checkout`.

    Their kubectl, and other `programs` by their names, work in `namespace` without being told.
    """

    folder: Path
    checkout: Path
    namespace: Namespace
    programs: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, folder: Path, checkout: Path, namespace: Namespace, **more: Mapping[str, Any]) -> Project:
        """Return one without tests, somewhere below *folder*."""
        (folder / "project").mkdir()
        return cls(folder / "project", checkout, namespace, **more)

    def write(self, **modules: str) -> None:
        """Write the *modules*, and no others."""
        for path in self.folder.glob("*.py"):
            path.unlink()
        for name, content in modules.items():
            (self.folder / f"{name}.py").write_text(dedent(content))

    def run(self, *arguments: str) -> Collected:
        """Run pytest to its end."""
        with self.started(*arguments) as process:
            return self.ended(process)

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Yield a session that was just started, as its developer would who is in the checkout; it ends here."""
        command = [sys.executable, "-c", _PYTEST, "-c", str(self._configuration()), str(self.folder)]
        with subprocess.Popen(
            [*command, *self._place(), *arguments],
            cwd=self.checkout,
            env=self._environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,  # that of a terminal, whose Ctrl-C everybody in it gets
        ) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def ended(self, process: subprocess.Popen[str]) -> Collected:
        """Wait for the end of a session."""
        said, _ = process.communicate(timeout=2 * WITHIN)  # in which it waits for pods itself
        return Collected(process.returncode, said, self.checkout, self.report)

    @property
    def report(self) -> Path:
        """Return the folder that everything is written to."""
        return self.folder / "report"

    def _place(self) -> list[str]:
        values = {"namespace": self.namespace.name, "kubeconfig": self._kubeconfig(), "report": self.report}
        return [f"--coverage-hooks-{name}={value}" for name, value in values.items()]

    def _configuration(self) -> Path:
        path = self.folder / "pytest.ini"
        path.write_text("[pytest]\naddopts = -ra -p no:asyncio\nfilterwarnings = error\n")
        return path

    def _kubeconfig(self) -> Path:
        path = self.folder / "kubeconfig"
        document = yaml.safe_load(self.namespace.cluster.kubeconfig.read_text())
        for context in document["contexts"]:
            context["context"]["namespace"] = self.namespace.name
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path

    def _environ(self) -> dict[str, str]:
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        for name, program in {"kubectl": self.namespace.cluster.kubectl_program, **self.programs}.items():
            if not (folder / name).exists():
                (folder / name).symlink_to(program)
        inherited = {
            name: value for name, value in self.namespace.cluster.environ.items() if not name.startswith(_FOREIGN)
        }
        return inherited | {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "KUBECONFIG": str(self._kubeconfig()),
            # What pytest-cov measures in such a session is no part of the checkout.
            "COVERAGE_FILE": str(self.folder / "unit.coverage"),
            **self.environment,
        }
