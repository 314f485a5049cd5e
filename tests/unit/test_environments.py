"""How an interpreter is found, and what is said of tests that ran in an environment; nothing is installed here."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.images import ImageError
from tests.cluster.images.systems import SYSTEMS
from tests.environments import __main__ as command
from tests.environments import interpreters
from tests.environments.environment import Environment
from tests.environments.interpreters import VERSIONS, Interpreter, MissingInterpreter, found, interpreter
from tests.environments.packages import CHECKOUT, Choice, unlike_lock
from tests.environments.running import Outcome, counted, outcome

#: One that no machine has.
VERSION = "3.99"
NAME = f"python{VERSION}"

Find = Callable[[], Path | None]


def script(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def program(path: Path, **said: object) -> Path:
    """Make an interpreter at *path* that says of itself that it is a release, or what is *said* instead."""
    release = {"implementation": "cpython", "version": VERSION, "level": "final", "free_threaded": False}
    return script(path, f"echo '{json.dumps({**release, 'program': str(path), **said})}'")


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Return what finds on a machine whose PATH is the folders `first` and `second`, with a folder `home`."""

    def find() -> Path | None:
        path = f"{tmp_path / 'first'}:{tmp_path / 'second'}"
        here = found(VERSION, {"HOME": str(tmp_path / "home"), "PATH": path})
        return here.program if here else None

    return find


class TestFinding:
    @pytest.mark.parametrize("line", ["echo 'pyenv: command not found' >&2; exit 127", "exit 1", "echo what", ""])
    def test_what_does_not_run_is_passed_over(self, find: Find, tmp_path: Path, line: str) -> None:
        script(tmp_path / "first" / NAME, line)
        assert find() is None
        works = program(tmp_path / "second" / NAME)
        assert find() == works

    @pytest.mark.parametrize(
        "said",
        [{"version": "3.98"}, {"level": "candidate"}, {"implementation": "pypy"}, {"free_threaded": True}],
        ids=str,
    )
    def test_so_is_what_is_no_release_of_it(self, find: Find, tmp_path: Path, said: dict[str, object]) -> None:
        program(tmp_path / "first" / NAME, **said)
        assert find() is None

    def test_so_is_what_is_no_program(self, find: Find, tmp_path: Path) -> None:
        program(tmp_path / "first" / NAME).chmod(0o644)
        (tmp_path / "second" / NAME).mkdir(parents=True)
        assert find() is None

    def test_the_program_itself_is_taken_and_no_shim(self, find: Find, tmp_path: Path) -> None:
        program(tmp_path / "first" / NAME, program="/the/program")
        assert find() == Path("/the/program")

    def test_those_of_pyenv_and_uv_are_found_and_the_newest_of_them(self, find: Find, tmp_path: Path) -> None:
        uv = tmp_path / "home/.local/share/uv/python"
        program(uv / "cpython-3.99.0rc1-linux-x86_64-gnu/bin" / NAME)
        works = program(uv / "cpython-3.99.1-linux-x86_64-gnu/bin" / NAME)
        assert find() == works
        program(tmp_path / "home/.pyenv/versions/3.99.2/bin" / NAME)
        works = program(tmp_path / "home/.pyenv/versions/3.99.10/bin" / NAME)
        assert find() == works
        works = program(tmp_path / "second" / NAME)
        assert find() == works

    def test_folders_that_are_elsewhere_are_looked_into(self, tmp_path: Path) -> None:
        works = program(tmp_path / "pyenv/versions/3.99.0/bin" / NAME)
        assert found(VERSION, {"PYENV_ROOT": str(tmp_path / "pyenv")}) == Interpreter(VERSION, works)
        works = program(tmp_path / "uv/cpython-3.99.0-linux-aarch64-gnu/bin" / NAME)
        assert found(VERSION, {"UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv")}) == Interpreter(VERSION, works)

    def test_the_one_that_runs_this_is_found_on_a_machine_without_any(self, tmp_path: Path) -> None:
        here = found("{}.{}".format(*sys.version_info), {"HOME": str(tmp_path)})
        assert here is not None
        assert Path(here.program).samefile(sys.executable)


class TestMaking:
    def test_what_can_be_had_by_no_way_is_named_with_how_to_get_it(self) -> None:
        with pytest.raises(MissingInterpreter, match=r"no Python 3\.99 .*`uv python install 3\.99`"):
            interpreter(VERSION, print, {})

    def test_what_keeps_a_system_from_being_made_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(name: str, say: object) -> Path:
            raise ImageError(f"no mirror has {name}")

        monkeypatch.setattr(interpreters, "_SYSTEMS", {VERSION: "newer-pythons"})
        monkeypatch.setattr(interpreters, "unpacked", fails)
        with pytest.raises(MissingInterpreter, match=r"3\.99.*no mirror has newer-pythons"):
            interpreter(VERSION, print, {})

    def test_a_system_has_the_python_that_it_is_for(self) -> None:
        for version, system in interpreters._SYSTEMS.items():
            assert f"python{version}" in SYSTEMS[system].packages

    def test_the_oldest_is_the_one_that_the_package_wants(self) -> None:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        assert project["requires-python"] == f">={VERSIONS[0]}"


class TestEnvironment:
    def test_a_command_runs_on_the_machine_or_in_a_system(self, tmp_path: Path) -> None:
        here = Environment(Interpreter("3.14", Path("/usr/bin/python3.14")), tmp_path)
        assert here.command("-m", "pytest") == [f"{tmp_path}/venv/bin/python", "-m", "pytest"]
        there = Environment(Interpreter("3.14", Path("/usr/bin/python3.14"), root=Path("/system")), tmp_path)
        words = there.command("-m", "pytest")
        assert words[0] == "unshare"
        assert words[-5:] == ["/system", str(tmp_path), "/srv/venv/bin/python", "-m", "pytest"]

    def test_no_setting_of_the_user_reaches_the_tests(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("COVERAGE_HOOKS_ENABLED", "COV_CORE_SOURCE", "PYTEST_ADDOPTS", "PYTHONPATH", "VIRTUAL_ENV"):
            monkeypatch.setenv(name, "set")
        environ = Environment(Interpreter("3.14", Path("python")), tmp_path).environ()
        assert "set" not in environ.values()
        assert Path(environ["HOME"]).parent == Path(environ["TMPDIR"]).parent == tmp_path


class TestOutcome:
    def test_a_test_that_was_skipped_did_not_pass(self, tmp_path: Path) -> None:
        results = tmp_path / "results.xml"
        suite = '<testsuites><testsuite tests="{}" failures="1" errors="2" skipped="3"/></testsuites>'
        results.write_text(suite.format(10))
        assert counted(results) == (4, 6)

    def test_tests_that_never_ran_are_none(self, tmp_path: Path) -> None:
        assert counted(tmp_path / "absent.xml") == (0, 0)

    def test_a_python_that_is_missing_is_red_and_says_why(self) -> None:
        said: list[str] = []
        missing = outcome(VERSION, "newest", 1, said.append)
        assert missing.problem.startswith("Python 3.99, newest: no Python 3.99 that works")
        assert said == ["Python 3.99, newest: not tested"]

    def test_the_report_has_a_row_of_each_what_is_wrong_and_the_sum(self) -> None:
        packages = {"coverage": "7.17.5", "kopf": "1.45.2", "kubernetes-asyncio": "36.1.0"}
        green = Outcome("newest", "3.14.10", packages, passed=900, seconds=61.4)
        red = Outcome("floors", "3.11.7", {}, passed=899, failed=1, seconds=60.0, problem="wrong with coverage 7.17.2")
        lines = "\n".join(command.report([green, red])).splitlines()
        assert [line.split() for line in lines[:3]] == [
            ["Python", "packages", "coverage.py", "Kopf", "kubernetes-asyncio", "passed", "failed", "seconds"],
            ["3.14.10", "newest", "7.17.5", "1.45.2", "36.1.0", "900", "0", "61"],
            ["3.11.7", "floors", "-", "-", "-", "899", "1", "60"],
        ]
        assert lines[3:] == ["", "wrong with coverage 7.17.2", "1799 passed, 1 failed"]

    def test_what_is_not_the_locks_is_named(self) -> None:
        lock = "coverage==7.17.3 \\\n    --hash=sha256:0\nkopf==1.45.2 ; sys_platform == 'linux' \\\n"
        installed = {"coverage": "7.17.5", "kopf": "1.45.2", "pip": "26.3"}
        assert unlike_lock(installed, lock) == ["coverage 7.17.5 (7.17.3 is locked)"]

    def test_what_tests_left_running_is_ended(self) -> None:
        code = (
            "import subprocess; from tests.environments import running; running._adopt_orphans(); "
            "subprocess.run(['sh', '-c', 'sleep 1000 & echo $!'], check=True); running._end_orphans()"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
        assert not Path(f"/proc/{int(done.stdout)}").exists()


class TestCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        """Return the exit code of the command, where Python 3.12 cannot be had."""

        def tested(version: str, choice: Choice, workers: int, say: object) -> Outcome:
            return Outcome(choice, version, passed=1, problem="there is none" if version == "3.12" else "")

        monkeypatch.setattr(command, "outcome", tested)
        monkeypatch.setattr(sys, "argv", ["python -m tests.environments", *arguments])
        return command.main()

    def test_what_is_red_ends_with_1_and_keeps_nothing_else_from_running(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, "pythons") == 1
        assert capsys.readouterr().out.endswith("\n\nthere is none\n5 passed, 0 failed\n")

    def test_what_is_asked_for_is_run_and_nothing_else(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, "pythons", "3.13") == 0
        assert self.run(monkeypatch, "versions", "floors") == 0
        _, first, total, _, second, _ = capsys.readouterr().out.splitlines()
        assert (first.split()[:2], total) == (["3.13", "newest"], "1 passed, 0 failed")
        assert second.split()[:2] == ["{}.{}".format(*sys.version_info), "floors"]

    @pytest.mark.parametrize("arguments", [("pythons", "3.10"), ("versions", "oldest")])
    def test_what_is_unknown_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            self.run(monkeypatch, *arguments)
        assert ended.value.code == 2
        assert f"unknown: {arguments[1]}; expected " in capsys.readouterr().err
