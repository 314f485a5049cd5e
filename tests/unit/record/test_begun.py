"""What had begun when recording started: it is measured from then on, and where it stood is in the manifest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.record.children import Left, Program, opened

#: On Python 3.11 nothing watches such frames without taking lines of asyncio for theirs.
WATCHED = sys.version_info >= (3, 12)

MAIN = """\
first = 1
if first:
    second = 2
else:
    never = 3


def deep(number):
    before = number
    import coverage_hooks
    coverage_hooks.start()
    while number:
        number -= 1
    if before:
        return helped()
    return None


def helped():
    return "helped"


class Late:
    value = deep(2)


import program.work
if first:
    third = 4
else:
    never = 5
coverage_hooks = __import__("coverage_hooks")
coverage_hooks.save()
fourth = 6
"""

#: The lines of `MAIN` that a tracer sees which begins in `deep`, and those at which the frames stand by then.
AFTER = {12, 13, 14, 15} | {27, 28, 29, 32, 33, 34}
STOOD = {11, 23, 24}


def lines(left: Left, name: str) -> set[int]:
    return left.lines().get(name, set())


@pytest.mark.parametrize("branch", [True, False])
def test_frames_on_the_stack_are_measured_from_then_on(tmp_path: Path, branch: bool) -> None:
    made = Program(tmp_path, branch, __main__=MAIN, work="x = 1\n")
    done = made.run()
    assert done.returncode == 0, done.stderr
    found = lines(made.left_one(), "__main__.py") - {20}
    # Where it stands, a frame has been; without a tool that watches, that is all there is.
    assert found >= (AFTER | STOOD if WATCHED else STOOD)
    assert found <= AFTER | STOOD
    assert 20 in lines(made.left_one(), "__main__.py")


def test_arcs_are_those_of_plain_coverage(tmp_path: Path) -> None:
    made = Program(tmp_path, True, __main__=MAIN, work="x = 1\n")
    assert made.run().returncode == 0
    command = [sys.executable, "-m", "coverage", "run", "--data-file=plain", "-m", "program"]
    environment = made.environment(ENABLED="0") | {"COVERAGE_CORE": "ctrace"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    with opened(tmp_path / "plain") as data:
        plain = set(data.arcs(str(tmp_path / "program/__main__.py")) or ())
    arcs = made.left_one().arcs()["__main__.py"]
    assert {arc for arc in arcs if arc[0] != arc[1]} <= plain
    expected = {(11, 12), (12, 13), (13, 12), (12, 14), (14, 15), (28, 29), (29, 32), (33, 34), (34, -1)}
    assert arcs >= (expected if WATCHED else {(-19, 20), (20, -19)})


def test_where_it_stood_is_in_the_manifest(tmp_path: Path) -> None:
    made = Program(tmp_path, __main__=MAIN, work="x = 1\n")
    assert made.run().returncode == 0
    begun = {Path(each.path).name: each.lines for each in made.left_one().manifest.begun}
    assert begun.keys() == {"__init__.py", "__main__.py"}
    assert begun["__init__.py"] == []
    # Without a tool that watches, the module says with each beat where it is: in the end on its last line.
    assert set(begun["__main__.py"]) >= (STOOD if WATCHED else STOOD | {34})
    assert set(begun["__main__.py"]) <= (STOOD if WATCHED else STOOD | AFTER)


def test_files_that_had_begun_have_names_and_fingerprints(tmp_path: Path) -> None:
    made = Program(tmp_path, __main__=MAIN, work="x = 1\n")
    assert made.run().returncode == 0
    left = made.left_one()
    assert left.lines().keys() == {"__init__.py", "__main__.py", "work.py"}
    assert all(len(told["sha256"]) == 64 for told in left.sources().values())
    assert not left.manifest.problems


def test_code_that_runs_again_in_other_frames_makes_no_false_arcs(tmp_path: Path) -> None:
    main = """\
        import sys

        def again(depth):
            if depth == 0:
                import coverage_hooks
                coverage_hooks.start()
                again(-1)
            elif depth == 3:
                raise ValueError
            elif depth > 0:
                again(depth - 1)
            for each in (1, 2):
                assert each
            return depth

        again(2)
        for _ in range(3):
            try:
                again(4)
            except ValueError:
                pass
    """
    made = Program(tmp_path, True, __main__=main, work="")
    made.more_environment = {"COVERAGE_CORE": "ctrace"}  # arcs of one core are compared with those of the same
    done = made.run()
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "coverage", "run", "--data-file=plain", "-m", "program"]
    environment = made.environment(ENABLED="0") | {"COVERAGE_CORE": "ctrace"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    with opened(tmp_path / "plain") as data:
        plain = set(data.arcs(str(tmp_path / "program/__main__.py")) or ())
    arcs = {arc for arc in made.left_one().arcs()["__main__.py"] if arc[0] != arc[1]}
    assert ((7, 12) if WATCHED else (8, 10)) in arcs
    assert arcs <= plain


@pytest.mark.parametrize("branch", [True, False])
def test_an_entrypoint_that_is_all_there_is_is_published(tmp_path: Path, branch: bool) -> None:
    made = Program(tmp_path, branch, __main__="import coverage_hooks\ncoverage_hooks.start()\n")
    assert made.run().returncode == 0
    left = made.left_one()
    assert left.lines()["__main__.py"] == {2}
    assert not left.manifest.problems


def test_a_module_that_another_thread_is_in_has_not_ended(tmp_path: Path) -> None:
    main = """\
        import threading

        def record():
            import coverage_hooks
            coverage_hooks.start()
            import program.work

        thread = threading.Thread(target=record)
        thread.start()
        thread.join()
        raise SystemExit(1)
    """
    made = Program(tmp_path, __main__=main, work="x = 1\n")
    assert made.run().returncode == 1
    begun = {Path(each.path).name: each.lines for each in made.left_one().manifest.begun}
    assert 10 in begun["__main__.py"]


def test_equal_code_of_two_files_is_told_apart(tmp_path: Path) -> None:
    text = "from . import sub\nx = 1\ny = 2\n"
    made = Program(tmp_path, __init__=text, __main__="import program.sub\n")
    package = tmp_path / "program"
    (package / "sub").mkdir()
    (package / "sub/__init__.py").write_text(text)
    (package / "sub/sub.py").write_text("import coverage_hooks\ncoverage_hooks.start()\n")
    assert made.run().returncode == 0
    points = made.left_one().points()
    found = {
        path.removeprefix(f"{package}/"): {line for arc in arcs for line in arc if line > 0}
        for path, arcs in points.items()
    }
    for name in ("__init__.py", "sub/__init__.py"):
        assert {1} <= found[name] <= {1, 2, 3}
        assert found[name] == {1, 2, 3} or not WATCHED


def test_a_lazy_module_is_not_loaded_by_recording(tmp_path: Path) -> None:
    main = """\
        import coverage_hooks
        coverage_hooks.start()
        import importlib.util, sys
        spec = importlib.util.find_spec("program.lazy")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        lazy = sys.modules["program.lazy"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(lazy)
        import program.work
        coverage_hooks.save()
        print("now", flush=True)
        lazy.work()
    """
    lazy = "import threading\nprint(threading.current_thread().name)\ndef work():\n    return 1\n"
    made = Program(tmp_path, __main__=main, work="x = 1\n", lazy=lazy)
    done = made.run()
    assert done.stdout == "now\nMainThread\n", done.stderr
    assert {1, 2, 3, 4} <= made.left_one().lines()["lazy.py"]
