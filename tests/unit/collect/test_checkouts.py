"""Checkouts that git lays out differently than the image had them: submodules, and line ends."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from tests.unit.collect.building import LINES, SOURCES, Project, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_collect import lines_of, summary

TWINS = {"one/same.py": "x = 1\n", "library/one/same.py": "x = 1\n", "library/one/only.py": "only = 1\n"}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def library(project: Project, tmp_path: Path) -> Project:
    """A repository that the checkout has as its submodule `library`, equal to a package of its own."""
    made = Project(tmp_path / "library")
    made.write({"__init__.py": "", "one/__init__.py": ""})
    made.write({name.removeprefix("library/"): source for name, source in TWINS.items()})
    made.commit()
    project.write({"one/__init__.py": "", "one/same.py": TWINS["one/same.py"]})
    project.write({".coveragerc": "[run]\nsource = .\n"})
    git(project.root, "submodule", "add", "-q", str(made.root), "library")
    project.commit()
    return made


@pytest.mark.usefixtures("library")
class TestSubmodules:
    def test_the_lines_of_a_submodule_are_its_own(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, measured={"library/one/same.py": {1}}, sources=TWINS)
        assert run("collect").exit_code == 0
        files = summary(project)["files"]
        assert files["library/one/same.py"]["cluster"]["lines"] == 100
        assert files["one/same.py"]["cluster"]["lines"] == 0

    def test_one_that_was_not_fetched_disturbs_nothing(self, run: Run, volume: Path, project: Project) -> None:
        git(project.root, "submodule", "deinit", "-q", "--force", "library")
        record(volume, measured={"one/same.py": {1}}, sources=TWINS)
        result = run("collect")
        assert result.exit_code == 0
        assert "not compared with git" not in result.output
        assert summary(project)["files"]["one/same.py"]["cluster"]["lines"] == 100

    def test_a_change_in_one_is_carried_by_its_own_history(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, measured={"library/one/only.py": {1}}, sources=TWINS)
        (project.root / "library/one/only.py").write_text("# a remark\nonly = 1\n")
        result = run("collect", "--realign")
        assert result.exit_code == 0
        assert "realigned library/one/only.py: 1 of 1 lines carried" in result.output

    def test_doctor_sees_what_changed_in_one(self, run: Run, project: Project) -> None:
        assert "no selected file has uncommitted changes" in run("doctor", source=None).output
        (project.root / "library/one/same.py").write_text("x = 2\n")
        assert "library/one/same.py" in run("doctor", source=None).output


class TestLineEnds:
    WINDOWS: ClassVar[dict[str, str]] = {name: source.replace("\n", "\r\n") for name, source in SOURCES.items()}

    def test_an_image_from_windows_is_mapped(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, sources=self.WINDOWS)
        result = run("collect")
        assert result.exit_code == 0
        said = " ".join(result.output.split())
        assert "note 2 files with other line ends than what was recorded" in said
        assert "shop/cart.py, shop/parts/till.py" in said
        assert summary(project)["totals"]["cluster"]["lines"] == 60

    @pytest.mark.parametrize("how", ["core.autocrlf", ".gitattributes"])
    def test_a_checkout_on_windows_is_mapped(self, run: Run, volume: Path, project: Project, how: str) -> None:
        if how == ".gitattributes":
            project.write({".gitattributes": "*.py text eol=crlf\n"})
            project.commit()
        else:
            git(project.root, "config", "core.autocrlf", "true")
        for name in SOURCES:
            (project.root / name).unlink()
        git(project.root, "checkout", "-q", "--", ".")
        assert (project.root / "shop/cart.py").read_bytes() == self.WINDOWS["shop/cart.py"].encode()
        record(volume)
        result = run("collect")
        assert result.exit_code == 0
        assert "2 files with other line ends than what was recorded" in " ".join(result.output.split())
        found = lines_of(project.root / "build/coverage/cluster.coverage")
        assert found[str(project.root / "shop/cart.py")] == LINES["shop/cart.py"]
        assert summary(project)["totals"]["cluster"]["lines"] == 60

    def test_a_line_more_is_no_line_end(self, run: Run, volume: Path, project: Project) -> None:
        """A lone carriage return ends a line, too; were it taken for part of an end, lines would move."""
        project.write({"shop/cart.py": "x = 1\r\r\ny = 1\n"})
        (project.root / "shop/cart.py").write_bytes(b"x = 1\r\r\ny = 1\n")
        record(volume, measured={"shop/cart.py": {1, 2}}, sources={"shop/cart.py": "x = 1\r\ny = 1\n"})
        result = run("collect")
        assert result.exit_code == 1
        assert "differs from shop/cart.py" in result.output

    def test_of_two_the_exact_one_is_taken(self, run: Run, volume: Path, project: Project) -> None:
        project.write({f"shop/{folder}/__init__.py": "" for folder in "ab"})
        (project.root / "shop/a/same.py").write_bytes(b"x = 1\r\n")
        (project.root / "shop/b/same.py").write_bytes(b"x = 1\n")
        project.commit()
        record(volume, measured={"other/same.py": {1}}, sources={"other/same.py": "x = 1\n"})
        assert run("collect").exit_code == 0
        assert summary(project)["files"]["shop/b/same.py"]["cluster"]["lines"] == 100
