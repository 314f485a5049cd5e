"""Off means nothing at all; on means once, and never beside another measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coverage_hooks.volume.manifest import Manifest
from tests.cluster.waiting import WITHIN
from tests.unit.record.children import Program, usual_mode

REPORT = """
    import json, signal, sys, threading
    before = set(sys.modules)
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    import coverage_hooks
    coverage_hooks.start()
    coverage_hooks.save()
    print(json.dumps({
        "loaded": sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in ("coverage", "kopf")),
        "record": "coverage_hooks.record.recording" in sys.modules,
        "threads": threading.active_count(),
        "handlers": handlers == [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)],
        "tracing": sys.gettrace() is not None or getattr(sys, "monitoring", None) is not None
        and any(map(sys.monitoring.get_tool, range(6))),
    }))
"""


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "OFF"])
def test_off_does_nothing(tmp_path: Path, value: str) -> None:
    made = Program(tmp_path, True, True, __main__=REPORT)
    result = made.run(ENABLED=value)
    assert json.loads(result.stdout) == {
        "loaded": [],
        "record": False,
        "threads": 1,
        "handlers": True,
        "tracing": False,
    }
    assert (result.returncode, result.stderr, made.volume.exists()) == (0, "", False)


def test_an_unknown_switch_is_off_and_logged(tmp_path: Path) -> None:
    result = Program(tmp_path, __main__=REPORT).run(ENABLED="enabled")
    assert not json.loads(result.stdout)["record"]
    assert "COVERAGE_HOOKS_ENABLED='enabled': expected one of 1, true, yes, on; coverage stays off" in result.stderr


@pytest.mark.parametrize("value", ["1", "true", "YES", " on "])
def test_on_records_without_touching_signals(tmp_path: Path, value: str) -> None:
    made = Program(tmp_path, __main__=REPORT)
    report = json.loads(made.run(ENABLED=value).stdout)
    assert (report["record"], report["threads"], report["handlers"], report["tracing"]) == (True, 2, True, True)
    assert made.left_one().manifest.state == "finished"


@pytest.mark.parametrize("branch", [True, False])
def test_the_announcement_says_how_it_will_be_recorded(tmp_path: Path, branch: bool) -> None:
    main = """
        import coverage_hooks
        coverage_hooks.start()
        import os, pathlib
        (folder,) = pathlib.Path(os.environ["COVERAGE_HOOKS_DIR"]).iterdir()
        print((folder / "recording.json").read_text())
    """
    made = Program(tmp_path, branch, __main__=main)
    announced = Manifest.parse(made.run(INTERVAL="60").stdout.encode())
    assert announced.state == "running"
    ended = made.left_one()
    assert announced.process == ended.manifest.process
    assert (announced.process.journal, announced.process.branch) == (usual_mode(branch=branch), branch)
    assert announced.process.core == ("sysmon" if ended.mode == "immediate" else "ctrace")


def test_kopf_is_found_or_done_without(tmp_path: Path) -> None:
    registered = Program(
        tmp_path / "with",
        True,
        True,
        __main__="""
            import coverage_hooks
            coverage_hooks.start()
            coverage_hooks.start()
            import kopf
            registry = kopf.get_default_registry()
            print(sum(handler.id == "coverage-hooks" for handler in registry._activities.get_all_handlers()))
        """,
    )
    assert registered.run().stdout == "1\n"
    assert len(registered.left()) == 1
    hidden = Program(tmp_path / "without", __main__=REPORT)
    assert "coverage is saved without it" in hidden.run().stderr
    assert hidden.left_one().manifest.state == "finished"


def test_the_cleanup_of_kopf_neither_fails_nor_blocks_the_event_loop(tmp_path: Path) -> None:
    main = f"""
        import coverage_hooks
        coverage_hooks.start()
        import asyncio, kopf, os, threading
        handlers = kopf.get_default_registry()._activities.get_all_handlers()
        (handler,) = [handler for handler in handlers if handler.id == "coverage-hooks"]
        print(handler.errors.name, handler.retries, flush=True)
        beside, replace = threading.Event(), os.replace
        def slow(*names, **at):
            print(beside.wait({WITHIN / 5}), flush=True)
            replace(*names, **at)
        os.replace = slow
        async def cleanup():
            await asyncio.gather(handler.fn(), asyncio.to_thread(beside.set))
        asyncio.run(cleanup())
        os.kill(os.getpid(), 9)
    """
    made = Program(tmp_path, True, True, __main__=main)
    assert made.run(INTERVAL="60").stdout.split() == ["IGNORED", "1", "True"]


def test_kopfs_own_command_saves_however_it_ends(tmp_path: Path) -> None:
    main = """
        import coverage_hooks
        coverage_hooks.start()
        import os
        import coverage_hooks.kopf as door
        from program import work
        def command(args, prog_name):
            work.late()
            raise SystemExit(f"{prog_name} {args}")
        door.main = command
        try:
            door.run_command(["operator.py"])
        except SystemExit as ended:
            print(ended, flush=True)
        os.kill(os.getpid(), 9)
    """
    made = Program(tmp_path, True, True, __main__=main, work="def late():\n    return 1\n")
    assert made.run(INTERVAL="60").stdout == "kopf ['run', 'operator.py']\n"
    assert made.left_one().lines()["work.py"] == {1, 2}


@pytest.mark.parametrize("way", ["environment", "command"])
def test_beside_another_measurement_it_announces_why_nothing_is_recorded(tmp_path: Path, way: str) -> None:
    made = Program(tmp_path, __main__=f"{REPORT}\n    print(coverage_hooks.save())\n")
    command: tuple[str, ...] = ()
    if way == "environment":
        made.more_environment = {"COVERAGE_PROCESS_START": str(tmp_path / ".coveragerc")}
        because = "COVERAGE_PROCESS_START"
    else:
        command, because = ("-m", "coverage", "run", "-m", "program"), "`coverage run` or pytest-cov"
    result = made.run(*command)
    assert (result.returncode, result.stdout[-6:]) == (0, "False\n"), result.stderr
    problem = f"another coverage measurement runs in this process already ({because}), so nothing is recorded"
    assert problem in result.stderr
    left = made.left_one()
    assert [each.partition(";")[0] for each in left.manifest.problems] == [problem]
    assert (left.manifest.state, left.mode, left.journals()) == ("finished", "", {})
    assert (tmp_path / ".coverage").exists() or list(tmp_path.glob(".coverage.*")), "the other one must still save"


def test_settings_that_nothing_filled_in_are_named(tmp_path: Path) -> None:
    made = Program(tmp_path, __main__=REPORT)
    result = made.run(RUN="$(RUN)", POD_NAME="${POD}")
    left = made.left_one()
    assert [problem.partition(": ")[0] for problem in left.manifest.problems] == [
        "COVERAGE_HOOKS_POD_NAME='${POD}'",
        "COVERAGE_HOOKS_RUN='$(RUN)'",
    ]
    assert all(problem in result.stderr for problem in left.manifest.problems)
    assert left.manifest.run == "$(RUN)"


def test_wrong_settings_are_replaced_and_named(tmp_path: Path) -> None:
    made = Program(tmp_path, __main__=REPORT)
    result = made.run(INTERVAL="fast", EXIT_TIMEOUT="-1", CONTEXT="test", RUN="r1", POD_NAME="a-pod", POD_NODE="n")
    left = made.left_one()
    assert sorted(left.manifest.problems) == [
        "COVERAGE_HOOKS_CONTEXT='test': expected none or handler; using none",
        "COVERAGE_HOOKS_EXIT_TIMEOUT='-1': expected 0 to 3600 seconds; using 5",
        "COVERAGE_HOOKS_INTERVAL='fast': expected 0.1 to 60 seconds; using 1",
    ]
    assert all(problem in result.stderr for problem in left.manifest.problems)
    assert (left.manifest.run, left.manifest.interval) == ("r1", 1.0)
    assert left.manifest.pod is not None
    assert (left.manifest.pod.name, left.manifest.pod.node, left.manifest.pod.uid) == ("a-pod", "n", "")
    assert left.folder.name.startswith("a-pod-")


@pytest.mark.parametrize("rcfile", ["absent.rc", "broken.rc"])
def test_a_configuration_that_cannot_be_read_is_announced(tmp_path: Path, rcfile: str) -> None:
    made = Program(tmp_path, __main__=REPORT)
    (tmp_path / "broken.rc").write_text("[run\n")
    result = made.run(RCFILE=rcfile)
    assert result.returncode == 0
    left = made.left_one()
    assert (left.mode, left.journals()) == ("", {})
    assert "nothing is recorded" in left.manifest.problems[0]
    assert rcfile in left.manifest.problems[0]


@pytest.mark.parametrize("error", ["ImportError", "SystemExit", "ValueError"])
def test_coverage_missing_is_announced(tmp_path: Path, error: str) -> None:
    made = Program(tmp_path, __main__=REPORT)
    (tmp_path / "coverage.py").write_text(f"raise {error}('no coverage here')\n")
    result = made.run()
    assert (result.returncode, json.loads(result.stdout)["tracing"]) == (0, False)
    left = made.left_one()
    assert (left.mode, left.journals(), left.manifest.state) == ("", {}, "finished")
    assert "coverage.py cannot be imported" in left.manifest.problems[0]
