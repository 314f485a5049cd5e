"""However the process ends: what is on the volume is true, and the process ends as it would without the hook."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from pathlib import Path

import pytest

from coverage_hooks.record.pulse import Pulse
from coverage_hooks.volume.manifest import parse_timestamp
from tests.cluster import WITHIN, wait_until
from tests.unit.record.children import Program, usual_mode

START = """
    import coverage_hooks
    coverage_hooks.start()
"""

WORK = "def late():\n    return 1\n"


#: Notes every limit at which the main thread gave up waiting, and tells their number and sum at the end. A wait of its
#: without a limit, which nothing but the limit of the test would end, ends the program at once.
PATIENCE = """
    import atexit, os, sys, threading
    lost, wait = [], threading.Condition.wait
    def noting(condition, timeout=None):
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and timeout is None and sys._getframe(2).f_code.co_name != "start":  # of a thread
            os.kill(os.getpid(), 9)
        came = wait(condition, timeout)
        if not came and is_main:
            lost.append(timeout)
        return came
    threading.Condition.wait = noting
    atexit.register(lambda: print("patience", len(lost), sum(lost), file=sys.stderr))
"""


def behaves_alike(made: Program, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run with and without recording; both must say and return the same. Return the recorded run."""
    without = made.run(ENABLED="0")
    assert not made.volume.exists() or made.left() == []
    recorded = made.run(**settings)
    assert (recorded.returncode, recorded.stdout) == (without.returncode, without.stdout)
    return recorded


def patience(run: subprocess.CompletedProcess[str]) -> tuple[int, float]:
    """Return what `PATIENCE` told in *run*: how often the main thread gave up, and after how many seconds in all."""
    (told,) = (line.split() for line in run.stderr.splitlines() if line.startswith("patience "))
    return int(told[1]), float(told[2])


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "raise RuntimeError('broken')"])
def test_a_process_that_ends_by_itself_is_finished(tmp_path: Path, ending: str) -> None:
    made = Program(
        tmp_path, __main__=f"{START}\n    from program import work\n    work.late()\n    {ending}\n", work=WORK
    )
    behaves_alike(made)
    left = made.left_one()
    assert left.manifest.state == "finished"
    assert left.lines()["work.py"] == {1, 2}
    assert left.is_on_the_disk()


@pytest.mark.parametrize("status", [0, 3])
def test_a_process_that_leaves_without_its_exit_handlers_is_finished(tmp_path: Path, status: int) -> None:
    main = f"{START}\n    import os\n    from program import work\n    work.late()\n    os._exit({status})\n"
    made = Program(tmp_path, __main__=main, work=WORK)
    assert behaves_alike(made).returncode == status
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"]) == ("finished", {1, 2})
    assert left.is_on_the_disk()


@pytest.mark.parametrize("program", ["/bin/true", "/does/not/exist"])
def test_all_is_saved_before_another_program_takes_the_place(tmp_path: Path, program: str) -> None:
    main = f"""{START}
    import os
    from program import work
    work.late()
    try:
        os.execv("{program}", ["it"])
    except FileNotFoundError:
        work.later()
    """
    made = Program(tmp_path, __main__=main, work=WORK + "def later():\n    return 2\n")
    assert behaves_alike(made, INTERVAL="60").returncode == 0
    left = made.left_one()
    replaced = program == "/bin/true"
    assert left.manifest.state == ("running" if replaced else "finished")
    assert left.lines()["work.py"] == ({1, 2, 3} if replaced else {1, 2, 3, 4})
    assert left.is_on_the_disk()


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
    # Not `input()`: it does not notice a signal that comes right before it reads.
    wait = "import time\n    while True:\n        time.sleep(0.01)\n"
    main = f"{START}\n    from program import work\n    work.late()\n    print('ready', flush=True)\n    {wait}"
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
    return made.left_one().lines().get("work.py", set())


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
            assert not coverage_hooks.save()
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
def test_forked_children_end_and_are_recorded(tmp_path: Path) -> None:
    work = "def called_by_everyone():\n    return 1\ndef called_by_children():\n    return 2\n"
    made = Program(tmp_path, __main__=FORK, work=work)
    result = made.run()
    assert (result.returncode, result.stdout) == (0, "all children ended\n"), result.stderr
    left = made.left_one()
    assert (left.manifest.process.forks, left.manifest.state) == (10, "finished")
    assert left.lines()["work.py"] == {1, 2, 3, 4}
    assert len(left.journals()) == 11
    assert left.is_on_the_disk()


#: What a forked child does, and whether that is recorded if its points are written with its end.
CHILDREN = {
    "it ends": ("sys.exit(0)", True),
    "it leaves": ("os._exit(0)", True),
    "it fails": ("raise RuntimeError", True),
    "it is replaced": ("os.execv('/bin/true', ['it'])", True),
    "it forks": ("os.waitpid(pid, 0) if (pid := os.fork()) else work.later(); os._exit(0)", True),
    "it is killed": ("os.kill(os.getpid(), 9)", False),
    "it loses its descriptors": ("os.closerange(3, 5000); work.later()", True),
}


@pytest.mark.parametrize("child", CHILDREN)
def test_a_forked_child_is_recorded_however_it_ends(tmp_path: Path, child: str) -> None:
    does, always = CHILDREN[child]
    main = f"""{START}
    import os, sys
    from program import work
    if (pid := os.fork()) == 0:
        work.late()
        {does}
    else:
        os.waitpid(pid, 0)
        print("ended", flush=True)
    """
    made = Program(tmp_path, __main__=main, work=WORK + "def later():\n    return 2\n")
    assert behaves_alike(made).returncode == 0
    left = made.left_one()
    assert (left.manifest.state, left.manifest.process.forks, left.manifest.problems) == ("finished", 1, [])
    assert left.is_complete == (left.mode == "immediate")
    its = {2} | ({4} if "later" in does else set())
    assert left.lines()["work.py"] == {1, 3} | (its if always or left.mode == "immediate" else set())
    assert left.is_on_the_disk()


@pytest.mark.parametrize("branch", [True, False])
@pytest.mark.parametrize("has_room_again", [True, False])
def test_a_child_that_finds_no_room_for_a_while_writes_it_with_its_end(
    tmp_path: Path, has_room_again: bool, branch: bool
) -> None:
    main = f"""{START}
    import os, resource, sys
    from program import work
    coverage_hooks.save()
    if (pid := os.fork()) == 0:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        work.late()
        if {has_room_again}:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.exit(3)
    print(os.waitpid(pid, 0)[1])
    """
    made = Program(tmp_path, branch, __main__=main, work=WORK)
    behaves_alike(made)
    left = made.left_one()
    assert left.lines()["work.py"] == ({1, 2} if has_room_again else {1})
    assert not left.is_complete, "no one but the child knows what it lost"


def test_an_operator_that_closes_all_descriptors_is_recorded_on(tmp_path: Path) -> None:
    main = f"""{START}
    import os
    from program import work
    assert coverage_hooks.save()
    os.closerange(3, 5000)
    work.late()
    if {usual_mode() == "interval"}:
        assert coverage_hooks.save()
    os.kill(os.getpid(), 9)
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    assert made.run(INTERVAL="60").returncode == -signal.SIGKILL
    left = made.left_one()
    assert (left.mode, left.is_complete) == (usual_mode(), usual_mode() == "immediate")
    assert left.lines()["work.py"] == {1, 2}


def test_a_pool_of_forked_children_is_recorded(tmp_path: Path) -> None:
    main = f"""{START}
    import multiprocessing
    from program import work
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:  # which it terminates at its end
        print(pool.map(work.each, range(30), chunksize=1))
    child = context.Process(target=work.alone)
    child.start()
    child.join()
    print(child.exitcode)
    """
    made = Program(tmp_path, __main__=main, work="def each(number):\n    return 2\ndef alone():\n    return 2\n")
    behaves_alike(made)
    left = made.left_one()
    assert {1, 3, 4} <= left.lines()["work.py"] <= {1, 2, 3, 4}
    assert 2 in left.lines()["work.py"] or left.mode == "interval", "what is terminated has not saved"


LATE = f"{START}\n    from program import work\n    work.late()\n    print(coverage_hooks.save() in (True, False))\n"


#: The real call blocks in the kernel with the GIL released; so does this one.
HANG = "import os, threading; os.fsync = os.fdatasync = lambda _: threading.Event().wait()"
#: The same of the manifest alone, when it is known already how lines would get to the journal.
HANG_LATER = "import os, threading; os.replace = lambda *_, **__: threading.Event().wait()"


@pytest.mark.parametrize("hang", [HANG, HANG_LATER])
def test_a_volume_that_hangs_delays_nobody_for_long(tmp_path: Path, hang: str) -> None:
    made = Program(tmp_path, False, __main__=f"{PATIENCE}\n    {hang}\n{LATE}", work=WORK)
    recorded = behaves_alike(made, EXIT_TIMEOUT="0.5")
    # 0.5 s for the announcement, and 0.5 s for the save and the end together.
    assert patience(recorded) == pytest.approx((3, 1), abs=0.01)
    assert "does not answer; going on without it" in recorded.stderr
    assert [*made.volume.glob("*/journal-*")] == [], "only the pulse writes to a volume that did not answer"


def test_a_volume_that_hangs_delays_no_event_loop(tmp_path: Path) -> None:
    main = f"""{PATIENCE}{START}
    lost.clear()  # a slow announcement is none of this
    import asyncio
    from coverage_hooks.record import recording
    from program import work
    {HANG}
    work.late()
    async def ends():
        saving = asyncio.ensure_future(recording.current().save_async())
        done, _ = await asyncio.wait({{saving}}, timeout={WITHIN / 5})
        print(done == {{saving}} and saving.result())
    asyncio.run(ends())
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    recorded = made.run(EXIT_TIMEOUT="0.5")
    assert (recorded.returncode, recorded.stdout) == (0, "False\n"), recorded.stderr
    assert patience(recorded) == (1, 0), "the end waits no more, as the loop has used all patience up"


def test_a_volume_that_hangs_later_leaves_the_last_good_state(tmp_path: Path) -> None:
    hang = f"\n    {HANG}\n    work.late()\n"
    # The first beat may have been before the import: what is recorded now is on the disk some beats later.
    saved = "import pacing\n    pacing.until_beaten(3)"
    main = f"{START}\n    from program import work\n    {saved}{hang}"
    made = Program(tmp_path, __main__=main, work=WORK)
    behaves_alike(made, EXIT_TIMEOUT="0.5")
    left = made.left_one()
    # What was written after that is behind what is on the disk for certain.
    assert (left.manifest.state, left.lines()["work.py"]) == ("running", {1, 2})
    (known,) = left.manifest.journals
    text = left.journals()[known.file]
    assert 0 < known.size < len(text)
    assert hashlib.sha256(text[: known.size]).hexdigest() == known.sha256
    assert left.is_complete == (usual_mode() == "immediate")


#: From now on nothing gets to the disk.
BROKEN = """
    import errno, os
    def fdatasync(_):
        raise OSError(errno.EIO, "Input/output error")
    os.fdatasync = fdatasync
"""


def test_what_is_not_on_the_disk_is_in_no_snapshot(tmp_path: Path) -> None:
    main = f"""{START}
    import pacing, time
    from program import work
    assert coverage_hooks.save()
    {BROKEN}
    print(time.time(), flush=True)
    work.late()
    assert not coverage_hooks.save()
    pacing.until_beaten(2)
    os.kill(os.getpid(), 9)
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    result = made.run()
    assert result.returncode == -signal.SIGKILL, result.stderr
    manifest = made.left_one().manifest
    snapshot, published = (parse_timestamp(each).timestamp() for each in (manifest.snapshot_at, manifest.published_at))
    assert snapshot < float(result.stdout) < published
    assert manifest.problems == ["recorded, but not saved: OSError: Input/output error"]


def test_a_process_whose_last_save_fails_is_not_finished(tmp_path: Path) -> None:
    main = f"""{START}
    from program import work
    assert coverage_hooks.save()
    {BROKEN}
    work.late()
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    result = made.run()
    assert result.returncode == 0, result.stderr
    assert made.left_one().manifest.state == "running"


def test_a_snapshot_is_as_old_as_its_beginning(tmp_path: Path) -> None:
    main = f"""{START}
    import os, threading, time
    assert coverage_hooks.save()  # so no beat that was asked for at the start is still to come
    from program import work
    synchronise, begun, go_on = os.fdatasync, threading.Event(), threading.Event()
    def fdatasync(number):
        begun.set()
        go_on.wait()
        synchronise(number)
    os.fdatasync = fdatasync
    saving = threading.Thread(target=lambda: print(coverage_hooks.save(), flush=True))
    saving.start()
    begun.wait()
    print(time.time())
    work.late()
    go_on.set()
    saving.join()
    os.kill(os.getpid(), 9)
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    result = made.run(INTERVAL="60")
    assert result.returncode == -signal.SIGKILL, result.stderr
    ran, saved = result.stdout.split()
    assert saved == "True"
    assert parse_timestamp(made.left_one().manifest.snapshot_at).timestamp() < float(ran)


def test_waits_share_one_timeout(tmp_path: Path) -> None:
    main = f"""{PATIENCE}{START}
    lost.clear()  # a slow announcement is none of this
    from program import work
    {HANG}
    work.late()  # without anything new a save has nothing to wait for
    print(*[coverage_hooks.save() for _ in range(10)])
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    recorded = made.run(EXIT_TIMEOUT="0.5")
    assert recorded.stdout.split() == ["False"] * 10
    assert patience(recorded) == pytest.approx((11, 0.5), abs=0.01)


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
    for journal in volume.glob("*/journal-*"):
        journal.unlink()
    assert coverage_hooks.save()
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    assert made.run().returncode == 0
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"]) == ("finished", {1, 2})
    assert (left.mode, left.is_complete) == (usual_mode(), usual_mode() == "immediate")
    assert left.is_on_the_disk()


@pytest.mark.parametrize("branch", [True, False])
def test_a_save_after_the_journal_was_removed_is_of_everything(tmp_path: Path, branch: bool) -> None:
    main = f"""{START}
    import os, pathlib
    from program import work
    work.late()
    assert coverage_hooks.save()
    for journal in pathlib.Path(os.environ["COVERAGE_HOOKS_DIR"]).glob("*/journal-*"):
        journal.unlink()
    assert coverage_hooks.save()
    os.kill(os.getpid(), 9)
    """
    made = Program(tmp_path, branch, __main__=main, work=WORK)
    result = made.run(INTERVAL="60")
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert made.left_one().lines()["work.py"] == {1, 2}


def test_a_manifest_that_says_more_gets_to_the_disk_and_so_does_the_last_one(tmp_path: Path) -> None:
    main = f"""
    import atexit, os
    synchronised, before, synchronise = [], [], os.fsync
    def fsync(number):
        synchronise(number)
        synchronised.append(number)
    os.fsync = fsync
    atexit.register(lambda: print(len(synchronised) > before[-1]))  # after the last save
    {START}
    assert coverage_hooks.save()
    from program import work
    before.append(len(synchronised))
    assert coverage_hooks.save()
    print(len(synchronised) > before[-1])
    before.append(len(synchronised))
    """
    made = Program(tmp_path, __main__=main, work=WORK)
    assert made.run(INTERVAL="60").stdout.split() == ["True", "True"]


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
    replace, clock = os.replace, time.monotonic
    os.replace = lambda *names, **at: (time.sleep(0.05), replace(*names, **at))  # as with each manifest
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


def test_who_asks_amid_the_last_beat_is_answered() -> None:
    asked = []

    def beat(*, last: bool) -> bool:
        if last:
            asked.append(pulse.ask())
        return True

    pulse = Pulse(beat, 3600)
    pulse.begin()
    assert pulse.ask(last=True).result(WITHIN)
    pulse.join(WITHIN)
    assert asked[0].result(0)


def test_nobody_waits_for_a_pulse_that_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Pulse) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Pulse, "start", refuse)
    pulse = Pulse(lambda *, last: last, 3600)
    with pytest.raises(RuntimeError, match="can't start"):
        pulse.begin()
    assert pulse.ask().result(0) is False


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
