"""Nothing from outside reaches a terminal raw: there is one door, and no code that goes around it."""

from __future__ import annotations

import ast
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import coverage_hooks
from coverage_hooks import shown
from coverage_hooks.cli import commands
from coverage_hooks.log import say
from coverage_hooks.volume import server

PACKAGE = Path(coverage_hooks.__file__).parent

EVIL = "\x1b[2Jred\x07 \u202e\u2066\r\nLOSS  forged \udcff\x9b1m"

#: Who may write to a terminal, and why that is no way around: file, what it uses.
DOORS = {
    ("shown.py", "print"): "the door itself",
    ("shown.py", "sys.stdout"): "the door itself",
    ("shown.py", "sys.stderr"): "the door itself",
    ("log.py", "logging.getLogger"): "the door of an operator's log",
    ("collect/reporting/terminal.py", "Console"): "made here, and printed to by what is below",
    ("collect/reporting/terminal.py", "Live"): "shows the tables below",
    ("collect/reporting/terminal.py", ".print"): "each cell and line is made by `plain`",
    ("collect/reporting/terminal.py", "sys.stdout"): "is told to escape what its encoding lacks",
    ("commands/progress.py", "Console"): "as above",
    ("commands/progress.py", ".status"): "as above",
    ("commands/progress.py", ".print"): "as above",
    ("commands/volume.py", ".confirm"): "asks with a number",
    ("testing/outcome.py", "Console"): "writes to a text, by what is in terminal.py",
    ("testing/session.py", ".write"): "of such a text",
    ("testing/session.py", ".write_sep"): "a title of ours",
    ("testing/session.py", "sys.stderr"): "of such a text",
    ("program.py", "sys.excepthook"): "the traceback of the program that is run, as it is without us",
    ("volume/server.py", "ArgumentParser"): "the base of one whose errors are plain",
    ("volume/server.py", ".handle_error"): "in the log of a reader, which is shown by `plain` like any other text",
    ("cli.py", ".section"): "the list of commands",
    ("collect/data/workers.py", "sys.stdout"): "a pipe to the process that started the worker",
    ("record/recorder.py", "Live"): "a class of ours of that name",
    ("record/internals.py", "Live"): "as above",
}

_STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__", "excepthook", "unraisablehook", "displayhook"}
_CALLED = {
    "echo", "secho", "echo_via_pager", "confirm", "prompt", "pause", "progressbar", "print", "print_json", "status",
    "write_line", "write_sep", "section", "log_error", "handle_error", "print_exc", "print_exception",
}  # fmt: skip
_NAMED = {"print", "input", "Console", "Live", "Status", "pprint", "breakpoint"}
_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
_SUBPROCESS = {"run", "Popen", "call", "check_call", "check_output"}


def ways(source: str) -> Iterator[str]:
    """Yield what in *source* may write to a terminal."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"sys", "logging", "traceback", "warnings"}:
            yield f"from {node.module}"
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in {"traceback", "pprint", "faulthandler"})
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield from _attribute(node.value.id, node.attr)
            if node.attr == "ArgumentParser":
                yield node.attr
        if isinstance(node, ast.Call):
            yield from _call(node)


def _attribute(of: str, name: str) -> Iterator[str]:
    if (
        (of == "sys" and name in _STREAMS)
        or (of == "logging" and name not in _LEVELS)
        or (of, name) in {("warnings", "warn"), ("os", "system"), ("os", "popen"), ("rich", "print")}
    ):
        yield f"{of}.{name}"


def _call(node: ast.Call) -> Iterator[str]:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    of = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
    first = node.args[0] if node.args else None
    if isinstance(called, ast.Name) and name in _NAMED:
        yield name
    elif isinstance(called, ast.Attribute) and (name in _CALLED or (name, of) == ("write", "terminalreporter")):
        yield f".{name}"
    elif name in {"UsageError", "exit", "fail", "skip"} and of == "pytest":
        yield from [] if getattr(getattr(first, "func", None), "id", "") == "plain" else [f"pytest.{name}"]
    elif name in {"SystemExit", "exit", "_exit"} and isinstance(first, (ast.JoinedStr, ast.Constant)):
        yield from [name] if not isinstance(getattr(first, "value", None), int) else []
    elif (
        of == "subprocess"
        and name in _SUBPROCESS
        and not {"capture_output", "stdout"} & {each.arg for each in node.keywords}
    ):
        yield f"subprocess.{name}"
    elif (of, name) == ("os", "write") and isinstance(first, ast.Constant):
        yield "os.write"


def test_no_code_goes_around_the_door() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), way)
        for path in sorted(PACKAGE.rglob("*.py"))
        for way in ways(path.read_text())
    }
    assert found == set(DOORS)


@pytest.mark.parametrize(
    "source",
    [
        "print(error)", "sys.stdout.write(error)", "sys.stderr.buffer.write(error)", "out = sys.__stderr__",
        "from sys import stderr", "click.echo(error)", "click.secho(error, err=True)", "logging.error('%s', error)",
        "log = logging.getLogger()", "from logging import getLogger", "warnings.warn(error)", "import traceback",
        "rich.print(error)", "Console().print(error)", "out.print(error)", "sys.exit(f'{e}')",
        "raise SystemExit(f'no {error}')", "raise pytest.UsageError(f'no {error}')", "raise pytest.UsageError(error)",
        "pytest.exit(error)", "terminalreporter.write(error)", "terminalreporter.write_line(error)",
        "parser = argparse.ArgumentParser()", "class P(argparse.ArgumentParser): pass", "os.write(2, error)",
        "subprocess.run(['git'])", "os.system('git')", "sys.excepthook(*error)", "click.confirm(error)",
    ],
)  # fmt: skip
def test_a_way_around_it_would_be_seen(source: str) -> None:
    assert list(ways(source)), source


@pytest.mark.parametrize(
    "source",
    ["say(logging.ERROR, text)", "subprocess.run(['git'], capture_output=True)", "sys.exit(code)", "sys.exit(2)",
     "file.write(content)", "raise SystemExit(128 + number)", "os.write(descriptor, content)"],
)  # fmt: skip
def test_what_writes_elsewhere_is_none(source: str) -> None:
    assert not list(ways(source)), source


@pytest.mark.parametrize("err", [False, True])
def test_the_door_lets_one_plain_line_through(capsys: pytest.CaptureFixture[str], err: bool) -> None:
    shown.line(EVIL, err=err)
    said = capsys.readouterr()[err]
    assert said.endswith("\n")
    assert said[:-1].isprintable()
    assert "\\nLOSS  forged \\udcff\\x9b1m" in said


def test_what_an_encoding_lacks_is_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    shown.line("größer")
    sys.stdout.flush()
    assert written.getvalue() == b"gr\\xf6\\xdfer\n"


def test_the_log_of_an_operator_has_plain_lines(caplog: pytest.LogCaptureFixture) -> None:
    say(logging.ERROR, EVIL)
    (record,) = caplog.records
    assert record.getMessage().isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        [EVIL], [f"--{EVIL}"], ["collect", f"--{EVIL}"], ["collect", EVIL], ["collect", "--since", EVIL],
        ["collect", "--expect", EVIL], ["collect", "--from", EVIL], ["collect", "--from", ".", "--fail-under", EVIL],
        ["collect", "--from", ".", "--compare", EVIL], ["collect", "--from", ".", "--rcfile", EVIL],
        ["collect", "--output", f"absent/{EVIL}", "--from", EVIL], ["verify", "--output", EVIL],
        ["report", "--output", EVIL], ["combine", "--unit", EVIL], ["status", "--from", EVIL],
        ["status", "--namespace", EVIL], ["status", "--namespace", EVIL, "--claim", "c", "--kubeconfig", EVIL],
        ["prune", "--from", EVIL, "--run", EVIL], ["doctor", "--from", EVIL], ["doctor", "--rcfile", EVIL],
        ["role", "--claim", EVIL, "--namespace", EVIL, "--user", EVIL], ["role", "--release", EVIL],
        ["run", f"-{EVIL}"],
    ],
)  # fmt: skip
def test_a_command_line_is_quoted_plainly(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(commands, arguments, color=True, catch_exceptions=False)
    assert all(line.isprintable() for line in result.output.split("\n")), ascii(result.output)
    assert "\nLOSS" not in result.output


def test_a_program_that_is_not_there_is_named_plainly() -> None:
    arguments = [sys.executable, "-m", "coverage_hooks", "run", "-m", "absent\x1b[2J\nforged"]
    done = subprocess.run(arguments, capture_output=True, check=False)
    assert b"absent\\x1b[2J\\nforged" in done.stderr
    assert b"\x1b" not in done.stderr


def test_the_server_of_a_reader_quotes_its_command_line_plainly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["server", ".", EVIL])
    with pytest.raises(SystemExit):
        server.main()
    assert all(line.isprintable() for line in capsys.readouterr().err.split("\n"))
