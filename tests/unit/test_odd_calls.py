"""Odd command lines and environments: each ends with an exit code of docs/reference.md and a message, in time.

Found by commands that were put together at random; `tests.unit.test_shown` has those whose texts are hostile.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coverage_hooks.cli import commands
from tests.cluster.waiting import WITHIN
from tests.unit.collect.building import Project, examples, make_project, record

NO_TEXT, LONG = os.fsdecode(b"caf\xe9"), "x" * 5000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout with odd things in it, and a volume beside it."""
    project = make_project(tmp_path_factory.mktemp("odd") / "checkout")
    record(project.root.parent / "volume")
    for name, content in {
        "file": b"x", "binary": b"\xff\xfe[run\n", "list.json": b"[1", "deep.json": b"[" * 100_000,
        "summary.json": b'{"format": 1, "run": "\\ud800", "files": {"a": {"unit": {"lines": 1e400}}}}',
    }.items():  # fmt: skip
        (project.root / name).write_bytes(content)
    os.mkfifo(project.root / "fifo")
    (project.root / "loop").symlink_to("loop")
    return project


#: What is given to any option.
ODD = [
    "", ".", "/dev/null", "/dev/full", "/proc/self/mem", "absent", "absent/below", "file", "file/below", "binary",
    "list.json", "deep.json", "summary.json", "fifo", "loop", NO_TEXT, LONG, "a/" * 3000, "9" * 5000, "-1", "0", "nan",
    "inf", "1e309", "1h", "9" * 6 + "d", "0001-01-01", "9999-12-31T23:59:59+23:59", "unit=40", "=", "combined.x=1",
    "unit=nan", "-", "--", "\0", "a\0b", "\ud800", "%s%n", "🎉", "\n",
]  # fmt: skip

_WHERE = ["--from", "--namespace", "--release", "--claim", "--kubeconfig", "--context"]
_READING = [*_WHERE, "--reader", "--reader-image"]
_RETRIEVING = [*_READING, "--run", "--since", "--expect", "--allow-missing", "--silent-after", "--journal-limit"]
_COMBINING, _JUDGING = ["--unit", "--allow-mismatch"], ["--fail-under", "--compare"]

#: Options that take a value, by command.
OPTIONS = {
    "collect": [*_RETRIEVING, *_COMBINING, *_JUDGING, "--rcfile", "--output"],
    "retrieve": [*_RETRIEVING, "--output"],
    "verify": ["--output"],
    "combine": [*_COMBINING, "--rcfile", "--output"],
    "report": [*_JUDGING, "--rcfile", "--output"],
    "status": [*_READING, "--output"],
    "prune": ["--from", "--run", "--older-than", "--silent-after"],
    "role": [*_WHERE[1:], "--user", "--service-account"],
    "doctor": [*_WHERE, "--rcfile", "--silent-after"],
}
VARIABLES = ["COVERAGE_RCFILE", "COVERAGE_FILE", "COVERAGE_HOOKS_DIR", "COVERAGE_HOOKS_RUN", "KUBECONFIG", "COLUMNS",
             "COVERAGE_HOOKS_INTERVAL", "LINES", "GIT_DIR", "COVERAGE_HOOKS_ENABLED"]  # fmt: skip


def check(project: Project, arguments: list[str], environment: dict[str, str]) -> None:
    """Call a command in *project*; it ends with an exit code of ours, in lines that can be printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        patch.setenv("HOME", str(project.root))
        for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
            patch.delenv(name, raising=False)
        result = CliRunner().invoke(commands, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code in {0, 1, 2, 3}
    assert all(line.isprintable() for line in result.output.split("\n"))
    assert result.exit_code in {0, 1} or result.output.strip()


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[str], dict[str, str]]:
    """Draw a command line, and an environment."""
    command = draw(st.sampled_from(sorted(OPTIONS)))
    given_values = draw(st.dictionaries(st.sampled_from(OPTIONS[command]), st.sampled_from(ODD), max_size=3))
    arguments = [command]
    if "--from" in OPTIONS[command] and "--from" not in given_values and draw(st.booleans()):
        arguments += ["--from", "../volume"]
    if "--silent-after" in OPTIONS[command] and "--silent-after" not in given_values:
        arguments += ["--silent-after", "0.1"]
    if command == "prune":
        given_values.pop("--older-than", None)  # which would take the volume away from the others
    for option, value in given_values.items():
        arguments += [option, value]
    typed = [each for each in ODD if "\0" not in each and each != "\ud800"]
    return arguments, draw(st.dictionaries(st.sampled_from(VARIABLES), st.sampled_from(typed), max_size=2))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls())
def test_whatever_is_asked_for_is_answered(place: Project, call: tuple[list[str], dict[str, str]]) -> None:
    check(place, *call)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["combine", "--rcfile", "binary"], {}, "the coverage configuration is no UTF-8 text"),
        (["doctor"], {"COVERAGE_RCFILE": "binary"}, "the coverage configuration is no UTF-8 text"),
        (["report", "--rcfile", "/dev/full"], {}, "'/dev/full' is a device, expected a regular file"),
        (["report", "--rcfile", "fifo"], {}, "'fifo' is a FIFO, expected a regular file"),
        (["report", "--rcfile", "loop"], {}, "coverage.py says: Couldn't read 'loop'"),
        (["verify", "--output", "a\0b"], {}, "'a\\x00b' is nothing that an operating system passes to a command"),
        (["combine", "--unit", "\ud800"], {}, "'\\ud800' is nothing that an operating system passes"),
        (["status", "--from", LONG], {}, "File name too long"),
        (["collect", "--from", "../volume", "--compare", "deep.json"], {}, "is not a summary.json"),
        (["retrieve", "--from", "../volume", "--expect", "9"], {"COLUMNS": "9" * 5000, "LINES": "9" * 5000}, "LOSS"),
    ],
)
def test_what_was_found_by_chance(place: Project, arguments: list[str], environment: dict[str, str], said: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.root)
        result = CliRunner().invoke(commands, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code in {1, 2, 3}
    assert said in result.output


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["", ], 2), (["-m", ""], 2), (["-m", "."], 1), (["-m", "..above"], 1), ([LONG], 2), (["-m", LONG], 1),
        ([NO_TEXT], 2), (["loop"], 2), (["file/below"], 2), (["-m", "a\nb"], 1),
    ],
)  # fmt: skip
def test_a_program_that_is_none_ends_without_a_traceback(place: Project, words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coverage_hooks", "run", *words],
        cwd=place.root, capture_output=True, text=True, errors="surrogateescape", timeout=WITHIN, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.split("\n"))
