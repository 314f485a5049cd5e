"""Unit data that was made in another folder or on another machine: all of it is reported, or told by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.collect.building import SOURCES, Project, data_bytes, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_collect import command, summary

TESTED = {"src/tool.py": "x = 1\n", "src/inner/__init__.py": "", "src/inner/part.py": "x = 1\n"}
RELATIVE = "[run]\nsource = .\nrelative_files = True\n"


@pytest.fixture
def below(project: Project, volume: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unit data as tests make it that tox runs in `src`: names in it are as seen from there."""
    project.write(TESTED)
    project.write({".coveragerc": RELATIVE, "src/.coveragerc": RELATIVE, "src/test_it.py": "import tool, inner.part\n"})
    project.commit()
    record(volume)
    monkeypatch.chdir(project.root / "src")
    command("run", "--data-file=../unit", "test_it.py")
    monkeypatch.chdir(project.root)
    return project.root / "unit"


def test_names_as_seen_from_another_folder_are_wrong_use(run: Run, below: Path) -> None:
    result = run("collect", "--unit", below)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert f"unit data {str(below)!r}: it measured 'inner/__init__.py', and there is no such file here" in said
    assert "was it made in another folder, such as one that tox changes to?" in said


@pytest.mark.usefixtures("below")
def test_a_module_by_itself_is_not_forgotten(run: Run, project: Project) -> None:
    (project.root / "unit").write_bytes(data_bytes({"tool.py": {1}, "shop/cart.py": {1}}))
    result = run("collect", "--unit", "unit")
    assert result.exit_code == 2
    assert "it measured 'tool.py', and there is no such file here" in " ".join(result.output.split())


def test_packages_as_seen_from_another_folder_are_mapped_by_the_paths_setting(
    run: Run, volume: Path, project: Project
) -> None:
    project.write(TESTED)
    project.write({".coveragerc": f"{RELATIVE}[paths]\nall =\n    src/inner\n    inner\n"})
    record(volume)
    (project.root / "unit").write_bytes(data_bytes({"inner/part.py": {1}}))
    assert run("collect", "--unit", "unit").exit_code == 0
    assert summary(project)["files"]["src/inner/part.py"]["unit"]["lines"] == 100


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("path", ["/home/ci/tool.py", "C:/ci/tool.py"])
def test_data_of_another_machine_is_named_among_several(
    run: Run, volume: Path, project: Project, path: str, order: int
) -> None:
    record(volume)
    (project.root / "here").write_bytes(data_bytes({str(project.root / "shop/cart.py"): {8}}))
    (project.root / "there").write_bytes(data_bytes({path: {1}}))
    result = run("collect", *[word for name in ("here", "there")[::order] for word in ("--unit", name)])
    assert result.exit_code == 2
    assert f"unit data 'there': it measured {path!r}, which is not in this checkout" in " ".join(result.output.split())


def test_two_machines_are_mapped_by_the_paths_setting(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    project.write({".coveragerc": "[run]\nsource = shop\n[paths]\nall =\n    shop\n    /a/shop\n    C:\\b\\shop\n"})
    (project.root / "one").write_bytes(data_bytes({"/a/shop/cart.py": {1, 7}}))
    (project.root / "two").write_bytes(data_bytes({"C:\\b\\shop\\cart.py": {8}, "C:\\b\\shop\\unused.py": {1}}))
    assert run("collect", "--unit", "one", "--unit", "two").exit_code == 0
    assert summary(project)["files"]["shop/cart.py"]["unit"]["lines"] == 50
    assert summary(project)["totals"]["unit"]["lines"] == 40


def test_what_lies_outside_of_the_sources_is_told(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    project.write({f"tests/test_{number}.py": "x = 1\n" for number in range(5)})
    names = [f"tests/test_{number}.py" for number in range(5)]
    (project.root / "unit").write_bytes(
        data_bytes({str(project.root / name): {1} for name in ["shop/cart.py", *names]})
    )
    result = run("collect", "--unit", "unit")
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "note 5 files of unit data 'unit': not selected here, left out: " in said
    assert "test_2.py and 2 more" in said
    assert set(summary(project)["files"]) == set(SOURCES)


@pytest.mark.parametrize("settings", ["omit = */gone.py", "ignore_errors = True"])
def test_what_is_gone_is_left_out_where_coverage_leaves_it_out(
    run: Run, volume: Path, project: Project, settings: str
) -> None:
    project.write({".coveragerc": f"[run]\nsource = shop\n[report]\n{settings}\n"})
    record(volume)
    (project.root / "unit").write_bytes(
        data_bytes({str(project.root / name): {1} for name in ("shop/cart.py", "shop/gone.py")})
    )
    result = run("collect", "--unit", "unit")
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "1 file of unit data 'unit': not here, and left out by the configuration, left out: " in said
    found = json.loads(command("json", "--data-file=unit", "-q", "-o", "-"))
    assert (
        found["files"]["shop/cart.py"]["summary"]["percent_covered"]
        == (summary(project)["files"]["shop/cart.py"]["unit"]["percent"])
    )


class TestContexts:
    SETTINGS = "[run]\nsource = shop\n[report]\ncontexts = tests.*\n"

    def test_a_choice_of_contexts_is_not_applied_and_told(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        unit = {str(project.root / "shop/cart.py"): {1, 7, 8}}
        (project.root / "unit").write_bytes(data_bytes(unit, contexts=["", "tests.test_cart|run"]))
        project.write({".coveragerc": self.SETTINGS})
        result = run("collect", "--unit", "unit", "--xml-per-world")
        assert result.exit_code == 0
        assert "note report:contexts = tests.* is not applied: recordings have no contexts" in " ".join(
            result.output.split()
        )
        with_choice = summary(project)
        assert [with_choice["totals"][world]["lines"] for world in ("unit", "cluster")] == [30, 60]
        project.write({".coveragerc": "[run]\nsource = shop\n"})
        assert run("collect", "--unit", "unit").exit_code == 0
        assert summary(project)["totals"] == with_choice["totals"]
        assert "report:contexts" not in json.dumps(summary(project)["notes"])

    def test_contexts_are_shown_where_they_are_asked_for(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        unit = {str(project.root / "shop/cart.py"): {8}}
        (project.root / "unit").write_bytes(data_bytes(unit, contexts=["tests.test_cart|run"]))
        project.write({".coveragerc": f"{self.SETTINGS}[html]\nshow_contexts = True\n"})
        assert run("collect", "--unit", "unit").exit_code == 0
        [page] = (project.root / "build/coverage/html").glob("*_cart_py.html")
        assert "tests.test_cart|run" in page.read_text()
