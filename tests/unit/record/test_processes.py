"""Python programs that an operator starts are named once each, without their arguments."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coverage_hooks.record.processes import described
from tests.unit.record.children import Program


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["python3", "-m", "shop.job", "--token", "secret"], "python3 -m shop.job"),
        (["/usr/bin/python3.14", "-X", "dev", "-Werror", "-W", "x", "job.py", "secret"], "python3.14 job.py"),
        (["python", "-c", "secret = 1"], "python -c …"),
        (["python", "-uc", "secret"], "python -c …"),
        (["python", "-Icsecret"], "python -c …"),
        (["python", "-", "secret"], "python -"),
        (["python", "-mmod", "secret"], "python -m mod"),
        (["python", "--check-hash-based-pycs", "never", "job.py", "secret"], "python job.py"),
        (["sh", "-c", "python -uc 'secret(1)'"], "python -c …"),
        (["python3.13t"], "python3.13t"),
        (["pypy3", "-m"], "pypy3 -m "),
        (["kubectl", "apply"], ""),
        (["sh", "-c", "kubectl get pods"], ""),
        (["sh", "-c", "cd /x && exec python -m shop.job --token=secret | tee log"], "python -m shop.job"),
        (["/bin/bash", "-e", "-c", "/venv/bin/python3 job.py"], "python3 job.py"),
        (["sh", "-c"], ""),
        (["sh", "script.sh"], ""),
        (["pythonic", "x"], ""),
    ],
)
def test_what_runs_in_python_is_described_without_arguments(words: list[str], expected: str) -> None:
    assert described(words[0], words, is_script=lambda _: False) == expected


def test_a_console_script_is_known_by_its_first_line(tmp_path: Path) -> None:
    for name, first in (("tool", f"#!{sys.executable}"), ("env", "#!/usr/bin/env python3 -s"), ("shell", "#!/bin/sh")):
        (tmp_path / name).write_text(f"{first}\n")
    found = [described(str(tmp_path / name), [name, "secret"]) for name in ("tool", "env", "shell", "missing")]
    assert found == ["tool", "env", "", ""]


def test_programs_are_in_the_manifest_and_what_is_recorded_with_this_one_is_not(tmp_path: Path) -> None:
    main = """\
        import coverage_hooks
        coverage_hooks.start()
        import multiprocessing, os, subprocess, sys

        def work():
            pass

        if __name__ == "__main__":
            for _ in range(3):
                subprocess.run([sys.executable, "-c", "pass"], check=True)
            subprocess.run(["true"], check=True)
            subprocess.run(f"exec {sys.executable} -V", shell=True, check=True)
            os.system("true")
            os.waitpid(os.posix_spawn(sys.executable, ["named", "-m", "this"], {}), 0)
            for method in ("spawn", "forkserver"):
                child = multiprocessing.get_context(method).Process(target=work)
                child.start()
                child.join()
    """
    made = Program(tmp_path, __main__=main)
    done = made.run()
    assert done.returncode == 0, done.stderr
    name = Path(sys.executable).name
    first = min(made.left(), key=lambda left: left.manifest.started_at)
    named = sorted(problem.partition(" is started")[0] for problem in first.manifest.problems)
    assert named == sorted(
        [
            f"process '{name} -c …'",
            f"process '{name}'",
            f"process '{name} -m this'",
        ]
    )


def test_what_could_start_processes_and_starts_none_is_not_named(tmp_path: Path) -> None:
    main = """\
        import coverage_hooks
        coverage_hooks.start()
        import multiprocessing.popen_forkserver, multiprocessing.popen_spawn_posix
    """
    made = Program(tmp_path, __main__=main)
    assert made.run().returncode == 0
    assert made.left_one().manifest.problems == []


def test_many_programs_are_not_all_named(tmp_path: Path) -> None:
    main = """\
        import coverage_hooks
        coverage_hooks.start()
        import subprocess, sys
        for number in range(20):
            subprocess.run([sys.executable, f"no-{number}.py"], stderr=subprocess.DEVNULL)
    """
    made = Program(tmp_path, __main__=main)
    assert made.run().returncode == 0
    problems = made.left_one().manifest.problems
    assert len(problems) == 11
    assert "there are more" in problems[-1]
