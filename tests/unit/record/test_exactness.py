"""What busy threads record while it is saved equals what plain ``coverage run`` records of the same work."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from coverage_hooks.volume.manifest import parse_timestamp
from tests import oneshots
from tests.unit.record.children import Left, Program, opened, usual_mode

FUNCTIONS = 900
THREADS = 6

#: Every function runs exactly once, in one of several threads: a point that is lost once is lost for good.
#: ``--save`` saves as often as that can be, not once per beat, and some of it before the work is done.
#: ``--log`` prints what was done when.
MAIN = f"""
    import os, sys, threading, time
    import coverage_hooks
    coverage_hooks.start()
    import pacing
    from program import work

    doing, sizes = sys.argv[1:2], set()

    def run(first):
        for number in range(first, {FUNCTIONS}, {THREADS}):
            if doing == ["--save"] and number % {FUNCTIONS // 5} == first:
                pacing.until_beaten(2)
            work.functions[number](number)
            if doing == ["--log"]:
                os.write(1, b"%d %f\\n" % (number, time.time()))
            time.sleep(0.02 if doing == ["--log"] else 0.004)

    threads = [threading.Thread(target=run, args=(first,)) for first in range({THREADS})]
    sys.setswitchinterval(0.00005)
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if doing == ["--save"]:
            coverage_hooks.save()
            sizes.add(pacing.on_the_disk())
    print(len(sizes))
    for thread in threads:
        thread.join()
"""


def program(folder: Path, *, branch: bool) -> Program:
    return Program(folder, branch, __main__=MAIN, work=oneshots.source(FUNCTIONS))


def record_plainly(made: Program) -> Path:
    """Run the same program under ``coverage run``."""
    result = made.run("-m", "coverage", "run", "--data-file", "plain", "-m", "program", ENABLED="0")
    assert result.returncode == 0, result.stderr
    return made.folder / "plain"


@pytest.mark.parametrize("branch", [False, True], ids=["lines", "arcs"])
def test_threads_that_record_while_it_is_saved_lose_nothing(tmp_path: Path, branch: bool) -> None:
    made = program(tmp_path, branch=branch)
    plain = record_plainly(made)
    result = made.run("-m", "program", "--save")
    assert result.returncode == 0, result.stderr
    left = made.left_one()
    assert int(result.stdout) > 3, "the journal must have got to the disk while the threads ran"
    assert left.mode == usual_mode(branch=branch)
    assert left.is_on_the_disk()
    with opened(plain) as expected:
        (work,) = [file for file in expected.measured_files() if file.endswith("work.py")]
        assert left.lines()["work.py"] == set(expected.lines(work) or ())
        assert left.arcs()["work.py"] == set(expected.arcs(work) or ())


def killed_after(made: Program, delay: float) -> tuple[Left, list[tuple[int, float]], float]:
    """Kill the program; return its recording, when each function ran, and when it was killed."""
    known = {left.folder for left in made.left()}
    with made.start("-m", "program", "--log") as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)  # a random moment is the point
        killed_at = time.time()
        process.kill()
        log = [(int(n), float(at)) for n, at in (line.split() for line in process.stdout.read().splitlines())]
    assert process.returncode == -signal.SIGKILL
    (left,) = [left for left in made.left() if left.folder not in known]
    return left, log, killed_at


@pytest.mark.parametrize("branch", [False, True], ids=["lines", "arcs"])
def test_a_kill_loses_nothing_older_than_the_bound(tmp_path: Path, branch: bool) -> None:
    made = program(tmp_path, branch=branch)
    first_line = oneshots.first_lines(tmp_path / "program" / "work.py")
    for delay in (0.15, 0.45, 0.8, 1.2):
        left, log, killed_at = killed_after(made, delay)
        recorded = left.lines().get("work.py", set())
        lost = [at for number, at in log if first_line[number] not in recorded]
        assert (left.manifest.state, left.mode) == ("running", usual_mode(branch=branch))
        if left.mode == "immediate":
            assert (lost, left.is_complete) == ([], True)
        assert min(lost, default=killed_at) >= parse_timestamp(left.manifest.snapshot_at).timestamp() - 0.001
