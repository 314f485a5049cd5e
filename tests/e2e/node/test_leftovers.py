"""`up` and `down`: a node that stays, and of which nothing stays, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import WITHIN, binaries, wait_until
from tests.cluster.cluster import Cluster
from tests.cluster.images import SANDBOX
from tests.cluster.node import programs
from tests.cluster.node.keeper import STAYS
from tests.e2e.node.traces import traces

COMMAND = [sys.executable, "-m", "tests.cluster.node"]

# Uses a node until its standard input ends.
USER = """
import sys
from tests.cluster.node import node
with node() as running:
    print(running.kubeconfig, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Machine:
    """A user's cache that shares what was built with the real one, but no nodes: those are somebody's."""

    cache: Path

    @property
    def nodes(self) -> list[Path]:
        """Return the folders of nodes."""
        return sorted(self.cache.glob("coverage-hooks/nodes/*"))

    @property
    def temporary(self) -> Path:
        """Return the folder for temporary files."""
        return self.cache / "temporary"

    @property
    def left(self) -> list[Path]:
        """Return all files that nodes left."""
        return [*self.nodes, *self.temporary.iterdir()]

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of a process that uses it."""
        return {**os.environ, "XDG_CACHE_HOME": str(self.cache), "TMPDIR": str(self.temporary)}

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        """Run `up` or `down`."""
        return subprocess.run([*COMMAND, verb], env=self.environ, capture_output=True, text=True, check=True)

    def start_and_kill(self, when: Callable[[str], bool]) -> None:
        """Start `up`, and kill it when a line of its progress says so."""
        with subprocess.Popen([*COMMAND, "up"], env=self.environ, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if when(line):
                    break
            process.kill()

    def keeper(self) -> int:
        """Return the PID of the process that keeps the node."""
        return int((self.nodes[0] / STAYS).read_text())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    shared = binaries.cache_folder(os.environ).parent
    own = tmp_path / "coverage-hooks"
    own.mkdir()
    for name in ("control-plane", "node", "images"):
        (own / name).symlink_to(shared / name)
    machine = Machine(tmp_path)
    machine.temporary.mkdir()
    yield machine
    machine.run("down")


def _kubectl(assignment: str, *arguments: str) -> str:
    environ = {**os.environ, "NO_PROXY": "*", "KUBECONFIG": assignment.removeprefix("export KUBECONFIG=").strip()}
    command = [str(programs.locate(print).kubectl), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.strip()


def _nodes(assignment: str) -> str:
    return _kubectl(assignment, "get", "nodes", "--output=name")


def _run_pod(assignment: str) -> None:
    """Run a pod of the one image that every node has."""
    _kubectl(assignment, "run", "pod", f"--image={SANDBOX}", "--image-pull-policy=Never")
    _kubectl(assignment, "wait", "pod/pod", "--for=condition=Ready", f"--timeout={WITHIN:g}s")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_up_builds_nothing_and_stays_and_down_leaves_nothing(machine: Machine) -> None:
    before = traces()
    done = machine.run("up")
    assert "building" not in done.stderr  # which takes minutes: what is there already is taken
    said = done.stdout
    assert _nodes(said) == "node/node"
    assert traces() != before
    assert machine.run("up").stdout == said  # it is there already
    machine.run("down")
    assert traces() == before
    assert machine.left == []


def test_two_nodes_do_not_disturb_each_other(machine: Machine, cluster: Cluster) -> None:
    said = machine.run("up").stdout
    assert str(cluster.kubeconfig) not in said
    assert _nodes(said) == "node/node"
    machine.run("down")
    assert cluster.kubectl("get", "nodes", "--output=name").strip() == "node/node"


def test_down_ends_no_node_that_somebody_uses_and_removes_it_when_its_user_was_killed(machine: Machine) -> None:
    before = traces()
    with subprocess.Popen(
        [sys.executable, "-c", USER], env=machine.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        said = user.stdout.readline()
        refused = machine.run("down")
        assert f"belongs to process {user.pid}" in refused.stderr
        assert _nodes(said) == "node/node"
        user.kill()
    machine.run("down")
    assert traces() == before
    assert machine.left == []


def test_down_has_nothing_to_do_twice(machine: Machine) -> None:
    assert machine.run("down").stdout == ""


@pytest.mark.parametrize("moment", ["https://", "it is Ready"])
def test_nothing_is_left_of_a_killed_up(machine: Machine, moment: str) -> None:
    before = traces()
    machine.start_and_kill(lambda line: moment in line)
    machine.run("down")
    assert traces() == before
    assert machine.left == []


@pytest.mark.parametrize("whom", ["keeper", "node"])
def test_nothing_is_left_of_a_node_that_was_killed(machine: Machine, whom: str) -> None:
    before = traces()
    _run_pod(machine.run("up").stdout)
    keeper = machine.keeper()
    inside = _children(keeper)[0]
    os.kill({"keeper": keeper, "node": inside}[whom], signal.SIGKILL)
    wait_until(lambda: not Path("/proc", str(inside)).exists(), "the node ended")
    machine.run("down")
    assert traces() == before
    assert machine.left == []


def test_a_node_that_died_is_replaced_and_its_logs_are_kept_until_then(machine: Machine) -> None:
    before = traces()
    machine.run("up")
    keeper = machine.keeper()
    os.kill(next(pid for pid in _children(_children(keeper)[0]) if _is_etcd(pid)), signal.SIGKILL)
    wait_until(lambda: not Path("/proc", str(keeper)).exists(), "the node ended")
    assert "etcd" in {path.stem for path in (machine.nodes[0] / "logs").iterdir()}
    assert _nodes(machine.run("up").stdout) == "node/node"
    machine.run("down")
    assert traces() == before


def _is_etcd(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == "etcd"
