"""``make demo``: a newcomer's first command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import wait_until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("programs")


@pytest.fixture
def mark() -> Iterator[str]:
    """Return a value for the environment of processes that must not be there at the end."""
    yield (value := uuid.uuid4().hex)
    wait_until(lambda: not marked(value), "nothing is left", details=lambda: str(marked(value)))


def start(folder: Path, mark: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo", "--output", str(folder)],
        cwd=ROOT,
        env={**os.environ, "MARK": mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def marked(mark: str) -> list[str]:
    """Return the command lines of all running processes whose environment has *mark*."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def test_it_ends_well_and_the_cluster_covers_what_unit_tests_do_not(tmp_path: Path, mark: str) -> None:
    with start(tmp_path / "demo", mark) as demo:
        said, _ = demo.communicate()
    assert demo.returncode == 0, said
    summary = json.loads((tmp_path / "demo" / "coverage" / "summary.json").read_text())
    totals = {world: total["percent"] for world, total in summary["totals"].items()}
    assert totals["unit"] < totals["combined"] > totals["cluster"]
    assert "NameConflict" in said


@pytest.mark.parametrize(
    ("number", "during"),
    [(signal.SIGINT, "run the operator's unit tests"), (signal.SIGTERM, "start the operator")],
    ids=["SIGINT", "SIGTERM"],
)
def test_stopped_half_way_it_leaves_nothing(tmp_path: Path, mark: str, number: signal.Signals, during: str) -> None:
    with start(tmp_path / "demo", mark) as demo:
        assert demo.stdout
        said = ""
        while during not in said and (character := demo.stdout.read(1)):
            said += character
        # The demo, and etcd, the API server, Keycloak's keeper and their supervisors.
        assert len(marked(mark)) > 4, said
        demo.send_signal(number)
        said += demo.stdout.read()
        assert demo.wait() == 128 + number, said
