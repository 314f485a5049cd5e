"""The plugin in sessions of pytest that are processes of their own, in a checkout of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect import outputs
from coverage_hooks.collect.text import counted
from tests.cluster import WITHIN, wait_until
from tests.unit.collect.building import Project, make_project, record

ROOT = Path(__file__).parents[2]

#: What is installed here and a user need not have; to load it takes more time than all else in such a short session.
_WITHOUT = [f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "asyncio", "anyio", "timeout")]

#: What plays the operator: a fixture that leaves a recording of the session's run when it is torn down.
OPERATOR = """
import pytest
from pathlib import Path
from tests.unit.collect.building import record

@pytest.fixture(scope="session")
def operator(coverage_hooks_run, worker_id="master"):
    yield
    record(Path("../volume"), run=coverage_hooks_run)
"""

UNIT = "from shop.cart import clear\n\ndef test_clear():\n    items = [1]\n    clear(items)\n    assert not items\n"
PASSES = "def test_it(operator):\n    pass\n"


@dataclass(frozen=True)
class Ended:
    """The end of a session: its exit code, and what it said."""

    code: int
    said: str
    output: Path

    @property
    def summary(self) -> dict[str, Any]:
        """Return summary.json."""
        document: dict[str, Any] = json.loads((self.output / "summary.json").read_text())
        return document


@dataclass(frozen=True)
class Checkout:
    """A checkout with tests, and a volume beside it."""

    project: Project

    @property
    def root(self) -> Path:
        return self.project.root

    @property
    def volume(self) -> Path:
        return self.root.parent / "volume"

    def start(self, *arguments: object, before: str = "", **environment: str) -> subprocess.Popen[str]:
        """Start pytest as a user would, in the checkout; *before* is Python that runs in its process first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        script = f"{before}\nimport sys, pytest\nsys.exit(pytest.main())"
        command = ["-c", script] if before else ["-m", "pytest"]
        return subprocess.Popen(
            [sys.executable, *command, *_WITHOUT, *map(str, arguments)],
            cwd=self.root,
            env=kept | {"PYTHONPATH": f"{self.root}:{ROOT}"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: object, before: str = "", **environment: str) -> Ended:
        """Run pytest to its end."""
        return self.end(self.start(*arguments, before=before, **environment))

    def end(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for the end of *process*."""
        with process:
            try:
                said, _ = process.communicate(timeout=WITHIN)
            finally:
                process.kill()  # or leaving the block would wait for it
        assert "Traceback (most" not in said, said
        assert "INTERNALERROR" not in said, said
        return Ended(process.returncode, said, self.root / "build/coverage")

    def collect(self, *arguments: object, **environment: str) -> Ended:
        """Run pytest with the plugin reading the volume."""
        return self.run("--coverage-hooks-from", self.volume, *arguments, **environment)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(make_project(tmp_path / "checkout"))
    made.volume.mkdir()
    made.project.write({"pytest.ini": "[pytest]\naddopts = -ra\n", "conftest.py": OPERATOR, "test_it.py": PASSES})
    return made


class TestWithoutAnOption:
    def test_nothing_is_imported_and_nothing_is_said(self, checkout: Checkout) -> None:
        heavy = ("coverage", "click", "rich", "kubernetes_asyncio", "aiohttp", "coverage_hooks.testing")
        test = f"import sys\ndef test_it():\n    assert {{*{heavy}}} & {{*sys.modules}} == set()\n"
        checkout.project.write({"conftest.py": "", "test_it.py": test})
        ended = checkout.run()
        assert ended.code == 0, ended.said
        assert "operator" not in ended.said
        assert not ended.output.exists()

    def test_so_it_is_when_the_options_are_switched_off(self, checkout: Checkout) -> None:
        ended = checkout.collect("--no-coverage-hooks")
        assert ended.code == 0, ended.said
        assert "coverage of the operator" not in ended.said

    def test_the_run_has_an_id_all_the_same_and_one_on_all_workers(self, checkout: Checkout) -> None:
        checkout.project.write({"test_it.py": "def test_it(coverage_hooks_run):\n    print(coverage_hooks_run)\n"})
        said = checkout.run("-rP", "-n", 2, "--dist=each").said
        runs = [line for line in said.splitlines() if line.startswith("pytest-20")]
        assert len(runs) == 2
        assert len(set(runs)) == 1


class TestCollecting:
    @pytest.mark.parametrize("workers", [0, 2, 4])
    def test_once_after_the_fixtures_however_many_workers(self, checkout: Checkout, workers: int) -> None:
        checkout.project.write({
            f"test_{number}.py": "def test_it(operator):\n    pass\n" for number in range(4)
        })  # fmt: skip
        ended = checkout.collect("-n", workers, "--dist=each" if workers else "--dist=no")
        assert ended.code == 0, ended.said
        rows = ended.summary["ledger"]
        assert len(rows) == max(workers, 1)  # each worker has its operator, and all are of one run
        assert {row["run"] for row in rows} == {ended.summary["run"]}
        assert ended.said.count("coverage of the operator") == 1
        assert f"{counted(len(rows), 'recording')} of run {ended.summary['run']}" in ended.said
        assert "TOTAL" in ended.said

    def test_a_run_that_was_given_is_the_one(self, checkout: Checkout) -> None:
        for run in ("option", "ini", "environment"):
            record(checkout.volume, run=run)
        given = "--coverage-hooks-run=option"
        ini = "--override-ini=coverage_hooks_run=ini"
        checkout.project.write({"test_it.py": "def test_it():\n    pass\n"})
        for arguments, run in (((given, ini), "option"), ((ini,), "ini"), ((), "environment")):
            ended = checkout.collect(*arguments, COVERAGE_HOOKS_RUN="environment")
            assert ended.code == 0, ended.said
            assert ended.summary["run"] == run

    def test_processes_that_tests_start_know_the_run_and_workers_do_not_collect(self, checkout: Checkout) -> None:
        test = (
            "import subprocess, sys\ndef test_it(operator, coverage_hooks_run, pytestconfig, worker_id):\n"
            "    code = 'import os; print(os.environ[\"COVERAGE_HOOKS_RUN\"])'\n"
            "    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip()\n"
            "    assert run == coverage_hooks_run\n"
            "    collects = pytestconfig.pluginmanager.hasplugin('coverage_hooks_collecting')\n"
            "    assert collects == (worker_id == 'master')\n"
        )
        checkout.project.write({"test_it.py": test})
        for workers in (0, 2):
            ended = checkout.collect("-n", workers)
            assert ended.code == 0, ended.said

    def test_one_line_of_configuration_is_enough(self, checkout: Checkout) -> None:
        line = "addopts = --coverage-hooks-from=../volume --coverage-hooks-report=here --coverage-hooks-expect=1"
        checkout.project.write({"pytest.ini": f"[pytest]\n{line}\n"})
        ended = checkout.run()
        assert ended.code == 0, ended.said
        assert (checkout.root / "here/html/index.html").is_file()


class TestFailing:
    @pytest.mark.parametrize("option", ["-v", "-x"])
    def test_tests_that_fail_are_collected_and_keep_their_exit_code(self, checkout: Checkout, option: str) -> None:
        checkout.project.write({"test_it.py": "def test_it(operator):\n    assert 0\ndef test_more():\n    pass\n"})
        for workers in (0, 2):
            ended = checkout.collect(option, "-n", workers)
            assert ended.code == (1 if option == "-v" or not workers else 2), ended.said
            assert ended.summary["totals"]["cluster"]["lines"] == 60

    def test_a_loss_fails_the_run_and_is_named(self, checkout: Checkout) -> None:
        ended = checkout.collect("--coverage-hooks-expect=2")
        assert ended.code == 1
        assert "1 passed" in ended.said
        assert "LOSS  2 recordings were expected, 1 announced themselves" in ended.said

    def test_a_run_of_which_nothing_was_recorded_says_how_to_give_it(self, checkout: Checkout) -> None:
        record(checkout.volume, run="of before")
        checkout.project.write({"conftest.py": "", "test_it.py": "def test_it():\n    pass\n"})
        ended = checkout.collect()
        assert ended.code == 1
        assert "LOSS  nothing was recorded for run 'pytest-20" in ended.said
        assert "start the operator with COVERAGE_HOOKS_RUN set to it" in ended.said

    def test_too_little_coverage_fails_the_run(self, checkout: Checkout) -> None:
        assert checkout.collect("--coverage-hooks-fail-under=60").code == 0
        ended = checkout.collect("--coverage-hooks-fail-under=60.1")
        assert ended.code == 1
        assert "LOSS  combined coverage is under the 60.1 %" in ended.said

    def test_a_waiver_names_what_it_waives(self, checkout: Checkout) -> None:
        recording = record(checkout.volume, run="run-1")
        recording.manifest_path.write_text("{")
        started = recording.name
        ended = checkout.collect("--coverage-hooks-run=run-1")
        assert ended.code == 1
        assert started in ended.said
        assert checkout.collect("--coverage-hooks-run=run-1", f"--coverage-hooks-allow-missing={started}").code == 0

    def test_losses_are_printed_also_without_the_terminals_summary(self, checkout: Checkout) -> None:
        ended = checkout.collect("--coverage-hooks-expect=2", "-p", "no:terminal")
        assert ended.code == 1
        assert "LOSS  2 recordings were expected" in ended.said

    @pytest.mark.parametrize("group", [False, True])
    def test_an_interrupted_run_is_collected(self, checkout: Checkout, *, group: bool) -> None:
        hang = "import pathlib, threading\ndef test_it(operator):\n    pathlib.Path('here').touch()\n"
        checkout.project.write({"test_it.py": f"{hang}    threading.Event().wait(3600)\n"})
        # A shell has what it runs in the background ignore interrupts, and so has everything below it.
        heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        process = checkout.start("--coverage-hooks-from", checkout.volume, "-n", 2 * group, before=heed)
        wait_until((checkout.root / "here").exists, "the test runs")
        process.send_signal(signal.SIGINT)
        if group:  # a terminal would interrupt the workers, too
            for worker in children_of(process.pid):
                os.kill(worker, signal.SIGINT)
        ended = checkout.end(process)
        assert ended.code == 2
        if not group:  # xdist gives workers that were interrupted no time to tear down anything
            assert ended.summary["totals"]["cluster"]["lines"] == 60
        assert "coverage of the operator" in ended.said


class TestNotCollecting:
    @pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--fixtures"])
    def test_what_only_shows_something_reads_no_volume(self, checkout: Checkout, option: str) -> None:
        ended = checkout.run("--coverage-hooks-from", checkout.root / "nowhere", option)
        assert ended.code == 0, ended.said
        assert "LOSS" not in ended.said

    def test_a_session_without_a_test_is_no_success(self, checkout: Checkout) -> None:
        ended = checkout.collect("-k", "nothing")
        assert ended.code == pytest.ExitCode.NO_TESTS_COLLECTED
        assert "LOSS  no test ran, so nothing was collected" in ended.said

    def test_a_report_that_another_process_writes(self, checkout: Checkout) -> None:
        with outputs.writing(checkout.root / "build/coverage"):
            ended = checkout.collect()
        assert ended.code == 1
        assert "1 passed" in ended.said
        assert "LOSS  nothing could be collected: output folder" in ended.said
        assert "is in use by another coverage-hooks or pytest" in ended.said
        assert [path.name for path in ended.output.iterdir()] == [outputs.LOCK]

    def test_a_report_that_cannot_be_written(self, checkout: Checkout) -> None:
        checkout.project.write({"build/coverage/worlds.html/mine": ""})
        ended = checkout.collect()
        assert ended.code == 1
        assert "worlds.html' cannot be written: Is a directory" in ended.said

    def test_a_volume_that_is_not_there(self, checkout: Checkout) -> None:
        ended = checkout.run("--coverage-hooks-from", checkout.root / "nowhere")
        assert ended.code == 1
        assert "LOSS  nothing could be collected: no recordings can be read from" in ended.said


class TestWrongUse:
    def test_is_told_before_any_test(self, checkout: Checkout) -> None:
        ended = checkout.run("--coverage-hooks-fail-under=80")
        assert ended.code == pytest.ExitCode.USAGE_ERROR
        assert "say where the recordings are" in ended.said
        assert "passed" not in ended.said

    def test_a_cluster_that_is_not_there_is_told_before_any_test(self, checkout: Checkout) -> None:
        server = {"cluster": {"server": "https://127.0.0.1:9"}, "name": "none"}
        context = {"context": {"cluster": "none", "user": "none"}, "name": "none"}
        user = {"name": "none", "user": {"token": "none"}}
        document = {"clusters": [server], "contexts": [context], "users": [user], "current-context": "none"}
        checkout.project.write({"kubeconfig": json.dumps(document)})
        place = (
            "--coverage-hooks-namespace=shop",
            "--coverage-hooks-claim=data",
            "--coverage-hooks-kubeconfig=kubeconfig",
        )
        ended = checkout.run(*place)
        assert ended.code == pytest.ExitCode.USAGE_ERROR
        assert "cannot watch namespace 'shop'" in ended.said
        assert "--no-coverage-hooks runs the tests without it" in ended.said
        assert "passed" not in ended.said
        assert checkout.run(*place, "--no-coverage-hooks").code == 0

    def test_a_missing_package_is_named_with_how_to_get_it(self, checkout: Checkout) -> None:
        ended = checkout.run("--coverage-hooks-from=x", before="import sys; sys.modules['rich'] = None")
        assert ended.code == pytest.ExitCode.USAGE_ERROR
        assert "pip install 'coverage-hooks[collect]'" in ended.said


class TestUnitData:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_that_of_pytest_cov_in_the_same_run_is_taken(self, checkout: Checkout, workers: int) -> None:
        checkout.project.write({"test_unit.py": UNIT})
        ended = checkout.collect("--cov", "--cov-report=", "-n", workers)
        assert ended.code == 0, ended.said
        totals = ended.summary["totals"]
        # As in the tests of collecting: the definitions in `cart`, and `clear`, of ten statements.
        assert [totals[world]["lines"] for world in ("unit", "cluster", "combined")] == [30, 60, 70]

    def test_a_file_is_taken_instead_when_it_is_named(self, checkout: Checkout) -> None:
        checkout.project.write({"test_unit.py": UNIT})
        command = [sys.executable, "-m", "coverage", "run", "--data-file=mine", "-m", "pytest", "test_unit.py"]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=checkout.root, env=environ, check=True, capture_output=True)
        ended = checkout.collect("--coverage-hooks-unit=mine", "test_it.py")
        assert ended.code == 0, ended.said
        assert ended.summary["totals"]["unit"]["lines"] == 30

    def test_what_pytest_cov_did_not_save_is_a_loss_and_no_old_data_is_taken(self, checkout: Checkout) -> None:
        checkout.project.write({"test_unit.py": UNIT})
        arguments = ("--cov", "--cov-append", "--cov-report=")
        assert checkout.collect(*arguments).code == 0
        checkout.project.write({"test_it.py": "def test_it(operator):\n    assert 0\n"})
        ended = checkout.collect(*arguments, "-x")
        assert ended.code == 1
        assert "LOSS  the report is without unit data: pytest-cov does not save when tests are broken off" in ended.said
        assert ended.summary["totals"]["unit"] is None
        assert ended.summary["totals"]["cluster"]["lines"] == 60

    def test_what_cannot_be_used_is_a_loss_and_the_rest_is_reported(self, checkout: Checkout) -> None:
        ended = checkout.collect("--coverage-hooks-unit=nowhere")
        assert ended.code == 1
        assert "LOSS  the report is without unit data: no unit data at" in ended.said
        assert ended.summary["totals"]["cluster"]["lines"] == 60


def children_of(pid: int) -> list[int]:
    """Return the processes that process *pid* started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
