"""Everything at once: a volume, unit data, and one report."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import coverage
import pytest

from coverage_hooks.collect import pipeline
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.retrieve.directory import Directory
from tests.unit.collect.building import SOURCES, STARTED, Project, record
from tests.unit.collect.conftest import Run

ARCS = {
    "shop/__init__.py": {(-1, 0), (0, -1)},
    "shop/cart.py": {(-1, 1), (1, 7), (7, -1), (-1, 2), (2, 3), (3, 4), (4, -1)},
}


def summary(project: Project) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((project.root / "build/coverage/summary.json").read_bytes())
    return document


def command(*arguments: object) -> str:
    """Run coverage.py's own command line."""
    done = subprocess.run([sys.executable, "-m", "coverage", *map(str, arguments)], check=True, capture_output=True)
    return done.stdout.decode()


def make_unit(project: Project, *options: str) -> Path:
    """Run the checkout's code here, as its unit tests would."""
    project.write({"test_unit.py": "from shop.cart import clear\nclear([])\n"})
    command("run", *options, "--data-file=.coverage.unit", "test_unit.py")
    return project.root / ".coverage.unit"


def lines_of(path: Path) -> dict[str, set[int]]:
    data = coverage.CoverageData(str(path))
    data.read()
    return {name: set(data.lines(name) or ()) for name in data.measured_files()}


def test_the_report_joins_unit_and_cluster_over_one_list_of_files(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    unit = make_unit(project)
    result = run("collect", "--unit", unit, "--expect", 1)
    assert result.exit_code == 0
    totals = summary(project)["totals"]
    # Of 10 statements the unit runs the definitions in `cart` and `clear`, the cluster all but `clear`, and `pay`.
    assert [totals[world]["lines"] for world in ("unit", "cluster", "combined")] == [30, 60, 70]
    assert totals["combined"] == {"lines": 70, "branches": None, "percent": 70}
    assert set(summary(project)["files"]) == set(SOURCES)
    assert summary(project)["files"]["shop/unused.py"]["combined"]["percent"] == 0
    assert summary(project)["ledger"][0]["state"] == "finished"
    assert summary(project)["losses"] == []
    assert summary(project)["run"] == "run-1"


def test_every_output_is_there(run: Run, volume: Path, project: Project) -> None:
    recording = record(volume)
    run("collect")
    output = project.root / "build/coverage"
    names = {"html/index.html", "coverage.xml", "coverage.lcov", "summary.json", "summary.md", ".coverage"}
    assert all((output / name).stat().st_size for name in names)
    assert (output / "data" / f".coverage.{recording.name}").is_file()
    assert (output / "raw/run-1" / recording.name / "journal-0").read_bytes() == recording.journal.read_bytes()
    assert not list(output.glob(".*.tmp"))
    assert not list(output.glob(".combine-*"))


@pytest.mark.parametrize("settings", ["", "relative_files = True\n"])
def test_xml_tells_two_files_of_one_name_apart(run: Run, volume: Path, project: Project, settings: str) -> None:
    project.write({
        ".coveragerc": f"[run]\nsource = shop, other\n{settings}",
        "other/__init__.py": "",
        "other/cart.py": "only = 1\n",
    })  # fmt: skip
    project.commit()
    record(volume)
    assert run("collect", "--unit", make_unit(project), "--xml-per-world").exit_code == 0

    def hits(name: str) -> dict[str, list[int]]:
        root = ET.parse(project.root / "build/coverage" / name).getroot()
        assert [source.text for source in root.iter("source")] == [str(project.root)]
        return {
            each.attrib["filename"]: [
                int(line.attrib["number"]) for line in each.iter("line") if line.get("hits") == "1"
            ]
            for each in root.iter("class")
        }

    both, unit, cluster = (hits(name) for name in ("coverage.xml", "unit.xml", "cluster.xml"))
    assert both.keys() == unit.keys() == cluster.keys() == {*SOURCES, "other/__init__.py", "other/cart.py"}
    assert both["other/cart.py"] == []
    assert cluster["shop/cart.py"] == [1, 2, 3, 4, 7]
    assert both["shop/cart.py"] == sorted({*unit["shop/cart.py"], *cluster["shop/cart.py"]})
    assert unit["shop/cart.py"] != cluster["shop/cart.py"]


@pytest.mark.parametrize("settings", ["", "relative_files = True\n"])
def test_xml_names_files_above_the_working_folder_as_the_checkout_does(
    run: Run, volume: Path, project: Project, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    project.write({"ci/.coveragerc": f"[run]\nsource = ../shop\n{settings}"})
    record(volume)
    monkeypatch.chdir(project.root / "ci")
    assert run("collect").exit_code == 0
    root = ET.parse("build/coverage/coverage.xml").getroot()
    assert [source.text for source in root.iter("source")] == [str(project.root)]
    assert {each.attrib["filename"] for each in root.iter("class")} == set(SOURCES)


def test_branches_are_counted_as_coverage_counts_them(run: Run, volume: Path, project: Project) -> None:
    project.write({".coveragerc": "[run]\nsource = shop\nbranch = True\n"})
    record(volume, measured=ARCS, branch=True)
    unit = make_unit(project)
    assert run("collect", "--unit", unit).exit_code == 0
    plain = json.loads(command("json", "--data-file=build/coverage/.coverage", "-q", "-o", "-"))
    combined = summary(project)["totals"]["combined"]
    assert combined["percent"] == plain["totals"]["percent_covered"]
    assert combined["branches"] == plain["totals"]["percent_branches_covered"] == 50
    assert combined["lines"] == plain["totals"]["percent_statements_covered"]


@pytest.mark.parametrize("branch", [False, True])
def test_plain_coverage_combines_the_data_to_the_same(
    run: Run, volume: Path, project: Project, *, branch: bool
) -> None:
    measured = ARCS if branch else None
    record(volume, measured=measured, branch=branch)
    record(volume, measured={"shop/parts/till.py": {(-1, 1), (1, -1)} if branch else {2}}, branch=branch, host="two")
    assert run("collect").exit_code == 0
    output = project.root / "build/coverage"
    command("combine", "--keep", "build/coverage/data")
    assert lines_of(project.root / ".coverage") == lines_of(output / "cluster.coverage")
    assert lines_of(output / "cluster.coverage")[str(project.root / "shop/parts/till.py")]


@pytest.mark.parametrize("settings", ["", "omit = */unused.py\n", "relative_files = True\n"])
def test_files_and_totals_are_those_of_plain_coverage(run: Run, volume: Path, project: Project, settings: str) -> None:
    """The same run, once recorded and collected, once by ``coverage run`` and ``coverage json``."""
    project.write({
        ".coveragerc": f"[run]\nsource = shop\n{settings}",
        "shop/script/no_package.py": "here = 1\n",  # not importable: its folder has no __init__.py
        "shop/untracked.py": "also = 1\n",
        "main.py": "import shop.parts.till\nfrom shop.cart import add\nadd([], 1)\n",
    })  # fmt: skip
    command("run", "--data-file=plain", "main.py")
    plain = json.loads(command("json", "--data-file=plain", "-q", "-o", "-"))
    record(volume)
    assert run("collect").exit_code == 0
    assert set(summary(project)["files"]) == set(plain["files"])
    assert summary(project)["totals"]["cluster"]["percent"] == plain["totals"]["percent_covered"]
    again = json.loads(command("json", "--data-file=build/coverage/.coverage", "-q", "-o", "-"))
    assert again["totals"] == plain["totals"]


def test_a_real_run_in_another_place_is_collected(run: Run, volume: Path, project: Project, tmp_path: Path) -> None:
    """What coverage.py itself measured in a copy of the checkout, as in an image."""
    pod = tmp_path / "image/app"
    Project(pod).write({**SOURCES, "main.py": "from shop.cart import add\nadd([], 1)\n"})
    subprocess.run(
        [sys.executable, "-m", "coverage", "run", "--source=shop", "--data-file=d", "main.py"], cwd=pod, check=True
    )
    measured = {name.removeprefix(f"{pod}/"): lines for name, lines in lines_of(pod / "d").items()}
    record(volume, measured=measured, prefix=f"{pod}/")
    assert run("collect").exit_code == 0
    assert summary(project)["files"]["shop/cart.py"]["cluster"]["lines"] == pytest.approx(100 * 5 / 6)


def test_a_second_collect_copies_only_what_changed(run: Run, volume: Path, project: Project) -> None:
    recording, other = record(volume), record(volume, measured={"shop/cart.py": {1}}, host="other")
    run("collect")
    raw = project.root / "build/coverage/raw/run-1"
    before = {path: path.stat().st_ino for path in raw.rglob("journal-*")}
    (raw / other.name / "journal-0").write_bytes(b"broken here, not on the volume")
    assert run("collect").exit_code == 0
    after = {path: path.stat().st_ino for path in raw.rglob("journal-*")}
    assert [path.parent.name for path in before if before[path] != after[path]] == [other.name]
    assert recording.journal.is_file()


def test_the_volume_is_not_changed(run: Run, volume: Path) -> None:
    record(volume)
    volume.chmod(0o555)

    def state() -> dict[Path, object]:
        return {
            path: (path.stat().st_mtime_ns, path.is_file() and hashlib.sha256(path.read_bytes()).digest())
            for path in volume.rglob("*")
        }

    before = state()
    run("collect")
    assert state() == before


def test_data_of_an_earlier_collect_is_not_combined_again(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    run("collect")
    record(volume, run="run-2", measured={"shop/cart.py": {1}}, started_at=STARTED + timedelta(hours=1))
    run("collect")
    assert len(list((project.root / "build/coverage/data").iterdir())) == 1
    assert summary(project)["totals"]["cluster"]["lines"] == 10


def test_nothing_at_all_is_not_a_success_and_leaves_no_old_report(run: Run, volume: Path, project: Project) -> None:
    recording = record(volume)
    run("collect")
    for path in recording.path.iterdir():
        path.unlink()
    recording.path.rmdir()
    result = run("collect")
    assert result.exit_code == 1
    assert "LOSS  nothing was recorded" in result.output
    assert not (project.root / "build/coverage/summary.json").exists()
    assert not (project.root / "build/coverage/html/index.html").exists()


class TestOldPages:
    """The HTML report of an earlier collect, when there is nothing to make another one of."""

    def test_nothing_of_it_is_left(self, run: Run, volume: Path, project: Project) -> None:
        project.write({"top.py": "x = 1\n", ".coveragerc": "[run]\nsource = .\n"})  # beside a package is another name
        record(volume)
        html = project.root / "build/coverage/html"
        run("collect")
        assert {"index.html", "top_py.html"} < {path.name for path in html.iterdir()}
        run("collect", "--run", "none")
        assert not html.exists()

    def test_what_somebody_else_put_there_stays(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        html = project.root / "build/coverage/html"
        run("collect")
        (html / "mine.html").write_text("mine")
        (html / "z_folder_py.html").mkdir()
        run("collect", "--run", "none")
        assert sorted(path.name for path in html.iterdir()) == [".gitignore", "mine.html", "z_folder_py.html"]
        run("collect")
        assert (html / "index.html").exists()

    @pytest.mark.parametrize("mark", [None, "*\n"])
    def test_a_folder_that_coverage_did_not_make_loses_its_first_page_only(
        self, run: Run, volume: Path, project: Project, mark: str | None
    ) -> None:
        assert list(volume.iterdir()) == []
        html = project.root / "build/coverage/html"
        project.write({f"build/coverage/html/{name}": "mine" for name in ("index.html", "a_py.html", "status.json")})
        if mark is not None:
            (html / ".gitignore").write_text(mark)
        run("collect")
        assert {path.name for path in html.iterdir()} - {".gitignore"} == {"a_py.html", "status.json"}

    def test_a_link_is_not_followed(self, run: Run, volume: Path, project: Project, tmp_path: Path) -> None:
        record(volume)
        html = project.root / "build/coverage/html"
        run("collect")
        html.rename(tmp_path / "elsewhere")
        html.symlink_to(tmp_path / "elsewhere")
        run("collect", "--run", "none")
        assert (tmp_path / "elsewhere/status.json").exists()


def test_no_folder_is_an_unreachable_source(run: Run, tmp_path: Path) -> None:
    result = run("collect", source=tmp_path / "absent")
    assert result.exit_code == 3
    assert "No such file or directory; give --from the folder" in result.output


def test_a_threshold_that_is_not_met_fails(run: Run, volume: Path) -> None:
    record(volume)
    assert run("collect", "--fail-under", 60).exit_code == 0
    result = run("collect", "--fail-under", 60.5)
    assert result.exit_code == 1
    assert "combined coverage is under the 60.5 %" in result.output


def test_the_steps_one_by_one_come_to_the_same(run: Run, volume: Path, project: Project) -> None:
    record(volume, sources={"shop/cart.py": "changed\n" * 9})
    record(volume, host="spoilt").journal.write_bytes(b"")
    (project.root / ".git").rename(project.root / "git")  # worth a note
    run("collect")
    whole = summary(project)
    assert run("retrieve").exit_code == 0
    for step in ("verify", "combine", "combine", "report"):
        assert run(step, source=None).exit_code == 1
    assert summary(project) == whole
    assert whole["notes"]


def test_a_step_taken_again_forgets_what_it_did_before(run: Run, volume: Path, project: Project) -> None:
    recording = record(volume)
    run("collect")
    output = project.root / "build/coverage"
    next((output / "raw").rglob("journal-0")).write_bytes(b"")
    assert run("combine", source=None).exit_code == 1
    assert not (output / f"data/.coverage.{recording.name}").exists()
    assert not (output / "summary.json").exists()


@pytest.mark.parametrize("branch", [False, True])
def test_nothing_sound_is_a_report_of_nothing_run(run: Run, volume: Path, project: Project, *, branch: bool) -> None:
    project.write({".coveragerc": f"[run]\nsource = shop\nbranch = {branch}\n"})
    record(volume).journal.write_bytes(b"")
    assert run("collect").exit_code == 1
    assert summary(project)["totals"]["cluster"] == {"lines": 0, "branches": 0 if branch else None, "percent": 0}
    assert "shop/unused.py" in command("report", "--data-file=build/coverage/.coverage")


@pytest.mark.parametrize(("step", "advice"), [("verify", "retrieve"), ("combine", "retrieve"), ("report", "retrieve")])
def test_a_step_too_early_says_what_comes_first(run: Run, step: str, advice: str) -> None:
    result = run(step, source=None)
    assert result.exit_code == 2
    assert f"run `coverage-hooks {advice}` first" in result.output


def test_a_checkout_of_another_user_is_told_with_what_git_advises(
    run: Run, volume: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own way to be tested without a second user
    record(volume)
    assert run("collect").exit_code == 0
    (note,) = [text for text in summary(project)["notes"] if text.startswith("not compared with git")]
    assert "detected dubious ownership" in note
    assert f"git config --global --add safe.directory {project.root}" in note


def test_the_source_is_let_go_of_before_anything_is_combined(volume: Path, project: Project) -> None:
    class Watched(Directory):
        found: list[str] | None = None

        def close(self) -> None:
            self.found = sorted(path.name for path in output.iterdir())

    output = project.root / "build/coverage"
    record(volume)
    source = Watched(volume)
    pipeline.collect(source, output, Request(), Configuration(None, project.root), Inputs())
    assert source.found == ["ledger.json", "raw"]
    assert (output / "summary.json").is_file()
