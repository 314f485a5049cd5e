"""What is combined, what is refused by name, and how unit data goes wrong."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any, ClassVar

import coverage
import pytest

from coverage_hooks.volume.journal import Name
from tests.unit.collect.building import LINES, SOURCES, Project, data_bytes, journal_bytes, point, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_collect import ARCS, lines_of, make_unit, summary

CHANGED = "# one more line\n" + SOURCES["shop/cart.py"]


class TestMismatch:
    def test_a_file_that_differs_is_refused_with_both_revisions(self, run: Run, volume: Path, project: Project) -> None:
        recording = record(volume, sources={"shop/cart.py": CHANGED}, revision="abc123")
        here = project.commit()
        result = run("collect")
        assert result.exit_code == 1
        expected = f"differs from shop/cart.py: its lines are others; revision there abc123, here {here}"
        assert f"LOSS  {recording.name} /app/shop/cart.py: {expected}" in result.output
        assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] == 0
        assert summary(project)["files"]["shop/parts/till.py"]["cluster"]["lines"] == 50

    GENERATED: ClassVar[dict[str, str]] = {"shop/_version.py": "version = '1.2'\n"}

    def test_a_file_that_a_build_makes_is_a_loss_with_its_name_here(self, run: Run, volume: Path) -> None:
        record(volume, sources=self.GENERATED, measured={**LINES, "shop/_version.py": {1}})
        result = run("collect")
        assert result.exit_code == 1
        assert "/app/shop/_version.py: no source file of that name is here" in result.output
        assert "or --allow-mismatch shop/_version.py" in result.output
        allowed = run("collect", "--allow-mismatch", "shop/_version.py")
        assert allowed.exit_code == 0, allowed.output
        assert "left out as allowed" in allowed.output

    @pytest.mark.parametrize(
        "setting",
        ["[run]\nsource = shop\nomit = */_version.py\n", "[run]\nsource = shop\n[report]\nomit = */_version.py\n"],
    )
    def test_a_file_that_a_build_makes_may_be_omitted_here(
        self, run: Run, volume: Path, project: Project, setting: str
    ) -> None:
        project.write({".coveragerc": setting})
        record(volume, sources=self.GENERATED, measured={**LINES, "shop/_version.py": {1}})
        result = run("collect")
        assert result.exit_code == 0, result.output
        assert "_version.py: not here, and left out by the configuration, left out" in result.output

    def test_a_change_here_that_was_not_committed_is_a_mismatch(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        project.write({"shop/cart.py": CHANGED})
        result = run("collect")
        assert result.exit_code == 1
        assert "revision there unknown" in result.output

    @pytest.mark.parametrize("name", ["shop/cart.py", "/app/shop/cart.py", "./shop/../shop/cart.py"])
    def test_an_allowed_mismatch_is_left_out_and_said(
        self, run: Run, volume: Path, project: Project, name: str
    ) -> None:
        record(volume, sources={"shop/cart.py": CHANGED})
        result = run("collect", "--allow-mismatch", name)
        assert result.exit_code == 0
        assert "note  /app/shop/cart.py of " in result.output
        assert "left out as allowed" in result.output
        assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] == 0
        assert run("collect", "--allow-mismatch", "shop/unused.py").exit_code == 1

    @pytest.mark.parametrize("part", ["cart.py", "shop/cart", "shop", "shop/*", ".", "", "/app"])
    def test_a_mismatch_is_allowed_by_a_whole_name_only(self, run: Run, volume: Path, part: str) -> None:
        record(volume, sources={"shop/cart.py": CHANGED})
        result = run("collect", "--allow-mismatch", part)
        assert result.exit_code == 1
        assert "left out as allowed" not in result.output

    def test_equal_lines_of_a_changed_file_are_not_taken_for_the_same(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        record(volume, host="a")
        changed = record(volume, host="b", sources={"shop/cart.py": CHANGED})
        result = run("collect")
        assert result.exit_code == 1
        assert f"LOSS  {changed.name} /app/shop/cart.py: differs" in result.output
        assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] > 0

    def test_a_file_that_is_not_here_is_named(self, run: Run, volume: Path) -> None:
        recording = record(volume, measured={"shop/gone.py": {1}}, sources={"shop/gone.py": "x = 1\n"})
        result = run("collect")
        assert result.exit_code == 1
        assert f"{recording.name} /app/shop/gone.py: no source file of that name is here" in result.output

    def test_a_measured_file_without_fingerprint_is_refused(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, measured={"shop/cart.py": {1}, "shop/unused.py": {1}}, sources={"shop/unused.py": None})
        result = run("collect")
        assert result.exit_code == 1
        assert "/app/shop/unused.py: has no fingerprint, so nobody knows what its lines were\n" in result.output
        assert summary(project)["files"]["shop/unused.py"]["cluster"]["lines"] == 0
        assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] > 0

    def test_why_a_measured_file_has_no_fingerprint_is_told(self, run: Run, volume: Path) -> None:
        changed = Name(number=9, path="/app/shop/unused.py", problem="changed since it was imported").to_bytes()
        record(volume, tail=changed + point(9, 1))
        result = run("collect")
        assert result.exit_code == 1
        assert "/app/shop/unused.py: has no fingerprint" in result.output
        assert "what its lines were: changed since it was imported\n" in result.output

    def test_a_file_of_two_versions_is_refused(self, run: Run, volume: Path, project: Project) -> None:
        """As when a forked child imported it after it had changed."""
        path = "/app/shop/cart.py"
        record(volume).append(journal_bytes({path: {8}}, {path: CHANGED}), number=27)
        result = run("collect")
        assert result.exit_code == 1
        assert f"{path}: has no fingerprint" in result.output
        assert "it was imported in two versions" in result.output
        assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] == 0
        assert summary(project)["files"]["shop/parts/till.py"]["cluster"]["lines"] == 50

    def test_what_a_forked_child_ran_counts(self, run: Run, volume: Path, project: Project) -> None:
        path = "/app/shop/cart.py"
        record(volume).append(journal_bytes({path: {8}}, {path: SOURCES["shop/cart.py"]}), number=27)
        assert run("collect").exit_code == 0
        assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] > 0

    def test_data_of_a_refused_file_is_nowhere(self, run: Run, volume: Path, project: Project) -> None:
        recording = record(volume, sources={"shop/cart.py": CHANGED})
        run("collect")
        for name in (f"data/.coverage.{recording.name}", "cluster.coverage", ".coverage"):
            found = lines_of(project.root / "build/coverage" / name)
            assert set(found) == {str(project.root / name) for name in SOURCES}
            assert found[str(project.root / "shop/cart.py")] == set()
            assert found[str(project.root / "shop/parts/till.py")] == {1}
            assert found[str(project.root / "shop/__init__.py")] == {0}

    def test_contexts_are_kept(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        unit = {str(project.root / "shop/cart.py"): {1}}
        (project.root / "unit").write_bytes(data_bytes(unit, contexts=["create", "delete"]))
        run("collect", "--unit", "unit")
        data = coverage.CoverageData(str(project.root / "build/coverage/.coverage"))
        data.read()
        assert data.measured_contexts() == {"", "create", "delete"}
        assert set(data.contexts_by_lineno(str(project.root / "shop/cart.py"))[1]) == {"", "create", "delete"}

    def test_what_is_tracked_and_not_selected_here_is_left_out_and_no_loss(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        project.write({"tools/helper.py": "x = 1\n"})
        project.commit()
        record(volume, measured={**LINES, "tools/helper.py": {1}}, sources={"tools/helper.py": "x = 1\n"})
        result = run("collect")
        assert result.exit_code == 0
        assert "is tools/helper.py: not selected here, left out" in result.output
        assert "tools/helper.py" not in summary(project)["files"]

    def test_a_name_that_is_tracked_elsewhere_with_other_content_is_a_mismatch(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        project.write({"tools/helper.py": "x = 2\n"})
        project.commit()
        record(volume, measured={"tools/helper.py": {1}}, sources={"tools/helper.py": "x = 1\n"})
        result = run("collect")
        assert result.exit_code == 1
        assert "/app/tools/helper.py: no source file of that name is here" in result.output

    def test_an_untracked_file_is_matched_when_no_tracked_one_is(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        project.write({"shop/fresh.py": "x = 1\n"})
        record(volume, measured={"shop/fresh.py": {1}}, sources={"shop/fresh.py": "x = 1\n"})
        assert run("collect").exit_code == 0
        assert summary(project)["files"]["shop/fresh.py"]["cluster"]["lines"] > 0

    def test_without_git_the_source_folders_are_taken(self, run: Run, volume: Path, project: Project) -> None:
        shutil.rmtree(project.root / ".git")
        record(volume)
        result = run("collect")
        assert result.exit_code == 0
        assert "note  not compared with git: " in result.output
        assert summary(project)["totals"]["cluster"]["lines"] == 60


class TestTies:
    TWINS: ClassVar[dict[str, str]] = {
        "shop/a/same.py": "x = 1\n",
        "shop/b/same.py": "x = 1\n",
        "shop/a/__init__.py": "",
        "shop/b/__init__.py": "",
    }

    def test_the_longest_common_tail_decides(self, run: Run, volume: Path, project: Project) -> None:
        project.write(self.TWINS)
        project.commit()
        record(volume, measured={"shop/b/same.py": {1}, "shop/b/__init__.py": {0}}, sources=self.TWINS)
        assert run("collect").exit_code == 0
        assert summary(project)["files"]["shop/b/same.py"]["cluster"]["lines"] > 0
        assert summary(project)["files"]["shop/a/same.py"]["cluster"]["lines"] == 0

    def test_a_tie_names_both_and_is_refused(self, run: Run, volume: Path, project: Project) -> None:
        project.write(self.TWINS)
        project.commit()
        record(volume, measured={"other/same.py": {1}}, sources={"other/same.py": "x = 1\n"})
        result = run("collect")
        assert result.exit_code == 1
        both = f"{project.root}/shop/a/same.py and {project.root}/shop/b/same.py have the same content"
        assert f"/app/other/same.py: {both}" in result.output

    def test_a_tie_that_two_folders_break_differently_is_refused(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        """A path lies beside files of both folders, as in an image into which both were copied."""
        project.write({"shop/a/one.py": "a = 1\n", "shop/b/two.py": "b = 2\n", **self.TWINS})
        project.commit()
        sources = {"one.py": "a = 1\n", "two.py": "b = 2\n", "same.py": "x = 1\n"}
        recording = record(volume, measured={name: {1} for name in sources}, sources=sources)
        result = run("collect")
        assert result.exit_code == 1
        both = f"{project.root}/shop/a/same.py and {project.root}/shop/b/same.py have the same content"
        assert f"LOSS  {recording.name} /app/same.py: {both}" in result.output
        files = summary(project)["files"]
        assert {name: files[name]["cluster"]["lines"] > 0 for name in ("shop/a/one.py", "shop/b/two.py")} == {
            "shop/a/one.py": True,
            "shop/b/two.py": True,
        }
        assert files["shop/a/same.py"]["cluster"]["lines"] == files["shop/b/same.py"]["cluster"]["lines"] == 0

    def test_a_folder_whose_name_begins_alike_breaks_no_tie(self, run: Run, volume: Path, project: Project) -> None:
        project.write({"shop/a/one.py": "a = 1\n", "shop/ab/same.py": "x = 1\n", **self.TWINS})
        project.commit()
        sources = {"app/one.py": "a = 1\n", "appb/same.py": "x = 1\n"}
        record(volume, prefix="/", measured={name: {1} for name in sources}, sources=sources)
        result = run("collect")
        assert result.exit_code == 1
        assert "/appb/same.py: " in result.output
        assert "have the same content and fit equally" in result.output

    def test_what_is_not_here_and_would_be_in_either_folder_is_left_out_by_neither(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        sources = {"one.py": "a = 1\n", "two.py": "b = 2\n", "made.py": "c = 3\n"}
        project.write({"shop/a/one.py": "a = 1\n", "shop/b/two.py": "b = 2\n", **self.TWINS})
        project.write({".coveragerc": "[run]\nsource = shop\nomit = shop/a/made.py\n"})
        project.commit()
        recording = record(volume, measured={name: {1} for name in sources}, sources=sources)
        result = run("collect")
        assert result.exit_code == 1
        assert f"LOSS  {recording.name} /app/made.py: no source file of that name is here" in result.output

    def test_a_tracked_file_goes_before_an_untracked_one(self, run: Run, volume: Path, project: Project) -> None:
        project.write({"shop/a/__init__.py": "", "shop/a/same.py": "x = 1\n"})
        project.commit()
        project.write(self.TWINS)
        record(volume, measured={"other/same.py": {1}}, sources={"other/same.py": "x = 1\n"})
        assert run("collect").exit_code == 0
        assert summary(project)["files"]["shop/a/same.py"]["cluster"]["lines"] > 0

    @pytest.mark.parametrize(("place", "code"), [("shop/b", 0), ("shop/parts", 1)])
    def test_the_paths_setting_breaks_a_tie_when_it_agrees(
        self, run: Run, volume: Path, project: Project, place: str, code: int
    ) -> None:
        project.write(self.TWINS)
        project.write({".coveragerc": f"[run]\nsource = shop\n[paths]\nall =\n    {place}\n    /app/other\n"})
        project.commit()
        record(volume, measured={"other/same.py": {1}}, sources={"other/same.py": "x = 1\n"})
        assert run("collect").exit_code == code
        assert summary(project)["files"]["shop/b/same.py"]["cluster"]["lines"] == (100 if code == 0 else 0)

    def test_the_paths_setting_is_not_believed_against_the_bytes(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        project.write({".coveragerc": "[run]\nsource = shop\n[paths]\nall =\n    shop/parts\n    */shop\n"})
        project.write({"shop/parts/cart.py": "# another cart\n"})
        record(volume)
        assert run("collect").exit_code == 0
        assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] == pytest.approx(100 * 5 / 6)
        assert (
            summary(project)["files"]["shop/cart.py"]["combined"]
            == summary(project)["files"]["shop/cart.py"]["cluster"]
        )


class TestUnit:
    def test_unit_data_that_is_not_there_says_how_it_is_made(self, run: Run, volume: Path) -> None:
        record(volume)
        result = run("collect", "--unit", "absent")
        assert result.exit_code == 2
        assert "error: no unit data at 'absent'; it is made by `coverage run -m pytest`" in result.output

    @pytest.mark.parametrize(
        ("content", "said"),
        [(b"", "is empty"), (b"no database", "cannot be read"), (b"SQLite format 3\0" + bytes(5000), "cannot be read")],
    )
    def test_unit_data_that_is_broken_is_wrong_use(
        self, run: Run, volume: Path, project: Project, content: bytes, said: str
    ) -> None:
        record(volume)
        (project.root / "unit").write_bytes(content)
        result = run("collect", "--unit", "unit")
        assert result.exit_code == 2
        assert f"error: unit data 'unit' {said}" in result.output
        assert (project.root / "unit").read_bytes() == content

    def test_unit_data_without_a_file_is_wrong_use(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        (project.root / "unit").write_bytes(data_bytes({}))
        result = run("collect", "--unit", "unit")
        assert result.exit_code == 2
        assert "unit data 'unit' is empty" in result.output

    def test_unit_data_of_another_checkout_is_named(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        measured = {"/elsewhere/shop/cart.py": {1}, str(project.root / "shop/unused.py"): {1}}
        (project.root / "unit").write_bytes(data_bytes(measured))
        result = run("collect", "--unit", "unit")
        assert result.exit_code == 2
        assert "it measured '/elsewhere/shop/cart.py', which is not in this checkout" in result.output

    def test_unit_data_of_another_checkout_is_mapped_by_the_paths_setting(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        project.write({".coveragerc": "[run]\nsource = shop\n[paths]\nall =\n    shop\n    /elsewhere/shop\n"})
        record(volume)
        (project.root / "unit").write_bytes(data_bytes({"/elsewhere/shop/cart.py": {8}}))
        assert run("collect", "--unit", "unit").exit_code == 0
        assert summary(project)["totals"]["unit"]["lines"] == 10

    def test_unit_data_of_nothing_selected_is_wrong_use(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        project.write({"tests/test_x.py": "x = 1\n"})
        (project.root / "unit").write_bytes(data_bytes({str(project.root / "tests/test_x.py"): {1}}))
        result = run("collect", "--unit", "unit")
        assert result.exit_code == 2
        assert "nothing in it is selected by `run:source`" in result.output

    def test_tests_in_unit_data_are_no_source(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        project.write({"tests/test_x.py": "x = 1\n"})
        measured = {str(project.root / name): {1} for name in ("tests/test_x.py", "shop/unused.py")}
        (project.root / "unit").write_bytes(data_bytes(measured))
        assert run("collect", "--unit", "unit").exit_code == 0
        assert set(summary(project)["files"]) == set(SOURCES)
        assert set(lines_of(project.root / "build/coverage/unit.coverage")) == {str(project.root / s) for s in SOURCES}

    def test_several_unit_files_are_one_world_and_stay(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        one, two = (project.root / name for name in ("one", "two"))
        one.write_bytes(data_bytes({str(project.root / "shop/unused.py"): {1}}))
        two.write_bytes(data_bytes({str(project.root / "shop/unused.py"): {2}}))
        assert run("collect", "--unit", one, "--unit", two).exit_code == 0
        assert summary(project)["files"]["shop/unused.py"]["unit"]["lines"] == 100
        assert one.is_file()
        assert two.is_file()


class TestModes:
    def test_unit_branches_and_cluster_lines_are_wrong_use(self, run: Run, volume: Path, project: Project) -> None:
        recording = record(volume)
        result = run("collect", "--unit", make_unit(project, "--branch"))
        assert result.exit_code == 2
        assert f"recording {recording.name} measured lines, the unit data measured branches" in result.output
        assert "set `[run] branch` to the same in both configurations" in result.output

    def test_unit_lines_and_cluster_branches_are_wrong_use(self, run: Run, volume: Path, project: Project) -> None:
        recording = record(volume, measured=ARCS, branch=True)
        result = run("collect", "--unit", make_unit(project))
        assert result.exit_code == 2
        assert f"the unit data measured lines, recording {recording.name} measured branches" in result.output

    def test_one_recording_of_another_kind_is_a_loss(self, run: Run, volume: Path, project: Project) -> None:
        for host in "ab":
            record(volume, measured=ARCS, branch=True, host=host)
        other = record(volume)
        result = run("collect")
        assert result.exit_code == 1
        assert f"LOSS  {other.name} recording.json: recording {other.name} measured lines" in result.output
        assert summary(project)["totals"]["cluster"]["branches"] == 50

    def test_unit_files_of_two_kinds_are_wrong_use(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        (project.root / "lines").write_bytes(data_bytes({str(project.root / "shop/unused.py"): {1}}))
        result = run("collect", "--unit", "lines", "--unit", make_unit(project, "--branch"))
        assert result.exit_code == 2
        assert "unit data 'lines' measured lines, unit data " in result.output


class TestConfiguration:
    def test_no_source_is_wrong_use(self, run: Run, volume: Path, project: Project) -> None:
        project.write({".coveragerc": "[run]\n"})
        record(volume)
        result = run("collect")
        assert result.exit_code == 2
        assert "names no source" in result.output

    def test_a_source_that_is_not_here_is_named(self, run: Run, volume: Path, project: Project) -> None:
        project.write({".coveragerc": "[run]\nsource = shap\n"})
        record(volume)
        result = run("collect")
        assert result.exit_code == 2
        assert "`run:source` names 'shap', which is neither a folder nor a package" in result.output

    def test_a_configuration_that_is_not_there_is_wrong_use(self, run: Run, volume: Path) -> None:
        record(volume)
        result = run("collect", "--rcfile", "absent")
        assert result.exit_code == 2
        assert "Couldn't read 'absent' as a config file" in result.output

    def test_a_source_that_cannot_be_parsed_is_named(self, run: Run, volume: Path, project: Project) -> None:
        project.write({"shop/broken.py": "def (:\n"})
        record(volume)
        result = run("collect")
        assert result.exit_code == 2
        assert "shop/broken.py" in result.output

    def test_everything_omitted_is_wrong_use(self, run: Run, volume: Path, project: Project) -> None:
        project.write({".coveragerc": "[run]\nsource = shop\nomit = *\n"})
        record(volume)
        result = run("collect")
        assert result.exit_code == 2
        assert "selects no file" in result.output

    def test_sources_are_found_beside_a_configuration_elsewhere(
        self, run: Run, volume: Path, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        record(volume)
        monkeypatch.chdir(tmp_path)
        result = run("collect", "--rcfile", project.root / ".coveragerc", "--output", tmp_path / "out")
        assert result.exit_code == 0
        document: dict[str, Any] = json.loads((tmp_path / "out/summary.json").read_bytes())
        assert document["totals"]["cluster"]["lines"] == 60

    @pytest.mark.parametrize(
        ("place", "settings", "selected"),
        [
            ("src/shop", "source = shop", set(SOURCES)),
            ("shop", "source = ./shop", set(SOURCES)),
            ("shop", "source_pkgs = shop", set(SOURCES)),
            ("shop", "source_dirs = shop", set(SOURCES)),
            ("src/shop", "source_pkgs = shop.parts, shop.cart", {s for s in SOURCES if "parts" in s or "cart" in s}),
        ],
    )
    def test_packages_modules_and_folders_are_found(
        self, run: Run, volume: Path, project: Project, *, place: str, settings: str, selected: set[str]
    ) -> None:
        project.write({".coveragerc": f"[run]\n{settings}\n", "src/.keep": ""})
        (project.root / "shop").rename(project.root / place)
        project.commit()
        record(volume)
        assert run("collect").exit_code == 0
        assert {name.removeprefix("src/") for name in summary(project)["files"]} == selected

    def test_settings_for_recording_do_not_disturb_collecting(self, run: Run, volume: Path, project: Project) -> None:
        settings = "parallel = True\nconcurrency = multiprocessing\nsigterm = True\ndynamic_context = test_function\n"
        project.write({".coveragerc": f"[run]\nsource = shop\ndata_file = elsewhere/x\n{settings}"})
        record(volume)
        (project.root / "unit").write_bytes(data_bytes({str(project.root / "shop/cart.py"): {8}}))
        before = set(project.root.iterdir())
        assert run("collect", "--unit", "unit").exit_code == 0
        assert summary(project)["totals"]["combined"]["lines"] == 70
        assert set(project.root.iterdir()) - before == {project.root / "build"}

    def test_exclusions_are_counted(self, run: Run, volume: Path, project: Project) -> None:
        project.write({".coveragerc": "[run]\nsource = shop\n[report]\nexclude_also =\n    def nobody\n"})
        record(volume)
        result = run("collect")
        assert "excluded  2 lines" in result.output
        assert summary(project)["excluded_lines"] == 2


def test_unit_data_that_is_older_than_a_source_is_told(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    unit = make_unit(project)
    assert "is older than" not in run("collect", "--unit", unit).output
    later = unit.stat().st_mtime + 10
    os.utime(project.root / "shop/cart.py", (later, later))  # nothing in unit data says what its lines were
    result = run("collect", "--unit", unit)
    assert result.exit_code == 0
    assert "is older than shop/cart.py: where lines have moved" in " ".join(result.output.split())


def test_a_world_that_there_is_no_room_for_is_told(run: Run, volume: Path, project: Project) -> None:
    source = {"shop/long.py": "pass\n" * 3000}
    project.write(source)
    for number in range(8):
        steps = {(line, line + 1) for line in range(number * 300, number * 300 + 300)}
        record(volume, host=str(number), branch=True, measured={"shop/long.py": steps}, sources=source)
    assert run("retrieve").exit_code == 0
    room, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (80 << 10, most))  # enough for any recording, not for all of them
        result = run("combine", source=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    assert result.exit_code == 2
    assert "cluster.coverage' cannot be written: SQLite says:" in result.output
    output = project.root / "build/coverage"
    assert not [path for name in ("*.coverage", ".combine-*") for path in output.glob(name)]
    assert len(list((output / "data").iterdir())) == 8


def test_what_was_damaged_before_and_is_sound_now_has_its_vote(run: Run, volume: Path, project: Project) -> None:
    record(volume, host="a")
    for number, host in enumerate("bc"):
        record(volume, host=host, branch=True, measured={"shop/cart.py": {(-1, 1), (1, 2 + number)}})
    run("retrieve")
    copies = [path for host in "bc" for path in (project.root / "build").rglob(f"{host}-*/journal-0")]
    contents = [path.read_bytes() for path in copies]
    for path in copies:
        path.write_bytes(b"")
    assert "truncated" in run("combine", source=None).output
    for path, content in zip(copies, contents, strict=True):
        path.write_bytes(content)
    result = run("combine", source=None)
    losses = [line for line in result.output.splitlines() if line.startswith("LOSS")]
    assert len(losses) == 1
    assert losses[0].startswith("LOSS  a-")


def test_where_nothing_is_sound_the_configuration_says_whether_there_are_branches(
    run: Run, volume: Path, project: Project
) -> None:
    for recording in (record(volume, host="a"), record(volume, host="b", branch=True, measured=ARCS)):
        recording.journal.write_bytes(b"")
    assert run("collect").exit_code == 1
    assert summary(project)["totals"]["combined"]["branches"] is None
