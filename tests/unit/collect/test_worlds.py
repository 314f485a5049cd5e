"""Which world ran what: the four kinds agree with coverage.py's own counts, for lines and for branches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import coverage
import pytest

from coverage_hooks.collect import outputs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.reporting import analysis, tables, worlds
from coverage_hooks.collect.reporting.analysis import Report, World, report
from coverage_hooks.collect.reporting.thresholds import Threshold, shortfalls
from coverage_hooks.collect.reporting.worlds import KINDS, Compared, Split
from coverage_hooks.collect.text import ranges
from coverage_hooks.errors import CoverageHooksError, UsageError
from tests.unit.collect.building import Project, record
from tests.unit.collect.conftest import Run

#: Every shape of source that coverage.py treats in a way of its own.
SHAPES = {
    "shop/__init__.py": "",
    "shop/comments.py": "# nothing but words\n\n\n",
    "shop/docstring.py": '"""Only this."""\n',
    "shop/branches.py": (
        "def walk(items, deep=False):\n"
        "    found = []\n"
        "    for item in items:\n"
        "        if item > 2 and deep:\n"
        "            found.append(item)\n"
        "        elif item < 0:\n"
        "            continue\n"
        "        else:\n"
        "            found.append(-item)\n"
        "    while found and found[-1] == 0:\n"
        "        found.pop()\n"
        "    return found\n"
    ),
    "shop/excluded.py": (
        "def debug():  # pragma: no cover\n"
        "    return 1\n"
        "\n"
        "def real(flag):\n"
        "    if flag:  # pragma: no cover\n"
        "        return 2\n"
        "    if not flag:  # pragma: no branch\n"
        "        return 3\n"
    ),
    "shop/multiline.py": (
        "def call(a, b):\n"
        "    return dict(\n"
        "        a=a,\n"
        "        b=[\n"
        "            each for each in b\n"
        "            if each\n"
        "        ],\n"
        "    )\n"
        "TABLE = {\n"
        "    'x': 1,\n"
        "    'y': 2,\n"
        "}\n"
    ),
    "shop/decorated.py": (
        "def keep(function):\n"
        "    return function\n"
        "\n"
        "@keep\n"
        "@keep\n"
        "def kept():\n"
        "    try:\n"
        "        return 1 / 0\n"
        "    except ZeroDivisionError:\n"
        "        return 0\n"
        "    finally:\n"
        "        print('done')\n"
    ),
    "shop/generators.py": (
        "async def every(items):\n"
        "    async with items as found:\n"
        "        async for each in found:\n"
        "            yield each\n"
        "def some(kind):\n"
        "    match kind:\n"
        "        case 1:\n"
        "            return [x for x in range(3) if x]\n"
        "        case _:\n"
        "            return lambda: 0\n"
    ),
    "shop/leaving.py": (  # a line with a way into excluded lines, besides others
        "def leave(items):\n"
        "    for item in items:\n"
        "        try:\n"
        "            if item == 1:\n"
        "                break\n"
        "            if item == 2:\n"
        "                return 2\n"
        "        finally:\n"
        "            done = item\n"
        "    print(done)  # pragma: no cover\n"
    ),
    "shop/unused.py": "def nobody():\n    if True:\n        return None\n",
}

UNIT = (
    "import shop.comments, shop.docstring, shop.multiline\n"
    "from shop.branches import walk\nfrom shop.excluded import real\n"
    "from shop.leaving import leave\nleave([2])\nwalk([1, 3])\nreal(False)\nshop.multiline.call(1, [])\n"
)
CLUSTER = (
    "import shop.generators, shop.multiline\n"
    "from shop.branches import walk\nfrom shop.decorated import kept\n"
    "from shop.leaving import leave\nleave([0, 1])\n"
    "walk([3, -1], deep=True)\nwalk([0])\nkept()\nshop.generators.some(1)\nshop.generators.some(2)\n"
)


def coverage_command(*arguments: object) -> str:
    """Run coverage.py's own command line."""
    done = subprocess.run([sys.executable, "-m", "coverage", *map(str, arguments)], check=True, capture_output=True)
    return done.stdout.decode()


def prepare(project: Project, *, settings: str, worlds_run: dict[str, str]) -> Path:
    """Measure programs *worlds_run* by world in the checkout, and return a folder in which they were combined."""
    subprocess.run(["rm", "-rf", str(project.root / "shop")], check=True)
    project.write({**SHAPES, ".coveragerc": f"[run]\nsource = shop\n{settings}"})
    output = project.root / "build/coverage"
    output.mkdir(parents=True)
    for world, program in worlds_run.items():
        project.write({"program.py": program})
        coverage_command("run", f"--data-file={output / world}", "program.py")
    with_data = [str(output / world) for world in worlds_run]
    coverage_command("combine", "--keep", f"--data-file={output / outputs.COMBINED}", *with_data)
    return output


def branches_of(report: dict[str, Any], name: str) -> set[tuple[int, int]]:
    return {(start, end) for start, end in report[name]}


@pytest.mark.parametrize(
    "settings", ["", "branch = True\n", "branch = True\nomit = */unused.py\n", "relative_files = 1\n"]
)
@pytest.mark.parametrize(
    "worlds_run",
    [
        {outputs.UNIT: UNIT, outputs.CLUSTER: CLUSTER},
        {outputs.CLUSTER: CLUSTER},
        {outputs.UNIT: UNIT, outputs.CLUSTER: "import shop\n"},
    ],
    ids=["both", "no unit", "little"],
)
def test_the_kinds_agree_with_what_coverage_counts(project: Project, settings: str, worlds_run: dict[str, str]) -> None:
    output = prepare(project, settings=settings, worlds_run=worlds_run)
    configuration = Configuration(None, project.root)
    done = report(output, configuration)
    names = {"unit": outputs.UNIT, "cluster": outputs.CLUSTER, "combined": outputs.COMBINED}
    for world, name in names.items():
        if not (output / name).is_file():
            assert done.totals[world] is None
            continue
        plain = configuration.read_world(output / name)
        assert set(done.compared) == set(plain["files"])
        found = done.totals[world]
        assert found is not None
        assert found.percent == plain["totals"]["percent_covered"]
        assert found.lines == plain["totals"]["percent_statements_covered"]
        assert found.branches == plain["totals"].get("percent_branches_covered")
        for file, expected in plain["files"].items():
            compared = done.compared[file]
            assert compared.lines.run_by(world) == set(expected["executed_lines"])
            assert set(compared.lines) == {*expected["executed_lines"], *expected["missing_lines"]}
            assert compared.excluded == expected["excluded_lines"]
            if compared.branches is not None:
                taken = compared.branches.run_by(world)
                assert set(compared.branches) - taken == branches_of(expected, "missing_branches")
                assert len(taken) + compared.assumed == expected["summary"]["covered_branches"]
                assert len(list(compared.branches)) + compared.assumed == expected["summary"]["num_branches"]
            each = done.files[file][world]
            assert each is not None
            assert each.percent == expected["summary"]["percent_covered"]
    assert sum(map(len, (c.excluded for c in done.compared.values()))) == done.excluded_lines > 0


def test_every_line_is_of_one_kind(project: Project) -> None:
    output = prepare(project, settings="branch = True\n", worlds_run={outputs.UNIT: UNIT, outputs.CLUSTER: CLUSTER})
    done = report(output, Configuration(None, project.root))
    for compared in done.compared.values():
        for split in (compared.lines, compared.branches):
            assert split is not None
            every = list(split)
            assert len(every) == len(set(every))
    walked = done.compared["shop/branches.py"]
    assert walked.lines == Split(unit_only=[], cluster_only=[5, 7, 11], both=[1, 2, 3, 4, 6, 9, 10, 12], neither=[])


def test_files_that_are_left_out_are_named_with_the_setting(project: Project) -> None:
    settings = "omit = */unused.py\n[report]\nomit = */docstring.py\n"
    output = prepare(project, settings=settings, worlds_run={outputs.CLUSTER: CLUSTER})
    done = report(output, Configuration(None, project.root))
    assert done.omitted == {
        "shop/docstring.py": "report:omit = */docstring.py",
        "shop/unused.py": "run:omit = */unused.py",
    }


def test_partial_branches_are_counted_by_world() -> None:
    compared = Compared(
        lines=Split.of([1, 2, 3, 4], {1, 2}, {1, 3}),
        branches=Split.of([(1, 2), (1, 3), (4, 1), (4, 2)], {(1, 2)}, {(1, 3)}),
        excluded=[],
    )
    assert compared.partial() == {1: {"unit": (1, 2), "cluster": (1, 2), "combined": (2, 2)}}


def test_a_line_whose_branches_are_all_taken_is_not_partial() -> None:
    branches = Split.of([(1, 2), (1, 3)], {(1, 2), (1, 3)}, {(1, 2), (1, 3)})
    assert Compared(lines=Split.of([1, 2, 3], {1}, {1}), branches=branches, excluded=[]).partial() == {}


@pytest.mark.parametrize(
    ("numbers", "within", "expected"),
    [
        ([], [1, 2], []),
        ([3, 5], [1, 3, 5, 9], ["3-5"]),  # 4 is no statement
        ([3, 5], [1, 3, 4, 5, 9], ["3", "5"]),
        ([1, 2, 9], [1, 2, 5, 9], ["1-2", "9"]),
    ],
)
def test_ranges_skip_what_is_no_code(numbers: list[int], within: list[int], expected: list[str]) -> None:
    assert ranges(numbers, within) == expected


def test_ranges_are_those_of_coverage(project: Project) -> None:
    output = prepare(project, settings="", worlds_run={outputs.CLUSTER: "import shop.branches, shop.excluded\n"})
    done = report(output, Configuration(None, project.root))
    text = coverage_command("report", "-m", f"--data-file={output / outputs.COMBINED}")
    for name, compared in done.compared.items():
        line = next(line for line in text.splitlines() if line.startswith(name))
        missed = ranges(compared.lines.neither, compared.lines)
        assert line.partition("%")[2].strip() == ", ".join(missed)


@pytest.mark.parametrize("changes", [{"missing_lines": [2, 3]}, {"excluded_lines": [3]}])
def test_a_file_that_changed_meanwhile_is_refused(changes: dict[str, Any]) -> None:
    one: dict[str, Any] = {"executed_lines": [1], "missing_lines": [2], "excluded_lines": []}
    with pytest.raises(CoverageHooksError, match="changed while it was being reported"):
        worlds.compare(one, {**one, **changes}, "shop/a.py")


def test_lines_and_branches_have_rows_of_their_own() -> None:
    world = World(lines=60, branches=20, percent=45)
    compared = Compared(lines=Split.of([1], {1}, set()), branches=Split.of([(1, 2)], {(1, 2)}, set()), excluded=[])
    totals: dict[str, World | None] = {"unit": world, "cluster": None, "combined": world}
    made = Report(
        totals=totals, files={"a.py": totals}, compared={"a.py": compared}, paths={}, omitted={}, excluded_lines=0
    )
    shown = {row[0]: row[1:4] for row in tables.world_rows(made)}
    assert shown == {
        "a.py": ("45.0 %", "-", "45.0 %"),
        "all lines": ("60.0 %", "-", "60.0 %"),
        "all branches": ("20.0 %", "-", "20.0 %"),
        "TOTAL": ("45.0 %", "-", "45.0 %"),
    }


def test_one_line_of_a_large_operator_is_a_difference_too() -> None:
    combined = World(lines=50, branches=None, percent=50)
    analysis._check(combined, 50)
    with pytest.raises(CoverageHooksError, match=r"but coverage\.py counts"):
        analysis._check(combined, 50 + 100 / 100_000)


def test_a_union_that_coverage_does_not_count_is_refused(project: Project) -> None:
    output = prepare(project, settings="", worlds_run={outputs.UNIT: UNIT, outputs.CLUSTER: CLUSTER})
    (output / outputs.UNIT).rename(output / outputs.COMBINED)  # not the union, which has more
    (output / outputs.UNIT).write_bytes((output / outputs.COMBINED).read_bytes())
    with pytest.raises(CoverageHooksError, match=r"but coverage\.py counts"):
        report(output, Configuration(None, project.root))


def test_no_data_is_wrong_use(project: Project) -> None:
    with pytest.raises(UsageError, match="run `coverage-hooks combine` first"):
        report(project.root, Configuration(None, project.root))


def test_numbers_are_the_same_on_the_terminal_in_json_and_in_markdown(run: Run, volume: Path, project: Project) -> None:
    project.write({"test_unit.py": "from shop.cart import clear\nclear([])\n"})
    coverage_command("run", "--data-file=.coverage.unit", "test_unit.py")
    record(volume)
    result = run("collect", "--unit", project.root / ".coverage.unit")
    assert result.exit_code == 0
    output = project.root / "build/coverage"
    summary = json.loads((output / "summary.json").read_text())
    # `clear` is unit only; `add` and `pay`'s definition are cluster only; both ran the definitions in `cart`.
    assert summary["worlds"]["lines"] == {"unit_only": 1, "cluster_only": 4, "both": 2, "neither": 3, "excluded": 0}
    assert summary["worlds"]["branches"] is None
    cart = summary["files"]["shop/cart.py"]["worlds"]
    assert [cart["lines"][kind] for kind in KINDS] == [1, 3, 2, 0]
    assert summary["files"]["shop/parts/till.py"]["worlds"]["missed"] == ["2"]
    shown = [line.split() for line in result.output.splitlines() if line.startswith(("shop/cart.py", "TOTAL"))]
    assert [row[-5:] for row in shown] == [["1", "3", "2", "0", "0"], ["1", "4", "2", "3", "0"]]
    assert "| shop/cart.py | 50.0 % | 83.3 % | 100.0 % | 1 | 3 | 2 | 0 | 0 |" in (output / "summary.md").read_text()


def test_the_summary_is_appended_to_the_page_of_a_build(
    run: Run, volume: Path, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    record(volume)
    assert run("collect").exit_code == 0
    path = project.root / "build/coverage/summary.md"
    summary = path.read_text()
    assert page.read_text() == f"before\n{summary}"
    assert run("verify", source=None).exit_code == 0
    assert page.read_text() == f"before\n{summary}"
    assert run("report", source=None).exit_code == 0
    # The second is not the first: to verify again is to forget what combining noted.
    assert page.read_text() == f"before\n{summary}{path.read_text()}"


def test_a_page_without_room_gets_the_totals_or_nothing(
    run: Run, volume: Path, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    record(volume)
    run("collect")
    whole = page.stat().st_size
    page.write_text("x" * ((1 << 20) - whole + 1))
    assert run("report", source=None).exit_code == 0
    assert page.stat().st_size <= 1 << 20
    assert page.read_text().endswith("The list of files is too long for this page: see summary.md.\n")
    page.write_text("x" * (1 << 20))
    assert "has no room for the summary" in run("report", source=None).output
    assert page.read_text() == "x" * (1 << 20)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "absent/page.md"))
    result = run("report", source=None)
    assert result.exit_code == 0
    assert "cannot be written: No such file or directory" in result.output


THRESHOLDS = [
    ("60", "combined.percent"),
    ("combined=60", "combined.percent"),
    ("cluster.lines=60", "cluster.lines"),
]


@pytest.mark.parametrize(("text", "subject"), THRESHOLDS)
def test_a_threshold_is_of_a_world_and_a_part(run: Run, volume: Path, text: str, subject: str) -> None:
    record(volume)
    assert run("collect", "--fail-under", text).exit_code == 0
    over = text.replace("60", "60.01")
    result = run("collect", "--fail-under", over)
    assert result.exit_code == 1
    world, _, part = subject.partition(".")
    name = f"{world} coverage{'' if part == 'percent' else f' of {part}'}"
    assert f"LOSS  {name} is under the 60.01 % of --fail-under by 0.01: it is 60.00 %" in result.output


def test_nothing_is_rounded_up_to_a_threshold() -> None:
    world = World(lines=50, branches=50, percent=200 / 3)
    totals: dict[str, World | None] = {"unit": None, "cluster": world, "combined": world}
    found = Report(totals=totals, files={}, compared={}, paths={}, omitted={}, excluded_lines=0)
    (said,) = shortfalls(found, map(Threshold.parse, ["66.66", "66.67", "cluster.lines=50"]))
    assert said == "combined coverage is under the 66.67 % of --fail-under by 0.01: it is 66.66 %"


def test_every_threshold_is_judged(run: Run, volume: Path) -> None:
    record(volume)
    result = run("collect", "--fail-under", "90", "--fail-under", "unit=1", "--fail-under", "cluster.branches=1")
    assert result.exit_code == 1
    assert "combined coverage is under the 90 % of --fail-under by 30.00" in result.output
    assert "unit coverage is unknown, so it is under the 1 %" in result.output
    assert "give it with --unit" in result.output
    assert "branches were not measured; set `[run] branch`" in result.output


def test_what_is_under_its_threshold_is_in_every_output(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    assert run("collect", "--fail-under", "70", "--allow-missing", "combined").exit_code == 1
    output = project.root / "build/coverage"
    for name in (outputs.LEDGER, outputs.SUMMARY_JSON):
        (loss,) = json.loads((output / name).read_bytes())["losses"]
        assert (loss["kind"], loss["step"], loss["recording"], loss["waived"]) == ("threshold", "report", "", False)
        assert "under the 70 % of --fail-under by 10.00" in loss["reason"]
    markdown = (output / outputs.SUMMARY_MARKDOWN).read_text()
    assert "## Losses: 1 missed threshold\n\n- combined coverage is under" in markdown
    shown = (output / outputs.WORLDS).read_text()
    assert '<a class="state bad" href="#losses">✗ 1 missed threshold</a>' in shown
    assert "combined coverage is under the 70 % of --fail-under by 10.00" in shown
    assert "no losses" not in shown


def test_a_missed_threshold_stands_beside_losses(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    record(volume, host="spoilt").journal.write_bytes(b"")
    thresholds = ("--fail-under", "99", "--fail-under", "unit=1")
    assert run("collect", *thresholds, "--allow-missing", "spoilt").exit_code == 1
    output = project.root / "build/coverage"
    assert "## Losses: 1 loss, and 2 missed thresholds\n" in (output / outputs.SUMMARY_MARKDOWN).read_text()
    assert ">✗ 1 loss, and 2 missed thresholds</a>" in (output / outputs.WORLDS).read_text()
    kinds = [loss["kind"] for loss in json.loads((output / outputs.SUMMARY_JSON).read_bytes())["losses"]]
    assert kinds == ["recording", "threshold", "threshold"]


def test_another_report_forgets_the_thresholds_of_the_one_before(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    run("collect", "--fail-under", "70", "--fail-under", "unit=1")
    output = project.root / "build/coverage"

    def reasons(name: str) -> list[str]:
        return [loss["reason"].partition(" of --")[0] for loss in json.loads((output / name).read_bytes())["losses"]]

    assert run("report", "--fail-under", "80", source=None).exit_code == 1
    for name in (outputs.LEDGER, outputs.SUMMARY_JSON):
        assert reasons(name) == ["combined coverage is under the 80 %"]
    assert run("report", "--fail-under", "60", source=None).exit_code == 0
    for name in (outputs.LEDGER, outputs.SUMMARY_JSON):
        assert reasons(name) == []
    run("report", "--fail-under", "80", source=None)
    assert run("verify", source=None).exit_code == 0


@pytest.mark.parametrize("text", ["pod=80", "unit.arcs=1", "101", "-1", "unit=", "=5", "unit", "nan", "\u0665"])
def test_an_unknown_threshold_is_wrong_use_and_names_the_choices(run: Run, volume: Path, text: str) -> None:
    record(volume)
    result = run("collect", f"--fail-under={text}")
    assert result.exit_code == 2
    assert "unit, cluster, combined" in result.output
    assert "lines, branches, percent" in result.output


def test_data_is_left_as_coverage_made_it(project: Project) -> None:
    output = prepare(project, settings="branch = True\n", worlds_run={outputs.UNIT: UNIT, outputs.CLUSTER: CLUSTER})
    before = {name: (output / name).read_bytes() for name in (outputs.UNIT, outputs.CLUSTER, outputs.COMBINED)}
    report(output, Configuration(None, project.root))
    assert before == {name: (output / name).read_bytes() for name in before}
    data = coverage.CoverageData(str(output / outputs.COMBINED))
    data.read()
    assert data.measured_files()
    data.close(force=True)
