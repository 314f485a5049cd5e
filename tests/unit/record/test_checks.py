"""What is said of an operator that would start here: by the functions themselves, where no process is needed."""

from __future__ import annotations

import os
import sys
import threading
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from coverage_hooks.doctor import process, volume_trial
from coverage_hooks.doctor.findings import Finding
from coverage_hooks.doctor.process import LEAST, TESTED_PYTHON, Surroundings, environment, python
from coverage_hooks.doctor.volume_trial import Mount, mount_of, volume
from coverage_hooks.record.imports import places_of
from coverage_hooks.settings import Settings
from tests.cluster.waiting import WITHIN

OFF = Settings.from_environment({})
ON = Settings.from_environment({"COVERAGE_HOOKS_ENABLED": "1", "COVERAGE_HOOKS_POD_NAME": "a"})


def told(findings: Iterable[Finding], level: str) -> str:
    return "\n".join(finding.text for finding in findings if finding.level == level)


def test_the_least_versions_are_those_of_the_package() -> None:
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    # Not Kopf: it is the operator's own, and installing the extra must not replace it.
    assert extras["record"] == [f"coverage>={LEAST['coverage']}"]


class TestPython:
    @pytest.mark.parametrize(
        ("version", "level"), [((3, 11), "note"), ((3, 12), "ok"), ((3, 15), "ok"), ((3, 16), "note")]
    )
    def test_what_is_tested_and_exact_is_well(self, version: tuple[int, int], level: str) -> None:
        assert python(version, gil=True).level == level

    def test_without_gil_the_end_is_all_there_is(self) -> None:
        assert "without GIL" in python(TESTED_PYTHON[-1], gil=False).text

    @pytest.mark.parametrize(
        ("version", "older"),
        [
            ("7.9.9", True),
            ("7.17.3", True),
            ("7.17.4", False),
            ("7.17.5a0.dev1", False),
            ("7.18", False),
            ("8.0a1", False),
            ("dev", False),
        ],
    )
    def test_versions_are_compared_as_numbers(self, version: str, older: bool) -> None:
        assert process._older(version, "7.17.4") is older


class TestEnvironment:
    def test_off_is_a_note_on_a_test_machine_and_wrong_where_operators_run(self) -> None:
        assert "COVERAGE_HOOKS_ENABLED=1" in told(environment(Surroundings(settings=OFF)), "note")
        here = Surroundings(settings=OFF, is_operators=True)
        assert "expected COVERAGE_HOOKS_ENABLED=1" in told(environment(here), "wrong")

    def test_every_problem_of_a_setting_is_wrong(self) -> None:
        settings = Settings.from_environment({"COVERAGE_HOOKS_ENABLED": "sure", "COVERAGE_HOOKS_INTERVAL": "0"})
        assert told(environment(Surroundings(settings=settings)), "wrong").splitlines() == settings.problems

    def test_what_nothing_filled_in_is_wrong(self) -> None:
        given = {
            "COVERAGE_HOOKS_DIR": "~/cov",
            "COVERAGE_HOOKS_RUN": "${RUN}",
            "COVERAGE_HOOKS_POD_NAME": "$(POD_NAME)",
        }
        wrong = told(environment(Surroundings(settings=Settings.from_environment(given))), "wrong")
        assert [name for name in given if f"{name}=" in wrong] == list(given)

    def test_a_slip_is_wrong_also_where_nothing_is_recorded(self) -> None:
        here = Surroundings(settings=OFF, strangers={"COVERAGE_HOOKS_ENABELD": "COVERAGE_HOOKS_ENABLED"})
        assert "did you mean COVERAGE_HOOKS_ENABLED?" in told(environment(here), "wrong")

    @pytest.mark.parametrize(("settings", "level"), [(ON, "wrong"), (OFF, "note")])
    def test_a_second_collector_is_wrong_where_something_is_to_be_recorded(
        self, settings: Settings, level: str
    ) -> None:
        here = Surroundings(settings=settings, rivals=["COVERAGE_PROCESS_START"])
        assert "COVERAGE_PROCESS_START is set" in told(environment(here), level)

    def test_a_pod_that_does_not_know_its_name_is_a_note(self) -> None:
        nameless = Settings.from_environment({"COVERAGE_HOOKS_ENABLED": "1"})
        assert "COVERAGE_HOOKS_POD_NAME" in told(
            environment(Surroundings(settings=nameless, is_operators=True)), "note"
        )
        assert "POD_NAME" not in told(environment(Surroundings(settings=ON, is_operators=True)), "note")


def test_a_package_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "never_imported" / "below"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.chdir(tmp_path)
    assert places_of("never_imported.below") == [str(package)]
    assert places_of("never_imported.beside") == []
    assert places_of("nowhere.at.all") == []
    assert "never_imported" not in sys.modules


class TestVolume:
    def at(self, directory: Path, *, is_operators: bool = False, **settings: str) -> list[Finding]:
        # However late a sound volume answers here, it is sound.
        given = {"COVERAGE_HOOKS_DIR": str(directory), "COVERAGE_HOOKS_EXIT_TIMEOUT": f"{WITHIN:g}"} | settings
        return list(volume(Settings.from_environment(given), is_operators=is_operators))

    def test_what_is_written_is_taken_away_again(self, tmp_path: Path) -> None:
        (tmp_path / "precious").touch()
        found = self.at(tmp_path)
        assert told(found, "wrong") == ""
        assert "written, synchronised and removed" in told(found, "ok")
        assert "MiB free" in told(found, "ok") + told(found, "note")
        assert [path.name for path in tmp_path.iterdir()] == ["precious"]

    def test_a_folder_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        found = self.at(tmp_path / "a" / "b")
        assert f"recording would make it, below {tmp_path}" in told(found, "ok")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_the_way_is_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert "is no folder" in told(self.at(tmp_path / "file"), "wrong")
        assert "is no folder" in told(self.at(tmp_path / "file" / "below"), "wrong")

    def test_a_link_that_leads_nowhere_is_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "gone")
        assert "is no folder" in told(self.at(tmp_path / "link"), "wrong")
        assert "is no folder" in told(self.at(tmp_path / "link" / "below"), "wrong")

    def test_where_nothing_can_be_made_is_told(self) -> None:
        """The kernel makes no folder there for anybody."""
        assert "/proc/self (proc" in (said := told(self.at(Path("/proc/self")), "wrong"))
        assert "cannot be written: No such file or directory" in said
        assert f"this is user {os.geteuid()}" in said

    def test_a_read_only_mount_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(volume_trial, "_is_read_only", lambda _: True)
        assert "is read-only" in told(self.at(tmp_path), "wrong")
        assert "cannot be made" in told(self.at(tmp_path / "absent"), "wrong")

    def test_a_volume_that_hangs_is_not_waited_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        released, entered, fsync = threading.Event(), threading.Event(), os.fsync

        def hang(descriptor: int) -> None:
            entered.set()
            released.wait()
            fsync(descriptor)

        monkeypatch.setattr(volume_trial, "PATIENCE", 0.2)
        monkeypatch.setattr(os, "fsync", hang)
        try:
            assert "does not answer within 0.2 s" in told(self.at(tmp_path, COVERAGE_HOOKS_EXIT_TIMEOUT="0"), "wrong")
            assert entered.wait(WITHIN)
        finally:
            released.set()
            for thread in threading.enumerate():
                if thread.name == "coverage-hooks doctor":
                    thread.join()
        assert list(tmp_path.iterdir()) == []

    def test_a_volume_that_is_slower_than_stopping_waits_is_wrong(self, tmp_path: Path) -> None:
        assert "raise COVERAGE_HOOKS_EXIT_TIMEOUT" in told(self.at(tmp_path, COVERAGE_HOOKS_EXIT_TIMEOUT="0"), "wrong")

    def test_little_room_is_a_note(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(volume_trial, "LITTLE", 1 << 62)
        assert "a recording of a large operator takes some MiB" in told(self.at(tmp_path), "note")

    @pytest.mark.parametrize(("point", "said"), [("/", "gone with it: expected a mounted volume"), ("/volume", "")])
    def test_in_a_pod_it_has_to_be_mounted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, said: str
    ) -> None:
        monkeypatch.setattr(volume_trial, "mount_of", lambda _: Mount(point=Path(point), kind="overlay"))
        assert said in told(self.at(tmp_path, is_operators=True), "wrong")
        assert told(self.at(tmp_path), "wrong") == ""


MOUNTS = """\
1 0 8:1 / / rw shared:1 - overlay overlay rw
2 1 8:1 /x {point} rw,relatime - ext4 /dev/sda1 rw
3 2 8:2 / {point}/with\\040space rw - nfs4 server:/ rw
4 2 8:3 / {point} rw - xfs /dev/sdb rw
broken
"""


def test_the_mount_is_the_nearest_and_the_last_at_its_place(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(point=tmp_path))
    (tmp_path / "with space").mkdir()
    assert mount_of(tmp_path, table) == Mount(point=tmp_path, kind="xfs")
    assert mount_of(tmp_path / "with space", table) == Mount(point=tmp_path / "with space", kind="nfs4")
    assert mount_of(Path("/"), table) == Mount(point=Path("/"), kind="overlay")
    assert mount_of(tmp_path, tmp_path / "absent") is None
