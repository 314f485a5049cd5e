"""What a change gained or lost against an earlier summary, and which files are no summary."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect.reporting import compare, tables
from coverage_hooks.collect.reporting.analysis import Report, World
from coverage_hooks.collect.reporting.compare import Change
from coverage_hooks.collect.reporting.worlds import Compared, Split
from coverage_hooks.errors import UsageError
from tests.unit.collect.building import LINES, STARTED, Project, record
from tests.unit.collect.conftest import Run


def world(percent: float, *, lines: float | None = None, branches: float | None = None) -> World:
    return World(lines=percent if lines is None else lines, branches=branches, percent=percent)


def report(files: dict[str, World], total: World) -> Report:
    return Report(
        totals={"unit": None, "cluster": total, "combined": total},
        files={name: {"unit": None, "cluster": each, "combined": each} for name, each in files.items()},
        compared={name: Compared(lines=Split.of([], set(), set()), branches=None, excluded=[]) for name in files},
        paths={},
        omitted={},
        excluded_lines=0,
    )


def saved(folder: Path, files: dict[str, World], total: World, **changes: Any) -> Path:
    """Write what an earlier collect of *files* left."""
    path = folder / "before.json"
    document = {"format": 1, "run": "r1", **tables.report_document(report(files, total)), **changes}
    path.write_text(json.dumps(document))
    return path


def test_what_was_gained_and_lost_is_told_by_file_and_world(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    assert run("collect").exit_code == 0
    before = project.root / "build/coverage/summary.json"
    more = {**LINES, "shop/parts/till.py": {1, 2}, "shop/cart.py": {1, 7}}
    record(volume, run="run-2", started_at=STARTED + timedelta(hours=1), measured=more)
    # The very file that this collect is going to replace.
    result = run("collect", "--compare", before)
    assert result.exit_code == 0
    assert "changed since run run-1, in percentage points" in result.output
    rows = [line.split() for line in result.output.partition("changed since")[2].splitlines()[2:]]
    assert rows == [
        ["shop/cart.py", "-", "-50.0", "-50.0"],
        ["shop/parts/till.py", "-", "+50.0", "+50.0"],
        ["TOTAL", "-", "-20.0", "-20.0"],
    ]
    document = json.loads(before.read_text())
    assert document["run"] == "run-2"
    assert set(document["compared"]["files"]) == {"shop/cart.py", "shop/parts/till.py"}
    assert document["compared"]["totals"]["cluster"] == {
        "before": {"lines": 60, "branches": None, "percent": 60},
        "after": {"lines": 40, "branches": None, "percent": 40},
        "change": -20,
    }
    text = (project.root / "build/coverage/summary.md").read_text()
    assert "## Files changed since run run\\-1" in text or "## Files changed since run run-1" in text
    assert "| shop/cart.py | - | -50.0 | -50.0 |" in text.replace("\\", "")
    assert "changed since run run-1" in (project.root / "build/coverage/worlds.html").read_text()


def test_without_another_summary_nothing_is_compared(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    result = run("collect")
    assert "changed since" not in result.output
    assert json.loads((project.root / "build/coverage/summary.json").read_text())["compared"] is None


def test_added_and_removed_files_are_not_guessed_to_be_one(tmp_path: Path) -> None:
    before = compare.read(saved(tmp_path, {"a.py": world(50), "old.py": world(80)}, world(60)))
    found = compare.compare(before, report({"a.py": world(50), "new.py": world(80)}, world(60)))
    assert list(found.files) == []
    assert (list(found.added), list(found.removed)) == (["new.py"], ["old.py"])
    assert list(tables.change_rows(found)) == [
        ("new.py (added)", "-", "80.0 %", "80.0 %"),
        ("old.py (removed)", "-", "80.0 %", "80.0 %"),
        ("TOTAL", "-", "=", "="),
    ]


def test_lines_are_compared_when_only_one_has_branches(tmp_path: Path) -> None:
    before = compare.read(saved(tmp_path, {"a.py": world(60)}, world(60)))
    now = world(50, lines=65, branches=20)
    found = compare.compare(before, report({"a.py": now}, now))
    assert found.part == "lines"
    assert found.files["a.py"]["cluster"].points(found.part) == 5
    assert "of lines, as only one of the two measured branches" in tables.change_title(found)


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (world(50), world(52.04), "+2.0"),
        (world(50), world(50.001), "+<0.1"),
        (world(50), world(49.999), "-<0.1"),
        (world(50), world(50), "="),
        (None, world(50), "now 50.0 %"),
        (world(50), None, "not measured now"),
        (None, None, "-"),
    ],
)
def test_a_change_is_never_shown_as_none(before: World | None, after: World | None, shown: str) -> None:
    assert tables.points(Change(before=before, after=after), "percent") == shown


def test_an_absent_summary_is_wrong_use(run: Run, volume: Path, tmp_path: Path) -> None:
    record(volume)
    result = run("collect", "--compare", tmp_path / "absent.json")
    assert result.exit_code == 2
    assert "cannot be read: No such file or directory" in result.output


HALF = {"lines": 50, "branches": None, "percent": 50}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "Expecting value"),
        ("\xff", "codec"),
        ("[" * 100_000, "depth|recursion|overflow"),
        ("[]", "the document is not an object"),
        ("{}", "expected format 1, found None"),
        ('{"format": 2}', "expected format 1, found 2"),
        ('{"format": 1}', "totals is not an object"),
        (json.dumps({"meta": {"format": 3}, "files": {}}), "expected format 1"),  # coverage.py's own
        (json.dumps({"format": 1, "totals": {"unit": HALF}, "files": []}), "files is not an object"),
        (json.dumps({"format": 1, "totals": {}, "files": {"a\x1b": 1}}), r"files\['a\\x1b'\] is not an object"),
        (
            json.dumps({"format": 1, "totals": {"unit": {**HALF, "lines": "x"}}, "files": {}}),
            "totals.unit.lines is 'x'",
        ),
        ('{"format": 1, "totals": {"unit": {"lines": NaN}}, "files": {}}', "totals.unit.lines is nan"),
        (json.dumps({"format": 1, "totals": {"unit": {**HALF, "percent": 101}}, "files": {}}), "expected 0 to 100"),
        (json.dumps({"format": 1, "totals": {"unit": {**HALF, "percent": True}}, "files": {}}), "expected 0 to 100"),
    ],
)
def test_a_foreign_file_is_refused_with_the_reason(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=why):
        compare.read(path)


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_LARGEST", 1 << 20)
    path = tmp_path / "other.json"
    path.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        compare.read(path)
