"""What was measured and coverage.py does not find by itself: it is reported as coverage.py reports it, or named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.collect.building import LINES, SOURCES, Project, data_bytes, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_collect import command, lines_of, summary

#: Files that coverage.py does not find below `shop`, and reports when they were measured.
UNFOUND = {
    "shop/hooks/handlers.py": "x = 1\ndef never():\n    return 2\n",
    "shop/hooks/deep/more.py": "x = 1\n",
    "shop/handlers.v1.py": "x = 1\nif x > 2:\n    x = 3\n",
    "shop/bin/operator": "import sys\nif len(sys.path) > 10000:\n    x = 1\n",
}
RAN: dict[str, set[int]] = {
    "shop/hooks/handlers.py": {1, 2},
    "shop/hooks/deep/more.py": {1},
    "shop/handlers.v1.py": {1, 2},
    "shop/bin/operator": {1, 2},
}
WORLDS = ("unit.coverage", "cluster.coverage", ".coverage")


def plain(project: Project, data_file: str) -> dict[str, Any]:
    """Return coverage.py's own report of a data file."""
    document: dict[str, Any] = json.loads(command("json", f"--data-file={data_file}", "-q", "-o", "-"))
    return document


def percents(project: Project, world: str) -> dict[str, float]:
    return {name: worlds[world]["percent"] for name, worlds in summary(project)["files"].items()}


@pytest.mark.parametrize("name", UNFOUND)
def test_a_measured_file_is_reported_as_coverage_reports_it(
    run: Run, volume: Path, project: Project, name: str
) -> None:
    project.write(UNFOUND)
    project.commit()
    record(volume, measured={**LINES, name: RAN[name]}, sources=UNFOUND)
    assert run("collect").exit_code == 0
    found = plain(project, "build/coverage/cluster.coverage")
    assert set(summary(project)["files"]) == {*SOURCES, name} == set(found["files"])
    assert summary(project)["totals"]["cluster"]["percent"] == found["totals"]["percent_covered"]
    assert percents(project, "cluster") == {
        each: of["summary"]["percent_covered"] for each, of in found["files"].items()
    }
    assert summary(project)["files"][name]["cluster"]["lines"] > 0


def test_unit_data_has_its_say(run: Run, volume: Path, project: Project) -> None:
    project.write(UNFOUND)
    project.write({"test_unit.py": "import shop.hooks.handlers\n"})
    project.commit()
    record(volume)
    command("run", "--data-file=unit", "test_unit.py")
    result = run("collect", "--unit", "unit")
    assert result.exit_code == 0
    # The worlds are reported over one list, so the cluster has the file, too.
    expected = {*SOURCES, "shop/hooks/handlers.py"}
    for name in WORLDS:
        assert set(lines_of(project.root / "build/coverage" / name)) == {str(project.root / each) for each in expected}
    assert summary(project)["totals"]["unit"]["percent"] == plain(project, "unit")["totals"]["percent_covered"]
    assert summary(project)["files"]["shop/hooks/handlers.py"]["cluster"]["lines"] == 0
    assert percents(project, "combined")["shop/hooks/handlers.py"] == pytest.approx(200 / 3)


def test_a_later_report_has_the_same_list(run: Run, volume: Path, project: Project) -> None:
    project.write(UNFOUND)
    project.commit()
    record(volume, host="a", measured={"shop/cart.py": {1}}, sources=UNFOUND)
    record(volume, host="b", measured=RAN, sources=UNFOUND)
    assert run("collect").exit_code == 0
    before = summary(project)
    assert set(before["files"]) == {*SOURCES, *UNFOUND}
    assert run("report", source=None).exit_code == 0
    assert summary(project)["files"] == before["files"]
    assert summary(project)["totals"] == before["totals"]
    command("combine", "--keep", "build/coverage/data")
    assert lines_of(project.root / ".coverage") == lines_of(project.root / "build/coverage/cluster.coverage")


def test_a_later_report_tells_what_is_omitted_since(run: Run, volume: Path, project: Project) -> None:
    project.write(UNFOUND)
    project.commit()
    record(volume, measured={**LINES, **RAN}, sources=UNFOUND)
    assert run("collect").exit_code == 0
    project.write({".coveragerc": "[run]\nsource = shop\nomit = */hooks/*\n"})
    assert run("report", source=None).exit_code == 0
    assert "shop/hooks/handlers.py" not in summary(project)["files"]
    assert "shop/hooks/handlers.py" in json.dumps(summary(project)["omitted"])


def test_a_package_of_such_folders_alone_is_reported(run: Run, volume: Path, project: Project) -> None:
    project.write({".coveragerc": "[run]\nsource = operator\n", "operator/parts/one.py": "x = 1\n"})
    project.commit()
    record(volume, measured={"operator/parts/one.py": {1}}, sources={"operator/parts/one.py": "x = 1\n"})
    assert run("collect").exit_code == 0
    assert percents(project, "cluster") == {"operator/parts/one.py": 100}


def test_what_is_omitted_here_is_left_out_with_a_note(run: Run, volume: Path, project: Project) -> None:
    project.write(UNFOUND)
    project.write({".coveragerc": "[run]\nsource = shop\nomit = */hooks/*, */parts/__init__.py\n"})
    project.commit()
    first = record(volume, host="a", measured={**LINES, **RAN}, sources=UNFOUND)
    record(volume, host="b", measured={**RAN, "shop/parts/__init__.py": {0}}, sources=UNFOUND)
    result = run("collect")
    assert result.exit_code == 0
    assert f"/app/shop/hooks/handlers.py of {first.name} and 1 more is" in " ".join(result.output.split())
    for name in ("shop/hooks/handlers.py", "shop/hooks/deep/more.py", "shop/parts/__init__.py"):
        assert f"is {name}: not selected here, left out" in " ".join(result.output.split())
        assert name not in summary(project)["files"]


def test_a_twin_of_what_is_not_selected_gets_none_of_its_lines(run: Run, volume: Path, project: Project) -> None:
    twins = {"shop/same.py": "x = 1\n", "tools/shop/hooks/same.py": "x = 1\n"}
    project.write(twins)
    project.commit()
    record(volume, measured={"tools/shop/hooks/same.py": {1}}, sources=twins)
    result = run("collect")
    assert result.exit_code == 0
    assert "is tools/shop/hooks/same.py: not selected here, left out" in " ".join(result.output.split())
    assert percents(project, "cluster")["shop/same.py"] == 0


def test_one_that_fits_two_folders_equally_is_refused(run: Run, volume: Path, project: Project) -> None:
    ours = {"shop/a/own.py": "a = 1\n", "shop/b/own_too.py": "b = 1\n"}
    project.write({**ours, "shop/a/same.py": "x = 1\n", "shop/b/same.py": "x = 1\n"})
    project.commit()
    sources = {"own.py": "a = 1\n", "own_too.py": "b = 1\n", "same.py": "x = 1\n"}
    record(volume, measured={name: {1} for name in sources}, sources=sources)
    result = run("collect")
    assert result.exit_code == 1
    assert "have the same content and fit equally; name the right one in `[paths]`" in " ".join(result.output.split())
    assert {name: percents(project, "cluster")[name] for name in ours} == dict.fromkeys(ours, 100)
    assert not {"shop/a/same.py", "shop/b/same.py"} & {n for n, p in percents(project, "cluster").items() if p}


def test_of_equal_ones_only_what_was_measured_is_added(run: Run, volume: Path, project: Project) -> None:
    twins = {"shop/a/same.py": "x = 1\n", "shop/b/same.py": "x = 1\n"}
    project.write(twins)
    project.write({".coveragerc": "[run]\nsource = shop\n[paths]\nall =\n    shop/b\n    /app/other\n"})
    project.commit()
    record(volume, measured={"other/same.py": {1}}, sources={"other/same.py": "x = 1\n"})
    assert run("collect").exit_code == 0
    assert set(summary(project)["files"]) == {*SOURCES, "shop/b/same.py"}


@pytest.mark.parametrize("name", ["shop/hooks/handlers.py", "shop/bin/operator"])
def test_one_that_differs_may_be_allowed_by_its_name_here(run: Run, volume: Path, project: Project, name: str) -> None:
    project.write(UNFOUND)
    project.commit()
    record(volume, measured={**LINES, name: {1}}, sources={name: "x = 2\n"})
    result = run("collect")
    assert result.exit_code == 1
    assert f"/app/{name}: differs from {name}" in " ".join(result.output.split())
    assert run("collect", "--allow-mismatch", name).exit_code == 0


def test_of_two_that_it_may_have_been_each_name_allows_it(run: Run, volume: Path, project: Project) -> None:
    project.write({"shop/a/same.py": "x = 1\n", "shop/b/same.py": "x = 1\n"})
    project.commit()
    record(volume, measured={**LINES, "other/same.py": {1}}, sources={"other/same.py": "x = 2\n"})
    assert run("collect").exit_code == 1
    for name in ("shop/a/same.py", "shop/b/same.py"):
        assert run("collect", "--allow-mismatch", name).exit_code == 0


def test_a_template_that_was_measured_as_python_is_left_out_as_coverage_does(
    run: Run, volume: Path, project: Project
) -> None:
    """Without a plugin the code that Jinja makes of a template has the template's name."""
    page = {"shop/templates/page.html": "<p>\n{{ x }}\n</p>\n"}
    project.write(page)
    project.commit()
    record(volume, measured={**LINES, "shop/templates/page.html": {1, 17}}, sources=page)
    (project.root / "unit").write_bytes(data_bytes({str(project.root / name): {1} for name in (*LINES, *page)}))
    result = run("collect", "--unit", "unit")
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "is shop/templates/page.html: no Python, and coverage.py leaves it out of reports, left out" in said
    assert "1 file of unit data 'unit': no Python, and coverage.py leaves it out of reports, left out: " in said
    assert set(summary(project)["files"]) == set(SOURCES) == set(plain(project, "unit")["files"]) | {"shop/unused.py"}
