"""However the process ends: what is on the volume is true, and the process ends as it would without the hook."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster import WITHIN, wait_until
from tests.unit.record.children import Program

START = """
    import coverage_hooks
    coverage_hooks.start()
"""

WORK = "def late():\n    return 1\n"


#: Notes every limit at which the main thread gave up waiting, and tells their sum at the end.
PATIENCE = """
    import atexit, sys, threading
    lost, wait = [], threading.Condition.wait
    def noting(condition, timeout=None):
        came = wait(condition, timeout)
        if not came and threading.current_thread() is threading.main_thread():
            lost.append(timeout)
        return came
    threading.Condition.wait = noting
    atexit.register(lambda: print("patience", sum(lost), file=sys.stderr))
"""


def behaves_alike(made: Program, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run with and without recording; both must say and return the same. Return the recorded run."""
    without = made.run(ENABLED="0")
    assert not made.volume.exists() or made.left() == []
    recorded = made.run(**settings)
    assert (recorded.returncode, recorded.stdout) == (without.returncode, without.stdout)
    return recorded


def patience(run: subprocess.CompletedProcess[str]) -> float:
    """Return what `PATIENCE` told in *run*."""
    (told,) = (line for line in run.stderr.splitlines() if line.startswith("patience "))
    return float(told.partition(" ")[2])


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "raise RuntimeError('broken')"])
def test_a_process_that_ends_by_itself_is_finished(tmp_path: Path, ending: str) -> None:
    made = Program(
        tmp_path, __main__=f"{START}\n    from program import work\n    work.late()\n    {ending}\n", work=WORK
    )
    behaves_alike(made)
    left = made.left_one()
    assert left.manifest.state == "finished"
    assert left.lines()["work.py"] == {1, 2}


def test_a_slow_exit_handler_is_recorded_to_its_end(tmp_path: Path) -> None:
    work = """
        import pacing

        def slow():
            pacing.until_beaten(3)
            done()

        def done():
            print("done")
    """
    main = f"{START}\n    import atexit\n    from program import work\n    atexit.register(work.slow)\n"
    made = Program(tmp_path, __main__=main, work=work)
    behaves_alike(made)
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"]) == ("finished", {2, 4, 5, 6, 8, 9})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_does_what_it_does_without_the_hook(tmp_path: Path, number: signal.Signals) -> None:
    main = f"{START}\n    from program import work\n    work.late()\n    print('ready', flush=True)\n    input()\n"
    made = Program(tmp_path, __main__=main, work=WORK)
    codes = []
    for enabled in ("0", "1"):
        with made.start(ENABLED=enabled) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if enabled == "1":
                wait_until(lambda: published(made) == {1, 2}, "its lines are published")
            process.send_signal(number)
            process.wait(timeout=WITHIN)
        codes.append(process.returncode)
    assert codes[0] == codes[1]
    assert made.left_one().manifest.state == ("finished" if number is signal.SIGINT else "running")
    assert made.left_one().lines()["work.py"] == {1, 2}


def published(made: Program) -> set[int]:
    """Return the lines of the work that are on the volume."""
    left = made.left_one()
    return left.lines().get("work.py", set()) if left.manifest.data is not None else set()


FORK = """
    import os, sys, threading
    import coverage_hooks
    coverage_hooks.start()
    from program import work

    stop = threading.Event()
    def busy():
        while not stop.is_set():
            work.called_by_everyone()
    threads = [threading.Thread(target=busy) for _ in range(4)]
    sys.setswitchinterval(0.00002)
    for thread in threads:
        thread.start()
    for _ in range(10):
        child = os.fork()
        if child == 0:
            work.called_by_everyone()
            work.called_by_children()
            coverage_hooks.start()
            coverage_hooks.save()
            if _ % 2:
                os._exit(7)
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    stop.set()
    for thread in threads:
        thread.join()
    print("all children ended")
"""


@pytest.mark.filterwarnings("default")
def test_forked_children_end_and_are_counted(tmp_path: Path) -> None:
    work = "def called_by_everyone():\n    return 1\ndef called_by_children():\n    return 2\n"
    made = Program(tmp_path, __main__=FORK, work=work)
    result = made.run()
    assert (result.returncode, result.stdout) == (0, "all children ended\n"), result.stderr
    left = made.left_one()
    assert (left.manifest.process.forks, left.manifest.state) == (10, "finished")
    assert left.lines()["work.py"] == {1, 2, 3}


LATE = f"{START}\n    from program import work\n    work.late()\n    print(coverage_hooks.save() in (True, False))\n"


def test_a_volume_that_hangs_delays_nobody_for_long(tmp_path: Path) -> None:
    # The real call blocks in the kernel with the GIL released; so does this one.
    hang = "\n    import os, threading\n    os.fsync = lambda _: threading.Event().wait()\n"
    made = Program(tmp_path, __main__=PATIENCE + hang + LATE, work=WORK)
    recorded = behaves_alike(made, EXIT_TIMEOUT="0.5")
    assert patience(recorded) == pytest.approx(1, abs=0.01), "0.5 s for the announcement, 0.5 s for all saves together"
    assert "does not answer; going on without it" in recorded.stderr


def test_a_volume_that_hangs_later_leaves_the_last_good_state(tmp_path: Path) -> None:
    hang = "\n    import os, threading\n    os.fsync = lambda _: threading.Event().wait()\n    work.late()\n"
    # The first snapshot may have been taken before the import: what is recorded now is on the volume some beats later.
    saved = "import pacing\n    pacing.until_beaten(3)"
    main = f"{START}\n    from program import work\n    {saved}{hang}"
    made = Program(tmp_path, __main__=main, work=WORK)
    behaves_alike(made, EXIT_TIMEOUT="0.5")
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"]) == ("running", {1})


def test_waits_share_one_timeout(tmp_path: Path) -> None:
    main = f"""{START}{PATIENCE}
    import os, threading
    os.fsync = lambda _: threading.Event().wait()
    for _ in range(10):
        coverage_hooks.save()
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    assert patience(made.run(EXIT_TIMEOUT="0.5")) == pytest.approx(0.5, abs=0.01)


def test_a_blocked_signal_stays_with_the_operator(tmp_path: Path) -> None:
    main = f"""{START}
    import os, signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
    os.kill(os.getpid(), signal.SIGTERM)
    print("got", int(signal.sigwait({{signal.SIGTERM}})))
    """
    behaves_alike(Program(tmp_path, __main__=main, work=WORK))


def test_a_volume_that_is_cleared_gets_everything_again(tmp_path: Path) -> None:
    main = f"""{START}
    import os, pathlib
    from program import work
    work.late()
    assert coverage_hooks.save()
    volume = pathlib.Path(os.environ["COVERAGE_HOOKS_DIR"])
    volume.rename("cleared")  # at once: the next beat may come at any moment
    while not coverage_hooks.save():
        pass
    for data in volume.glob("*/data-*"):
        data.unlink()
    assert coverage_hooks.save()
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    assert made.run().returncode == 0
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"]) == ("finished", {1, 2})


def test_a_problem_that_lasts_is_one_problem(tmp_path: Path) -> None:
    made = Program(tmp_path, __main__=f"{START}\n    for _ in range(5):\n        coverage_hooks.save()\n", work=WORK)
    made.volume.write_text("a file where the volume should be")
    result = made.run()
    assert (result.returncode, result.stderr.count("recorded, but not saved")) == (0, 1)
    assert result.stderr.count("the manifest was not written") == 1


def test_saves_that_succeed_cost_no_patience(tmp_path: Path) -> None:
    main = f"""{START}
    import os, time
    from program import work
    synchronise, clock = os.fsync, time.monotonic
    os.fsync = lambda number: (time.sleep(0.05), synchronise(number))
    time.monotonic = lambda: 1000 * clock()  # measured by it, twelve saves take longer than all patience
    assert all([coverage_hooks.save() for _ in range(12)])
    work.late()
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    assert made.run(INTERVAL="60").returncode == 0
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"]) == ("finished", {1, 2})


def test_a_save_after_the_last_one_waits_for_nobody(tmp_path: Path) -> None:
    main = f"""
    import atexit, coverage_hooks
    atexit.register(lambda: print(coverage_hooks.save()))
    {START}"""
    made = Program(tmp_path, __main__=main, work=WORK)
    assert made.run(EXIT_TIMEOUT="3600").stdout == "True\n"
    assert made.left_one().manifest.state == "finished"


@pytest.mark.parametrize(
    "fault",
    [
        "import threading; threading.Thread.start = lambda _: 1 / 0",
        "import logging; logging.getLogger('coverage_hooks').addFilter(lambda record: record.absent)",
    ],
)
def test_nothing_is_raised_into_the_operator(tmp_path: Path, fault: str) -> None:
    made = Program(
        tmp_path, __main__=f"\n    {fault}\n{START}\n    coverage_hooks.save()\n    print('alive')\n", work=WORK
    )
    result = made.run(INTERVAL="none", EXIT_TIMEOUT="3600")  # of which nothing is waited for in vain
    assert (result.returncode, result.stdout) == (0, "alive\n"), result.stderr


def test_a_volume_that_cannot_synchronise_folders_is_a_volume(tmp_path: Path) -> None:
    main = f"""
    import errno, os, stat
    synchronise = os.fsync
    def fsync(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        synchronise(number)
    os.fsync = fsync
    {START}
    from program import work
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    assert made.run().returncode == 0
    left = made.left_one()
    assert (left.manifest.state, left.manifest.problems, left.lines()["work.py"]) == ("finished", [], {1})
