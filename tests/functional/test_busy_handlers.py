"""Busy sync handlers, which Kopf runs in threads: saving loses nothing of them, and a SIGKILL little."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api, V1Namespace, V1ObjectMeta

from coverage_hooks.volume.manifest import parse_timestamp
from tests import oneshots
from tests.cluster import ControlPlane, wait_until
from tests.functional.operating import Operator, make_config_map
from tests.unit.record.children import Left, opened, usual_mode

#: Enough to keep each thread busy for longer than any operator here lives.
FUNCTIONS = 4_500
THREADS = 6

#: With `PACED` in its environment, the operator works no faster than it is saved.
HANDLERS = f"""
    import os, sys, time
    import kopf
    import pacing
    from under_test import work

    sys.setswitchinterval(0.0005)
    LOG = os.open(os.environ["WORK_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @kopf.on.startup()
    def configure(settings, **_):
        settings.posting.enabled = False
        settings.execution.max_workers = {THREADS}

    @kopf.on.create("configmaps", labels={{"for": "operator"}})
    def created(name, **_):
        for number in range(int(name), {FUNCTIONS}, {THREADS}):
            if "PACED" in os.environ and number % {FUNCTIONS // 10} == int(name):
                pacing.until_beaten(2)
            work.functions[number](number)
            os.write(LOG, b"%d %f\\n" % (number, time.time()))
            time.sleep(0.003)
"""


async def busy_operator(folder: Path, control_plane: ControlPlane, api: ApiClient) -> Operator:
    """Return an operator that is not started yet, with one config map for each of its threads."""
    namespace = f"busy-{uuid.uuid4().hex[:12]}"
    await CoreV1Api(api).create_namespace(V1Namespace(metadata=V1ObjectMeta(name=namespace)))
    made = Operator(folder, control_plane.kubeconfig, namespace, HANDLERS, oneshots.source(FUNCTIONS))
    made.environment["WORK_LOG"] = str(folder / "work.log")
    for number in range(THREADS):
        await make_config_map(api, namespace, str(number))
    return made


def logged(made: Operator) -> list[tuple[int, float]]:
    """Return which function had ended when."""
    log = Path(made.environment["WORK_LOG"])
    text = log.read_text() if log.exists() else ""
    return [(int(n), float(at)) for n, at in (line.split() for line in text.splitlines())]


def record_plainly(made: Operator) -> Path:
    """Do the same work in one thread under ``coverage run``, and return the data file."""
    plainly = "from under_test import work\nfor number, function in enumerate(work.functions):\n    function(number)\n"
    (made.checkout / "plainly.py").write_text(plainly)
    data_file = made.folder / "plain"
    command = [sys.executable, "-m", "coverage", "run", "--data-file", str(data_file), "plainly.py"]
    subprocess.run(command, cwd=made.checkout, check=True)
    return data_file


async def test_sync_handlers_record_what_a_plain_run_of_their_work_records(
    tmp_path: Path, control_plane: ControlPlane, api: ApiClient
) -> None:
    made = await busy_operator(tmp_path / "busy", control_plane, api)
    made.environment["PACED"] = "1"
    with made.start(INTERVAL="0.1") as running:
        wait_until(lambda: len(logged(made)) == FUNCTIONS, "all work is done", details=running.text)
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
    plain_file = await asyncio.to_thread(record_plainly, made)
    left = made.left_one()
    assert left.manifest.beat >= 20, "it must have been saved while the handlers ran"
    assert left.is_on_the_disk()
    with opened(plain_file) as plain:
        (work,) = [file for file in plain.measured_files() if file.endswith("work.py")]
        assert left.lines()["work.py"] == set(plain.lines(work) or ())
        assert left.arcs()["work.py"] == set(plain.arcs(work) or ())


@dataclass(frozen=True)
class Kill:
    """What is known of one killed operator."""

    left: Left
    done: list[tuple[int, float]]
    at: float

    def lost(self, first_lines: list[int]) -> list[float]:
        """Return when the work was done of which no line is in the recording."""
        recorded = self.left.lines().get("work.py", set())
        return [at for number, at in self.done if first_lines[number] not in recorded]


def kill_once(made: Operator, delay: float) -> Kill:
    """Start the operator, kill it *delay* seconds after its handlers began to work."""
    Path(made.environment["WORK_LOG"]).unlink(missing_ok=True)
    known = {left.folder for left in made.left()}
    with made.start() as running:
        wait_until(lambda: logged(made), "the handlers work", details=running.text)
        time.sleep(delay)  # not waiting for anything: a random moment is the point
        at = time.time()
        running.signal(signal.SIGKILL)
        assert running.ended() == -signal.SIGKILL
    (left,) = [left for left in made.left() if left.folder not in known]
    return Kill(left, logged(made), at)


@pytest.mark.parametrize("seed", [1, 2])
async def test_ten_kills_lose_nothing_older_than_the_bound(
    tmp_path: Path,
    control_plane: ControlPlane,
    api: ApiClient,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random(seed)
    made = await busy_operator(tmp_path / "busy", control_plane, api)
    first_lines = oneshots.first_lines(made.checkout / "under_test" / "work.py")
    worst = 0.0
    for _ in range(10):
        kill = await asyncio.to_thread(kill_once, made, chance.uniform(0.05, 1.2))
        lost = kill.lost(first_lines)
        seconds = kill.at - min(lost, default=kill.at)
        worst = max(worst, seconds)
        manifest = kill.left.manifest
        assert (manifest.state, manifest.process.journal) == ("running", usual_mode())
        if usual_mode() == "immediate":
            assert (lost, kill.left.is_complete) == ([], True)
        assert min(lost, default=kill.at) >= parse_timestamp(manifest.snapshot_at).timestamp() - 0.005
    record_property("worst_seconds_lost", round(worst, 3))
    retrieved = made.collect("--since", "1d", command="retrieve")  # reporting so much code takes longer than the kills
    losses = 0 if usual_mode() == "immediate" else 10
    assert (retrieved.code, retrieved.text.count("LOSS  ")) == (bool(losses), losses), retrieved.text
