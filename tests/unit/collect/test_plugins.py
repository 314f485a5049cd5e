"""Plugins of coverage.py: what one measures is reported as coverage.py does, and the settings that one makes count."""

from __future__ import annotations

import json
import sqlite3
import sys
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path

import coverage
import pytest

from tests.unit.collect.building import LINES, SOURCES, Project, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_collect import command, lines_of, make_unit, summary

#: Measures templates, of which each line is one statement.
TEMPLATES = """\
import pathlib

import coverage


class Template(coverage.FileReporter):
    def lines(self):
        return {number for number, line in enumerate(self.source().splitlines(), 1) if line.strip()}


class Templates(coverage.CoveragePlugin):
    def file_reporter(self, filename):
        return Template(filename)

    def find_executable_files(self, src_dir):
        return [str(path) for path in pathlib.Path(src_dir).rglob("*.html")]


def coverage_init(registry, options):
    registry.add_file_tracer(Templates())
"""

#: Sets options as covdefaults does.
DEFAULTS = """\
import coverage


class Defaults(coverage.CoveragePlugin):
    def configure(self, config):
        config.set_option("run:source", ["shop"])
        config.set_option("run:branch", True)
        config.set_option("run:omit", ["*/unused.py"])
        config.set_option("report:exclude_lines", ["def clear"])
        config.set_option("report:contexts", ["none of these"])


def coverage_init(registry, options):
    registry.add_configurer(Defaults())
"""

PAGES = {"shop/templates/page.html": "<p>\n{{ x }}\n\n</p>\n", "shop/templates/other.html": "<b>\n</b>\n"}
PAGE = "shop/templates/page.html"

Install = Callable[..., str]


@pytest.fixture
def install(project: Project, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a plugin into the checkout, where coverage.py finds it, too, and name it in the configuration."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def put(source: str, settings: str = "source = shop\n") -> str:
        name = f"plugin_{uuid.uuid4().hex}"
        project.write({f"{name}.py": source, ".coveragerc": f"[run]\n{settings}plugins = {name}\n"})
        project.commit()
        return name

    return put


def unit(project: Project, measured: Mapping[str, Collection[int]], tracers: Mapping[str, str]) -> Path:
    """Make unit data as coverage.py does, which names what *tracers* would have measured, too."""
    path = project.root / "unit"
    data = coverage.CoverageData(str(path))
    data.add_lines({str(project.root / name): lines for name, lines in measured.items()})
    for name, tracer in tracers.items():
        data.touch_file(str(project.root / name), tracer)
    data.write()
    data.close(force=True)
    return path


@pytest.mark.parametrize("settings", ["", "relative_files = True\n"])
def test_what_a_plugin_measured_is_reported_as_coverage_does(
    run: Run, volume: Path, project: Project, install: Install, settings: str
) -> None:
    project.write(PAGES)
    tracer = f"{install(TEMPLATES, f'source = shop{chr(10)}{settings}')}.Templates"
    other = record(volume, host="b", measured={"shop/cart.py": {1}})
    traced = record(volume, measured={**LINES, PAGE: {1, 2}}, sources=PAGES, tracers={PAGE: tracer})
    assert run("collect", "--xml-per-world").exit_code == 0
    output = project.root / "build/coverage"
    found = json.loads(command("json", f"--data-file={output}/cluster.coverage", "-q", "-o", "-"))
    assert set(summary(project)["files"]) == {*SOURCES, *PAGES} == set(found["files"])
    assert summary(project)["files"]["shop/templates/other.html"]["cluster"]["lines"] == 0
    assert summary(project)["files"][PAGE]["cluster"]["lines"] == pytest.approx(200 / 3)
    assert summary(project)["totals"]["cluster"]["percent"] == found["totals"]["percent_covered"]
    before = summary(project)["files"]
    assert run("report", source=None).exit_code == 0
    assert summary(project)["files"] == before
    command("combine", "--keep", "build/coverage/data")
    assert lines_of(project.root / ".coverage") == lines_of(output / "cluster.coverage")
    for name in (other.name, traced.name):
        with closing(sqlite3.connect(output / f"data/.coverage.{name}")) as connection:
            assert connection.execute("SELECT count(*) FROM tracer").fetchone() == (len(PAGES),)
    assert {other.name, traced.name} == {path.name.removeprefix(".coverage.") for path in (output / "data").iterdir()}


def test_pages_of_an_earlier_report_are_no_templates(
    run: Run, volume: Path, project: Project, install: Install
) -> None:
    project.write(PAGES)
    tracer = f"{install(TEMPLATES, 'source = .' + chr(10))}.Templates"
    record(volume, measured={**LINES, PAGE: {1, 2}}, sources=PAGES, tracers={PAGE: tracer})
    assert run("collect").exit_code == 0
    before = set(summary(project)["files"])
    assert set(PAGES) <= before
    assert not summary(project)["omitted"]
    assert run("report", source=None).exit_code == 0
    assert set(summary(project)["files"]) == before
    assert not summary(project)["omitted"]
    assert run("combine", source=None).exit_code == 0
    assert run("report", source=None).exit_code == 0
    assert set(summary(project)["files"]) == before


def test_branches_may_lead_to_lines_of_what_renders_a_template(
    run: Run, volume: Path, project: Project, install: Install
) -> None:
    """As with Django's: where it is entered and left is a line of Django's own."""
    project.write(PAGES)
    tracer = f"{install(TEMPLATES)}.Templates"
    arcs = {"shop/cart.py": {(-1, 1), (1, 7), (7, -1)}, PAGE: {(-1075, 1), (1, 2), (2, -971), (-40, -40)}}
    record(volume, measured=arcs, branch=True, sources=PAGES, tracers={PAGE: tracer})
    assert run("collect").exit_code == 0
    assert summary(project)["files"][PAGE]["cluster"]["lines"] == pytest.approx(200 / 3)


def test_lines_beyond_a_template_are_damage(run: Run, volume: Path, project: Project, install: Install) -> None:
    project.write(PAGES)
    tracer = f"{install(TEMPLATES)}.Templates"
    arcs = {"shop/cart.py": {(-1, 1), (1, 7), (7, -1)}, PAGE: {(-1075, 1), (1, 5), (5, -971)}}
    record(volume, measured=arcs, branch=True, sources=PAGES, tracers={PAGE: tracer})
    result = run("collect")
    assert result.exit_code == 1
    assert f"/app/{PAGE}: damaged: line 5 of a file with 4 lines" in " ".join(result.output.split())


def test_unit_tests_and_cluster_meet_in_a_template(run: Run, volume: Path, project: Project, install: Install) -> None:
    project.write(PAGES)
    tracer = f"{install(TEMPLATES)}.Templates"
    record(volume, measured={**LINES, PAGE: {1, 2}}, sources=PAGES, tracers={PAGE: tracer})
    data = unit(project, {"shop/cart.py": {1, 8}, PAGE: {4}}, dict.fromkeys(PAGES, tracer))
    assert run("collect", "--unit", data).exit_code == 0
    files = summary(project)["files"]
    assert set(files) == {*SOURCES, *PAGES}
    assert [files[PAGE][world]["lines"] for world in ("unit", "cluster", "combined")] == [
        pytest.approx(100 / 3), pytest.approx(200 / 3), 100,
    ]  # fmt: skip
    assert files["shop/templates/other.html"]["combined"]["lines"] == 0
    found = json.loads(command("json", f"--data-file={data}", "-q", "-o", "-"))
    assert found["files"][PAGE]["summary"]["percent_covered"] == files[PAGE]["unit"]["percent"]


def test_a_template_that_differs_may_be_allowed_by_its_name_here(
    run: Run, volume: Path, project: Project, install: Install
) -> None:
    project.write(PAGES)
    tracer = f"{install(TEMPLATES)}.Templates"
    record(volume, measured={**LINES, PAGE: {1}}, sources={PAGE: "<p>"}, tracers={PAGE: tracer})
    result = run("collect")
    assert result.exit_code == 1
    assert f"/app/{PAGE}: differs from {PAGE}" in " ".join(result.output.split())
    assert run("collect", "--allow-mismatch", PAGE).exit_code == 0


def test_a_template_outside_of_the_sources_is_left_out_with_a_note(
    run: Run, volume: Path, project: Project, install: Install
) -> None:
    pages = {"pages/page.html": "<p>\n"}
    project.write(pages)
    tracer = f"{install(TEMPLATES)}.Templates"
    record(volume, measured={**LINES, "pages/page.html": {1}}, sources=pages, tracers=dict.fromkeys(pages, tracer))
    result = run("collect")
    assert result.exit_code == 0
    assert "is pages/page.html: not selected here, left out" in " ".join(result.output.split())


def test_what_an_unknown_plugin_measured_is_a_loss_by_name(run: Run, volume: Path, project: Project) -> None:
    project.write(PAGES)
    project.commit()
    recording = record(volume, measured={**LINES, PAGE: {1}}, sources=PAGES, tracers={PAGE: "absent.Templates"})
    result = run("collect")
    assert result.exit_code == 1
    reason = "was measured through the coverage plugin 'absent.Templates', which is not loaded here"
    assert f"LOSS  {recording.name} /app/{PAGE}: {reason}" in " ".join(result.output.split()).replace("LOSS ", "LOSS  ")
    assert summary(project)["totals"]["cluster"]["lines"] == 60
    assert run("collect", "--allow-mismatch", PAGE).exit_code == 0


def test_unit_data_of_an_unknown_plugin_is_wrong_use(run: Run, volume: Path, project: Project) -> None:
    project.write(PAGES)
    record(volume)
    data = unit(project, {"shop/cart.py": {1}}, {PAGE: "absent.Templates"})
    result = run("collect", "--unit", data)
    assert result.exit_code == 2
    assert "page.html' was measured through the coverage plugin 'absent.Templates'" in result.output


def test_templates_are_omitted_as_modules_are(run: Run, volume: Path, project: Project, install: Install) -> None:
    project.write(PAGES)
    tracer = f"{install(TEMPLATES, 'source = shop' + chr(10) + 'omit = */page.html' + chr(10))}.Templates"
    record(volume, measured={**LINES, PAGE: {1}}, sources=PAGES, tracers={PAGE: tracer})
    result = run("collect")
    assert result.exit_code == 0
    assert f"is {PAGE}: not selected here, left out" in " ".join(result.output.split())
    assert set(summary(project)["files"]) == {*SOURCES, "shop/templates/other.html"}
    assert PAGE in json.dumps(summary(project)["omitted"])


def test_one_file_with_and_without_a_plugin_is_a_loss(
    run: Run, volume: Path, project: Project, install: Install
) -> None:
    """As coverage.py refuses to combine the two; this template happens to be Python as well, and a plugin is here."""
    page = {PAGE: "x\n"}
    project.write(page)
    tracer = f"{install(TEMPLATES)}.Templates"
    recording = record(volume, host="a", measured={**LINES, PAGE: {1}}, sources=page)
    record(volume, host="b", measured={**LINES, PAGE: {1}}, sources=page, tracers={PAGE: tracer})
    result = run("collect")
    assert result.exit_code == 1
    assert f"{recording.name} /app/{PAGE}: was measured through different plugins" in " ".join(result.output.split())


@pytest.mark.parametrize("what", ["absent", "broken"])
def test_a_plugin_that_cannot_be_imported_is_wrong_use(
    run: Run, volume: Path, project: Project, install: Install, what: str
) -> None:
    name = install("import nowhere_to_be_found\n")
    project.write({".coveragerc": f"[run]\nsource = shop\nplugins = {name if what == 'broken' else 'absent_plugin'}\n"})
    record(volume)
    result = run("collect")
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert f"No module named {'nowhere_to_be_found' if what == 'broken' else 'absent_plugin'!r}" in said
    assert "install it where the report is made, too" in said


def test_a_module_that_is_no_plugin_is_wrong_use(run: Run, volume: Path, project: Project, install: Install) -> None:
    name = install("")
    record(volume)
    result = run("collect")
    assert result.exit_code == 2
    assert f"Plugin module '{name}' didn't define a coverage_init function" in " ".join(result.output.split())


def test_settings_that_a_plugin_makes_count(run: Run, volume: Path, project: Project, install: Install) -> None:
    install(DEFAULTS, "")
    arcs = {"shop/cart.py": {(-1, 1), (1, 7), (7, -1), (-1, 2), (2, 3), (3, 4), (4, -1)}}
    record(volume, measured=arcs, branch=True)
    data = make_unit(project)
    result = run("collect", "--unit", data)
    assert result.exit_code == 0
    assert "unused.py" in json.dumps(summary(project)["omitted"])
    assert set(summary(project)["files"]) == set(SOURCES) - {"shop/unused.py"}
    found = json.loads(command("json", f"--data-file={data}", "-q", "-o", "-", "--contexts=.*"))
    assert (
        summary(project)["files"]["shop/cart.py"]["unit"]["percent"]
        == (found["files"]["shop/cart.py"]["summary"]["percent_covered"])
    )
    assert summary(project)["excluded_lines"] == 2
    assert summary(project)["totals"]["cluster"]["branches"] == 50
