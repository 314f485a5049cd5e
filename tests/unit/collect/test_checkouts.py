"""Checkouts that git lays out differently than the image had them: submodules, and line ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from coverage_hooks.collect.mapping.checkout import read_checkout
from tests.unit.collect.building import LINES, SOURCES, Project, fingerprint, record
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


@pytest.mark.parametrize("secret", ["PASSWORD = 'hunter2'\n", "no Python: hunter2\n"])
def test_a_link_to_a_file_outside_is_not_shown_and_named(
    run: Run, volume: Path, project: Project, tmp_path: Path, secret: str
) -> None:
    (tmp_path / "secret.py").write_text(secret)
    (project.root / "shop/leading.py").symlink_to(tmp_path / "secret.py")
    (project.root / "beside").mkdir()
    (project.root / "beside/near.py").write_text("near = 1\n")
    (project.root / "shop/staying.py").symlink_to("../beside/near.py")
    record(
        volume,
        measured={**LINES, "shop/leading.py": {1}, "shop/staying.py": {1}},
        sources={"shop/leading.py": secret, "shop/staying.py": "near = 1\n"},
    )
    result = run("collect")
    assert "not counted  1 file, by a link to what is not in the checkout, which is not shown: shop/leading.py" in (
        result.output
    )
    assert "beside/near.py" in summary(project)["files"]
    output = project.root / "build/coverage"
    shown = [path for path in output.rglob("*") if path.is_file() and "raw" not in path.relative_to(output).parts]
    assert len(shown) > 10
    assert [path for path in shown if b"hunter2" in path.read_bytes()] == []


class TestConfiguration:
    """A checkout is looked at, and what its configuration would have git run is not run."""

    @pytest.fixture
    def ran(self, project: Project, tmp_path: Path) -> Path:
        """Where any program leaves its name that git is told to run in the checkout."""
        ran, program = tmp_path / "ran", tmp_path / "program"
        program.write_text(f'#!/bin/sh\necho "$0 $*" >> {ran}\ncat\n')
        program.chmod(0o755)
        hooks = tmp_path / "hooks"
        hooks.mkdir()
        for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman", "pre-auto-gc"):
            (hooks / hook).symlink_to(program)
        included = tmp_path / "included"
        included.write_text(f"[core]\n\tfsmonitor = {program}\n")
        self._sign(project)
        for name, value in {
            "core.fsmonitor": program,
            "core.hooksPath": hooks,
            "core.pager": program,
            "core.sshCommand": program,
            "core.askPass": program,
            "core.gitProxy": program,
            "pager.log": program,
            "alias.ls-files": f"!{program}",
            "include.path": included,
            "filter.named.clean": program,
            "filter.named.smudge": program,
            "diff.external": program,
            "diff.named.command": program,
            "diff.named.textconv": program,
            "log.showSignature": "true",
            "gpg.program": program,
            "core.repositoryFormatVersion": "1",
            "extensions.partialClone": "origin",
            "remote.origin.promisor": "true",
            "remote.origin.url": f"ext::{program}",
            "protocol.ext.allow": "always",
            "credential.helper": f"!{program}",
        }.items():
            git(project.root, "config", name, str(value))
        (project.root / ".git/info").mkdir(exist_ok=True)
        (project.root / ".git/info/attributes").write_text("*.py filter=named diff=named\n")
        for name, source in SOURCES.items():  # whose times are others than git knows: now it would look at each
            path = project.root / name
            path.write_text(source)
            os.utime(path, (1, 1))
        return ran

    def _sign(self, project: Project) -> None:
        """Make the last commit look signed."""
        asked = ["git", "-C", str(project.root)]
        commit = subprocess.run([*asked, "cat-file", "commit", "HEAD"], check=True, capture_output=True).stdout
        head, _, message = commit.partition(b"\n\n")
        signed = head + b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n" + message
        make = [*asked, "hash-object", "-t", "commit", "-w", "--stdin"]
        made = subprocess.run(make, check=True, capture_output=True, input=signed).stdout.decode().strip()
        git(project.root, "update-ref", "HEAD", made)

    def test_asking_for_what_is_not_here_runs_nothing_of_it(self, project: Project, ran: Path) -> None:
        found = read_checkout([project.root / "shop/cart.py"], project.root)
        assert found.blob("1" * 40, project.root / "shop/cart.py") is None
        known = fingerprint(SOURCES["shop/cart.py"]).git
        assert found.blob(known, project.root / "shop/cart.py") == SOURCES["shop/cart.py"].encode()
        assert found.was_at(known, project.root / "shop/cart.py")
        assert not ran.exists(), ran.read_text()

    def test_collect_runs_nothing_of_it(self, run: Run, volume: Path, project: Project, ran: Path) -> None:
        record(volume, sources={"shop/cart.py": "x = 1\n"})  # a blob that the repository lacks
        (project.root / "shop/unused.py").write_text("def nobody():\n    return 0\n")
        record(volume, measured={"shop/unused.py": {1}}, host="other")
        assert run("collect", "--realign").exit_code == 1
        assert not ran.exists(), ran.read_text()

    def test_doctor_runs_nothing_of_it_and_sees_changes(self, run: Run, project: Project, ran: Path) -> None:
        assert "no selected file has uncommitted changes" in run("doctor", source=None).output
        (project.root / "shop/cart.py").write_text("x = 2\n")
        (project.root / "shop/unused.py").write_text("x = 3\n")
        assert not ran.exists(), ran.read_text()
        output = run("doctor", source=None).output
        assert "2 selected files with uncommitted changes" in output
        assert not ran.exists(), ran.read_text()

    def test_the_environment_names_no_program_and_no_other_repository(
        self, run: Run, volume: Path, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran, program, traced = tmp_path / "ran", tmp_path / "program", tmp_path / "traced"
        program.write_text(f"#!/bin/sh\ntouch {ran}\n")
        program.chmod(0o755)
        other = Project(tmp_path / "other")
        other.write({"a.py": ""})
        other.commit()
        for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_PROXY_COMMAND"):
            monkeypatch.setenv(name, str(program))
        monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
        monkeypatch.setenv("GIT_TRACE", str(traced))
        record(volume)
        assert run("collect").exit_code == 0
        output = run("doctor", source=None).output
        assert "no selected file has uncommitted changes" in output
        assert f"git checkout {project.root}," in output
        assert not ran.exists()
        assert not traced.exists()


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
