"""Source files are parsed once for all reports, and the reports are those that coverage.py makes of each by itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest
from coverage import lcovreport, results
from coverage.parser import PythonParser
from coverage.python import PythonFileReporter

from coverage_hooks.collect import outputs, parsed
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.parsed import Parsed
from coverage_hooks.collect.reporting.analysis import report
from tests.unit.collect.building import Project
from tests.unit.collect.test_worlds import CLUSTER, SHAPES, UNIT, prepare

WORLDS = {outputs.UNIT: UNIT, outputs.CLUSTER: CLUSTER}

#: What differs between any two reports, beside the hash of an HTML page's settings.
MOMENT = re.compile(rb'created at [^<\n]*|timestamp="\d+"')

Patch = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def _tried_anew() -> Iterator[None]:
    parsed.can_share.cache_clear()
    yield
    parsed.can_share.cache_clear()


def made(project: Project, output: Path) -> dict[str, bytes]:
    """Make every report of what was combined in *output*, and return it, without the moment it was made at."""
    before = {path for path in output.rglob("*") if path.is_file()}
    report(output, Configuration(None, project.root), xml_per_world=True)
    paths = [path for path in output.rglob("*") if path.is_file() and path not in before]
    found = {str(path.relative_to(output)): MOMENT.sub(b"", path.read_bytes()) for path in paths}
    for path in paths:
        path.unlink()
    return found


def counting(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], Counter[str]]:
    """Return how often coverage.py parses and analyses which file of the checkout from now on."""
    parses, analyses = Counter[str](), Counter[str]()
    parse, analyse = PythonParser.parse_source, results.analysis_from_file_reporter

    def counted_parse(self: PythonParser) -> None:
        parses[Path(self.filename).name] += 1
        parse(self)

    def counted_analyse(data: Any, precision: int, reporter: Any, filename: str) -> Any:
        analyses[Path(filename).name] += isinstance(reporter, PythonFileReporter)  # others look into no file
        return analyse(data, precision, reporter, filename)

    monkeypatch.setattr(PythonParser, "parse_source", counted_parse)
    monkeypatch.setattr("coverage.control.analysis_from_file_reporter", counted_analyse)
    return parses, analyses


def test_trying_it_makes_no_file_that_a_kill_would_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    assert parsed.can_share()


@pytest.mark.parametrize("settings", ["", "branch = True\n", "branch = True\nomit = */unused.py\n"])
def test_each_file_is_parsed_once_and_analysed_once_for_each_data_file(
    project: Project, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    output = prepare(project, settings=settings, worlds_run=WORLDS)
    assert parsed.can_share()
    parses, analyses = counting(monkeypatch)
    made(project, output)
    names = Counter(Path(name).name for name in SHAPES if "omit" not in settings or "unused" not in name)
    assert parses == names
    assert analyses == names + names + names


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "branch = True\n",
        "relative_files = True\nomit = */unused.py\n",
        "branch = True\n[report]\nexclude_also = item == 2\npartial_branches = while\nomit = */docstring.py\n",
    ],
)
def test_reports_are_those_that_are_made_one_by_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    output = prepare(project, settings=settings, worlds_run=WORLDS)
    shared = made(project, output)
    assert len(shared) > len(SHAPES)
    monkeypatch.setattr(parsed, "can_share", lambda: False)
    parses, _ = counting(monkeypatch)
    assert made(project, output) == shared
    assert parses["branches.py"] == 7 + ("omit = */unused" in settings)


def test_a_file_that_changes_between_two_reports_is_parsed_again(project: Project) -> None:
    output = prepare(project, settings="", worlds_run=WORLDS)
    configuration = Configuration(None, project.root)
    before = configuration.read_world(output / outputs.UNIT)["files"]["shop/multiline.py"]
    project.write({"shop/multiline.py": "TABLE = 1\n" + SHAPES["shop/multiline.py"]})
    after = configuration.read_world(output / outputs.CLUSTER)["files"]["shop/multiline.py"]
    assert after["summary"]["num_statements"] == before["summary"]["num_statements"] + 1


def test_a_file_of_which_other_lines_are_excluded_is_parsed_again(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text("one = 1\ntwo = 2\n")
    shared = Parsed()
    for pattern, line in (("one", 1), ("two", 2)):
        asking = shared.sharing(data_file=None, config_file=False)
        asking.exclude(pattern)
        assert asking.analysis2(str(path))[2] == [line]
        asking.get_data().close(force=True)
    assert len(shared) == 1


def _asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    get = coverage.Coverage._get_file_reporter
    monkeypatch.setattr(
        coverage.Coverage, "_get_file_reporters", lambda self, morfs: [(get(self, morf), morf) for morf in morfs]
    )


def _asks_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    get = coverage.Coverage._get_file_reporter
    monkeypatch.setattr(coverage.Coverage, "_get_file_reporter", lambda self, morf, _more: get(self, morf))
    monkeypatch.setattr(
        coverage.Coverage,
        "_get_file_reporters",
        lambda self, morfs: [(self._get_file_reporter(morf, "more"), morf) for morf in morfs],
    )


def _uses_up(monkeypatch: pytest.MonkeyPatch) -> None:
    write = lcovreport.lcov_functions

    def write_and_clear(reporter: Any, *rest: Any) -> None:
        write(reporter, *rest)
        reporter.code_regions().clear()

    monkeypatch.setattr(lcovreport, "lcov_functions", write_and_clear)


@pytest.mark.parametrize("patch", [_asks_nobody, _asks_otherwise, _uses_up])
def test_a_coverage_that_cannot_share_reports_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch, patch: Patch
) -> None:
    output = prepare(project, settings="branch = True\nomit = */unused.py\n", worlds_run=WORLDS)
    shared = made(project, output)
    parsed.can_share.cache_clear()
    patch(monkeypatch)
    assert not parsed.can_share()
    parses, _ = counting(monkeypatch)
    assert made(project, output) == shared
    assert parses["branches.py"] > 1


def test_what_does_not_parse_is_told_by_the_setting_that_leaves_it_out(project: Project) -> None:
    settings = "omit = */unused.py\n[report]\nignore_errors = True\n"
    output = prepare(project, settings=settings, worlds_run=WORLDS)
    project.write({"shop/broken.py": "def (:\n"})
    with pytest.warns(coverage.exceptions.CoverageWarning, match="broken"):
        done = report(output, Configuration(None, project.root))
    assert done.omitted == {
        "shop/broken.py": "report:ignore_errors: coverage.py cannot read it",
        "shop/unused.py": "run:omit = */unused.py",
    }
