"""The command line: what it imports when, and what it ends with."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from coverage_hooks import cli
from coverage_hooks.cli import COMMANDS, commands
from coverage_hooks.commands import options
from coverage_hooks.errors import CoverageHooksError, ManifestError, SourceError, UsageError

#: Runs a command with a `coverage_hooks.kopf` that prints what has been imported when recording would start.
SCRIPT = """
import sys, types
hooks = types.ModuleType("coverage_hooks.kopf")
def run_command(arguments):
    print(arguments, sorted({"coverage", "rich", "kopf", "coverage_hooks.collect.pipeline"} & set(sys.modules)))
hooks.run_command = run_command
sys.modules["coverage_hooks.kopf"] = hooks
from coverage_hooks.cli import main
main()
"""


def test_kopf_run_passes_everything_through_before_anything_is_imported() -> None:
    arguments = ["--verbose", "-n", "x", "--", "operator.py", "--help", "-m", "mod", "--", "--standalone"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "kopf-run", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{arguments} []\n"


def test_help_lists_everything_and_imports_nothing() -> None:
    code = "import sys; from coverage_hooks.cli import commands; commands(['--help'], standalone_mode=False); "
    done = subprocess.run(
        [sys.executable, "-c", f"{code} print({{'coverage', 'rich', 'kopf'}} & set(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.endswith("set()\n")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"kopf-run"}))
def test_every_command_is_there_under_its_name(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    assert command.name == name
    assert command.help


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"kopf-run"}))
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(commands, [name, "-h"])
    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_an_unknown_command_is_wrong_use() -> None:
    result = CliRunner().invoke(commands, ["colect"])
    assert result.exit_code == 2
    assert "No such command 'colect'" in result.output


def test_a_missing_package_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "collect", ("no_such_package:collect", ""))
    result = CliRunner().invoke(commands, ["collect"])
    assert result.exit_code == 2
    assert "needs package 'no_such_package'" in result.output
    assert "pip install 'coverage-hooks[collect]'" in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (SourceError("x"), 3),
        (ManifestError("x"), 1),
        (CoverageHooksError("x"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
    ],
)
def test_expected_errors_become_a_message_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(cli.Commands, "get_command", lambda *_: failing)
    result = CliRunner().invoke(commands, ["anything"], catch_exceptions=False)
    assert result.exit_code == code
    assert result.output.startswith("error: ")


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "99999999d", "5 minutes", ""])
def test_a_time_that_is_none_is_wrong_use(tmp_path: Path, value: str) -> None:
    result = CliRunner().invoke(commands, ["collect", "--from", str(tmp_path), "--since", value])
    assert result.exit_code == 2
    assert "such as 2026-01-31T23:59:59Z" in result.output


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-5")  # in the way of POSIX: five hours ahead
    time.tzset()
    try:
        assert options.moment("2026-01-31T12:00:00") == datetime(2026, 1, 31, 7, tzinfo=UTC)
        assert options.moment("2026-01-31T12:00:00+01:00") == datetime(2026, 1, 31, 11, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("age", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
    ],
)
def test_an_age_is_counted_back_from_now(age: str, span: timedelta) -> None:
    before = datetime.now(UTC)
    found = options.moment(age)
    assert before <= found + span <= datetime.now(UTC)


def test_a_run_is_chosen_one_way(tmp_path: Path) -> None:
    arguments = ["collect", "--from", str(tmp_path), "--since", "1h", "--run", "x"]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 2
    assert "exclude each other" in result.output


def test_an_output_folder_that_cannot_be_made_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = str(tmp_path / "file/output")
    result = CliRunner().invoke(commands, ["retrieve", "--from", str(tmp_path), "--output", output])
    assert result.exit_code == 2
    assert "cannot be written: Not a directory; something else is in its place" in result.output


def test_the_module_is_the_command() -> None:
    version = metadata.version("coverage-hooks")
    done = subprocess.run(
        [sys.executable, "-m", "coverage_hooks", "--version"], capture_output=True, text=True, check=True
    )
    assert version in done.stdout
    scripts = tomllib.loads(Path("pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"coverage-hooks": "coverage_hooks.cli:main"}
