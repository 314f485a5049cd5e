"""What is on a claim, collected as anybody would who has its files."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage

from tests.cluster.waiting import WITHIN
from tests.e2e.namespaces import Namespace

ROOT = Path(__file__).parents[2]

_PACK = "import sys, tarfile\nwith tarfile.open(fileobj=sys.stdout.buffer, mode='w|') as tar: tar.add('/claim', '.')"


def copy_claim(namespace: Namespace, claim: str, folder: Path) -> Path:
    """Copy everything on *claim* into *folder*, through a pod that may only read it; return *folder*."""
    with namespace.mounting(claim) as pod:
        command = namespace.cluster.command("exec", f"--namespace={namespace.name}", pod, "--", "python", "-c", _PACK)
        done = subprocess.run(command, env=namespace.cluster.environ, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@dataclass(frozen=True, slots=True)
class Collected:
    """The end of ``coverage-hooks collect``: its exit code, what it said, and its output folder."""

    code: int
    said: str
    project: Path
    output: Path

    @property
    def summary(self) -> dict[str, Any]:
        """Return summary.json."""
        document: dict[str, Any] = json.loads((self.output / "summary.json").read_text())
        return document

    @property
    def ledger(self) -> dict[str, Any]:
        """Return the ledger, which is there also when there was nothing to report; its rows in order of time."""
        document: dict[str, Any] = json.loads((self.output / "ledger.json").read_text())
        document["rows"].sort(key=lambda row: str(row["started_at"]))
        return document

    @property
    def ran(self) -> dict[str, set[int]]:
        """Return the lines of each file that ran in the cluster, by the file's path in the project."""
        data = coverage.CoverageData(str(self.output / "cluster.coverage"))
        data.read()
        files = {file: str(Path(file).relative_to(self.project)) for file in data.measured_files()}
        return {name: set(data.lines(file) or ()) for file, name in files.items()}

    @property
    def states(self) -> list[str]:
        """Return the state of each recording, the oldest first."""
        return [row["state"] for row in self.ledger["rows"]]

    def missing(self, file: str, function: str) -> list[str]:
        """Return the source of each statement of *function* that did not run in the cluster."""
        missing, _, source = self._analysed(file, function)
        return [source[line - 1].strip() for line in missing]

    def never_ran(self, file: str, function: str) -> bool:
        """Return whether nothing in *function* ran in the cluster."""
        missing, statements, _ = self._analysed(file, function)
        return missing == statements

    def _analysed(self, file: str, function: str) -> tuple[list[int], list[int], list[str]]:
        path, rcfile = self.project / file, self.project / ".coveragerc"
        data = coverage.Coverage(data_file=str(self.output / "cluster.coverage"), config_file=str(rcfile))
        data.load()
        _, statements, _, missing, _ = data.analysis2(str(path))
        inside = _body(path, function)
        return [n for n in missing if n in inside], [n for n in statements if n in inside], path.read_text().split("\n")


def collect(project: Path, output: Path, *options: str) -> Collected:
    """Run ``coverage-hooks collect`` as the developer of *project* would, who is in its folder."""
    command = [sys.executable, "-m", "coverage_hooks", "collect", f"--output={output}", *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=WITHIN)
    return Collected(done.returncode, done.stdout + done.stderr, project, output)


def _body(path: Path, function: str) -> range:
    """Return the line numbers below the first line of *function*, given as ``name`` or ``Class.name``."""
    node: Any = ast.parse(path.read_text())
    for name in function.split("."):
        node = next(child for child in node.body if getattr(child, "name", None) == name)
    return range(node.body[0].lineno, node.end_lineno + 1)
