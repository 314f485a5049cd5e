"""``coverage-hooks doctor`` as a person types it: as a process, where an operator runs and on a test machine."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import coverage_hooks
from tests.cluster.waiting import WITHIN
from tests.unit.record.children import Program

#: That of the checkout, or what is installed where this runs.
PACKAGE = Path(coverage_hooks.__file__).parent

#: What only a test machine has, and what would make this checkout's own packages importable.
_LEFT_OUT = ("rich", "kubernetes_asyncio", "coverage_hooks", "__editable__", "_virtualenv", "keycloak_operator")

DOCTOR = ("-m", "coverage_hooks", "doctor")

#: In a pod, as Kubernetes says to every container.
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def lines(output: str, level: str) -> list[str]:
    return [line.removeprefix(f"  {level}").strip() for line in output.splitlines() if line.startswith(f"  {level} ")]


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return everything in *folder*, with times: what nobody may change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (path.stat().st_mtime_ns if path.is_file() else 0, content)
    return found


@pytest.fixture(scope="module")
def pods_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter as it is in an operator's image: with the extra ``record``, and nothing of a test machine."""
    home = tmp_path_factory.mktemp("pod")
    venv.create(home, symlinks=True, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    for folder in map(Path, sys.path):
        if folder.name != "site-packages":
            continue
        for entry in folder.iterdir():
            if not entry.name.lower().startswith(_LEFT_OUT) and entry.suffix != ".pth":
                (packages / entry.name).symlink_to(entry)
    (packages / "coverage_hooks").symlink_to(PACKAGE)
    return home / "bin" / "python"


def run(python: Path, made: Program, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = made.environment(**settings)
    if str(python) != sys.executable:
        environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [str(python), *DOCTOR, *options],
        cwd=made.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


class TestInAPod:
    """Where nothing but the extra ``record`` is."""

    def test_what_would_be_recorded_is_well_and_nothing_changes(self, pods_python: Path, tmp_path: Path) -> None:
        made = Program(tmp_path, True, True, plugin="def coverage_init(reg, options): pass\n")
        with open(tmp_path / ".coveragerc", "a") as rcfile:
            rcfile.write("plugins = program.plugin\n")
        made.volume.mkdir()
        before = snapshot(tmp_path)
        done = run(pods_python, made)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert done.stdout.startswith("recording\n")
        assert done.stdout.endswith("nothing wrong\n")
        said = "\n".join(lines(done.stdout, "ok"))
        for expected in (
            "recording is on",
            "with its C tracer",
            "a trial was recorded",
            "Kopf 1.",
            f"{tmp_path}/.coveragerc",
        ):
            assert expected in said
        assert "written, synchronised and removed in" in said
        assert "`run:source` names 'program', which is folder" in said
        (collecting,) = [line for line in lines(done.stdout, "note") if "nothing can be collected here" in line]
        assert "rich, kubernetes_asyncio" in collecting
        assert "pip install 'coverage-hooks[collect]'" in collecting
        assert snapshot(tmp_path) == before

    def test_off_is_wrong_there_and_a_note_elsewhere(self, pods_python: Path, tmp_path: Path) -> None:
        made = Program(tmp_path, True, True)
        made.volume.mkdir()
        assert run(pods_python, made, ENABLED="").returncode == 0
        made.more_environment = POD
        done = run(pods_python, made, ENABLED="")
        assert done.returncode == 1
        assert "expected COVERAGE_HOOKS_ENABLED=1" in lines(done.stdout, "wrong")[0]

    def test_to_be_asked_for_a_source_that_cannot_be_read_there_is_wrong(
        self, pods_python: Path, tmp_path: Path
    ) -> None:
        made = Program(tmp_path, True, True)
        done = run(pods_python, made, "--from", str(tmp_path))
        assert done.returncode == 1
        assert "nothing can be collected here" in lines(done.stdout.partition("\nsource\n")[2], "wrong")[0]

    def test_without_click_the_package_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "coverage_hooks").symlink_to(PACKAGE)
        bare = [sys.executable, "-S", *DOCTOR]
        done = subprocess.run(
            bare, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "needs package 'click'" in done.stderr
        assert "coverage-hooks[collect]" in done.stderr


def test_a_pod_without_coverage_is_told_so(pods_python: Path, tmp_path: Path) -> None:
    made = Program(tmp_path, True, True)
    (tmp_path / "coverage.py").write_text("raise ImportError('not in this image')\n")
    done = run(pods_python, made)
    assert done.returncode == 1
    (wrong,) = lines(done.stdout, "wrong")
    assert wrong.startswith(
        "coverage.py cannot be imported, so nothing is recorded: ImportError: not in this image; pip"
    )


def test_kopf_that_cannot_be_imported_is_told(tmp_path: Path) -> None:
    made = Program(tmp_path, True, False)
    (wrong,) = lines(run(Path(sys.executable), made).stdout.partition("\ncheckout\n")[0], "wrong")
    assert "ImportError: hidden from this child" in wrong


class TestConfiguration:
    def asked(self, folder: Path, content: str, **settings: str) -> str:
        """Return what is said of recording with a configuration of *content*."""
        made = Program(folder, True, True)
        (folder / ".coveragerc").write_text(content)
        return run(Path(sys.executable), made, **settings).stdout.partition("\ncheckout\n")[0]

    def test_what_the_recorder_overrides_is_a_note(self, tmp_path: Path) -> None:
        said = self.asked(tmp_path, "[run]\nsource = program\nsigterm = true\nconcurrency = multiprocessing\n")
        assert lines(said, "wrong") == []
        notes = "\n".join(lines(said, "note"))
        assert "[run] sigterm = True is ignored while recording" in notes
        assert "[run] concurrency = multiprocessing is ignored" in notes

    def test_a_plugin_that_cannot_be_loaded_is_wrong(self, tmp_path: Path) -> None:
        (wrong,) = lines(self.asked(tmp_path, "[run]\nsource = program\nplugins = no_such_plugin\n"), "wrong")
        assert "the coverage configuration cannot be used, so nothing is recorded" in wrong
        assert "no_such_plugin" in wrong

    @pytest.mark.parametrize(
        ("content", "said"),
        [("[run\n", "cannot be used"), ("[run]\nbranch = true\n", "`run:source` is not set"),
         ("[run]\nsource = nobodys\n", "names 'nobodys': expected a folder or a package"),
         ("[run]\nsource_pkgs = program.absent\n", "names 'program.absent': expected a package")],
    )  # fmt: skip
    def test_what_would_not_be_recorded_is_named(self, tmp_path: Path, content: str, said: str) -> None:
        (wrong,) = lines(self.asked(tmp_path, content), "wrong")
        assert said in wrong

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        (wrong,) = lines(self.asked(tmp_path, "", RCFILE="absent.rc"), "wrong")
        assert "absent.rc" in wrong

    def test_a_folder_that_is_not_what_is_imported_is_a_note(self, tmp_path: Path) -> None:
        """The folder has no package in it, so Python goes on to what is installed; coverage.py does not."""
        (tmp_path / "click").mkdir()
        notes = lines(self.asked(tmp_path, "[run]\nsource = click\n"), "note")
        assert [line for line in notes if "names 'click'" in line and "nothing of it is recorded" in line]

    def test_while_recording_is_off_none_of_it_is_wrong(self, tmp_path: Path) -> None:
        said = self.asked(tmp_path, "[run]\nsource = nobodys\n", ENABLED="")
        assert lines(said, "wrong") == []
        assert "not needed while recording is off: `run:source` names 'nobodys'" in "\n".join(lines(said, "note"))


def test_another_measurement_is_wrong(tmp_path: Path) -> None:
    made = Program(tmp_path, True, True)
    (tmp_path / "rival.rc").write_text("[run]\nsource = program\n")
    made.more_environment = {"COVERAGE_PROCESS_START": str(tmp_path / "rival.rc")}
    wrong = "\n".join(lines(run(Path(sys.executable), made).stdout, "wrong"))
    assert "COVERAGE_PROCESS_START is set" in wrong
    assert "another coverage measurement runs in this process already" in wrong


def test_a_volume_that_takes_nothing_is_wrong_and_stays_clean(tmp_path: Path) -> None:
    made = Program(tmp_path, True, True)
    made.volume.mkdir()
    done = subprocess.run(
        [sys.executable, *DOCTOR], cwd=tmp_path, env=made.environment(), capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip
    # Its own output goes to pipes, which have no size.
    assert "cannot be written: File too large" in "\n".join(lines(done.stdout, "wrong")), done.stdout
    assert list(made.volume.iterdir()) == []


def test_nothing_that_comes_from_outside_drives_the_terminal(tmp_path: Path) -> None:
    made = Program(tmp_path, True, True)
    done = run(Path(sys.executable), made, RUN="\x1b[31mred", DIR=f"{tmp_path}/\x1b]0;title\x07")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mred" in done.stdout
    made.more_environment = {"COVERAGE_HOOKS_\x1b[2J": "1"}
    assert "COVERAGE_HOOKS_\\x1b[2J is none of the settings" in run(Path(sys.executable), made).stdout
