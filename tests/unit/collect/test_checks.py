"""``doctor`` on a test machine: what is said of the checkout, and of a folder of recordings."""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import coverage
import pytest
from click.testing import CliRunner, Result

from coverage_hooks.cli import commands
from coverage_hooks.collect.mapping.versions import MEASURED_COVERAGE, MEASURED_PYTHON, minor
from coverage_hooks.volume import machine
from coverage_hooks.volume.manifest import Unrecorded
from tests.unit.collect.building import STARTED, Project, record
from tests.unit.collect.conftest import Clock
from tests.unit.collect.test_retrieve import running
from tests.unit.test_doctor import lines, snapshot

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(project: Project) -> Doctor:
    """Call the command in the checkout; silence shows after a fraction of a second."""

    def call(*arguments: object) -> Result:
        options = ["doctor", "--silent-after", "0.3", *map(str, arguments)]
        result = CliRunner().invoke(commands, options, catch_exceptions=False)
        assert "Traceback" not in result.output
        return result

    return call


def of(result: Result, section: str, level: str) -> str:
    """Return the findings of *level* in *section*."""
    below = itertools.takewhile(
        lambda line: line.startswith(" "), f"\n{result.output}".partition(f"\n{section}\n")[2].splitlines()
    )
    return "\n".join(lines("\n".join(below), level))


class TestCheckout:
    def test_a_checkout_that_is_well(self, doctor: Doctor, project: Project) -> None:
        revision = project.commit()
        os.utime(project.root / "shop/cart.py", (0, 0))  # which git would like to write down
        before = snapshot(project.root)
        result = doctor()
        assert result.exit_code == 0, result.output
        said = of(result, "checkout", "ok")
        assert f"git checkout {project.root}, revision {revision}" in said
        assert "`run:source` selects 5 files to report, in lines" in said
        assert "relative_files is off" in said
        assert "no selected file has uncommitted changes" in said
        measured = minor(platform.python_version()) in MEASURED_PYTHON
        measured &= minor(coverage.__version__) in MEASURED_COVERAGE
        assert "coverage.py 7." in of(result, "checkout", "ok" if measured else "note")
        assert "source\n" not in result.output
        assert snapshot(project.root) == before

    def test_uncommitted_changes_are_a_note_that_names_files(self, doctor: Doctor, project: Project) -> None:
        project.write({"shop/cart.py": "changed = 1\n", "shop/new.py": "", "elsewhere.py": ""})
        result = doctor()
        assert result.exit_code == 0
        note = of(result, "checkout", "note")
        assert "2 selected files with uncommitted changes" in note
        assert "shop/cart.py, shop/new.py" in note

    def test_a_checkout_without_a_commit(self, doctor: Doctor, project: Project) -> None:
        subprocess.run(["git", "-C", str(project.root), "update-ref", "-d", "HEAD"], check=True)
        result = doctor()
        assert "(no commit yet)" in of(result, "checkout", "ok")
        assert "5 selected files with uncommitted changes" in of(result, "checkout", "note")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("[run]\n", "the coverage configuration names no source"),
            ("[run]\nsource = nobodys\n", "names 'nobodys', which is neither a folder nor a package"),
            ("[run]\nsource = shop\nomit = *\n", "selects no file"),
            ("[run\n", ".coveragerc"),
        ],
    )
    def test_what_collect_would_refuse_is_wrong(
        self, doctor: Doctor, project: Project, content: str, said: str
    ) -> None:
        project.write({".coveragerc": content})
        result = doctor()
        assert result.exit_code == 1
        assert said in of(result, "checkout", "wrong")
        assert "git checkout" in of(result, "checkout", "ok")

    def test_another_configuration_is_given(self, doctor: Doctor, project: Project) -> None:
        project.write({"other.rc": "[run]\nsource = shop.parts\nrelative_files = true\nbranch = true\n"})
        result = doctor("--rcfile", "other.rc")
        said = of(result, "checkout", "ok")
        assert "selects 2 files to report, in lines and branches" in said
        assert "relative_files is on" in said

    def test_outside_of_git_it_says_so(self, doctor: Doctor, project: Project) -> None:
        (project.root / ".git").rename(project.root / "nowhere")
        result = doctor()
        assert result.exit_code == 0
        assert "not compared with git" in of(result, "checkout", "note")
        assert "uncommitted" not in result.output

    def test_of_a_checkout_of_another_user_it_says_what_git_says(
        self, doctor: Doctor, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own way to be tested without a second user
        said = of(doctor(), "checkout", "note")
        assert f"not compared with git: fatal: detected dubious ownership in repository at '{project.root}'" in said
        assert f"git config --global --add safe.directory {project.root}; the files below" in said


class TestFolder:
    def test_runs_are_counted_and_the_chosen_one_is_said(self, doctor: Doctor, volume: Path) -> None:
        record(volume, run="old")
        record(volume, run="new", started_at=STARTED + timedelta(hours=1))
        record(volume, run="new", started_at=STARTED + timedelta(hours=2), problems=["something"])
        before = snapshot(volume)
        result = doctor("--from", volume)
        assert result.exit_code == 0, result.output
        said = of(result, "source", "ok")
        assert "holds 3 recordings of 2 runs" in said
        assert "run 'old': 1 recording, the first of 2026-01-31" in said
        assert "earlier, so only with --run 'old'" in said
        assert "run 'new': 2 recordings, the first of 2026-02-01T00:59" in said
        assert "`collect` chooses this one" in said
        assert "names 1 problem: something" in of(result, "source", "note")
        assert snapshot(volume) == before

    def test_a_folder_that_is_not_there_is_out_of_reach(self, doctor: Doctor, tmp_path: Path) -> None:
        result = doctor("--from", tmp_path / "absent")
        assert result.exit_code == 3
        assert "no recordings can be read from" in of(result, "source", "wrong")

    def test_what_is_out_of_reach_decides_how_it_ends(self, doctor: Doctor, project: Project, tmp_path: Path) -> None:
        result = doctor("--from", tmp_path / "absent", "--rcfile", project.root / "absent")
        assert of(result, "checkout", "wrong")
        assert result.exit_code == 3

    def test_an_empty_one_is_wrong(self, doctor: Doctor, volume: Path) -> None:
        result = doctor("--from", volume)
        assert result.exit_code == 1
        assert "holds no recording" in of(result, "source", "wrong")

    def test_what_lives_and_what_is_silent(self, doctor: Doctor, volume: Path, clock: Clock) -> None:
        alive = running(volume, run="now", started_at=STARTED + timedelta(hours=1))
        silent = running(volume, run="now", host="b", started_at=STARTED + timedelta(hours=1))
        earlier = running(volume, run="old", host="c")
        clock.let_beat(alive)
        result = doctor("--from", volume)
        assert result.exit_code == 1
        assert f"1 recording running now: {alive.name}" in of(result, "source", "ok")
        assert f"does not move: {silent.name};" in of(result, "source", "wrong")
        assert f"1 earlier recording never finished: {earlier.name}" in of(result, "source", "note")

    @pytest.mark.parametrize(("complete", "here"), [(True, True), (False, True), (True, False)])
    def test_what_is_silent_and_lost_nothing_is_a_note(
        self, doctor: Doctor, volume: Path, *, complete: bool, here: bool
    ) -> None:
        recording = running(volume, mode="immediate", complete=complete)
        recording.change_process(boot=machine.boot_id() if here else "elsewhere")
        result = doctor("--from", volume)
        whole = complete and here
        assert result.exit_code == (0 if whole else 1)
        assert recording.name in of(result, "source", "note" if whole else "wrong")
        assert ("nothing is lost: each line was on the volume before it ran" in result.output) == whole

    def test_what_cannot_be_read_is_wrong_if_it_is_chosen(self, doctor: Doctor, volume: Path) -> None:
        later = STARTED + timedelta(hours=1)
        record(volume, run="new", started_at=later).manifest_path.write_bytes(b"{")
        gone, linked, fine = (record(volume, run="new", started_at=later, host=host) for host in "bcd")
        gone.journal.unlink()
        linked.journal.unlink()
        linked.journal.symlink_to(fine.journal)
        record(volume, run="old", host="e").journal.unlink()
        result = doctor("--from", volume)
        assert result.exit_code == 1
        wrong = of(result, "source", "wrong").splitlines()
        assert [any(said in line for line in wrong) for said in ("not JSON", "No such file", "is a link")] == [True] * 3
        assert len(wrong) == 3
        assert "not among the chosen ones" in of(result, "source", "note")

    def test_what_a_chosen_recording_lost_is_wrong(self, doctor: Doctor, volume: Path) -> None:
        record(volume, measured={}, problems=["the volume is full"])
        begun = record(volume, host="c", measured={}, tail=bytes(16))  # and its manifest has yet to say so
        record(volume, host="b", imported_before_start=["shop.cart"])
        gap = Unrecorded(reason="other code took it", since="2026-01-31T23:59:58.000000Z", until="")
        record(volume, host="d", unrecorded=[gap])
        wrong = of(doctor("--from", volume), "source", "wrong")
        assert "announced itself and published nothing: the volume is full" in wrong
        assert "shop.cart imported before recording started" in wrong
        assert "call coverage_hooks.start() first" in wrong
        assert f"not all that ran from {gap.since} on was recorded: other code took it" in wrong
        assert begun.name not in wrong

    def test_other_versions_are_a_note(self, doctor: Doctor, volume: Path) -> None:
        record(volume).change_process(python="3.99.1")
        assert "made on Python 3.99" in of(doctor("--from", volume), "source", "note")

    def test_names_on_the_volume_do_not_drive_the_terminal(self, doctor: Doctor, volume: Path) -> None:
        record(volume, run="\x1b[2J", problems=["\x1b]0;x\x07"])
        result = doctor("--from", volume)
        assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--namespace", "shop"], "say what to read in namespace 'shop'"),
        (["--claim", "a"], "say where the recordings are"),
        (["--from", ".", "--namespace", "shop"], "exclude each other"),
        (["--namespace", "shop", "--claim", "a", "--release", "b"], "exclude each other"),
        (["--kubeconfig", "x"], "say where the recordings are"),
        (["--namespace", "shop", "--claim", "a", "--kubeconfig", "absent"], "there is no kubeconfig 'absent'"),
    ],
)
def test_wrong_use_is_told(doctor: Doctor, options: list[str], said: str) -> None:
    result = doctor(*options)
    assert result.exit_code == 2
    assert said in result.output


def test_a_cluster_that_does_not_answer_is_out_of_reach(doctor: Doctor, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        '{"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "current-context": "x",'
        ' "contexts": [{"name": "x", "context": {"cluster": "c"}}]}'
    )
    result = doctor("--namespace", "shop", "--claim", "a", "--kubeconfig", kubeconfig)
    assert result.exit_code == 3
    assert "cannot be reached" in of(result, "source", "wrong")
