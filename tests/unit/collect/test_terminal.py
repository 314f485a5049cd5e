"""What a terminal shows: whole tables where there is room, and no halves of words where there is not."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from coverage_hooks.collect.reporting.terminal import LOG_WIDTH
from tests.unit.collect.building import LINES, Project, pod, record
from tests.unit.collect.conftest import Run

LONG = "shop/reconciliation/of_things/that_nobody_ever_counted/in_the_warehouse_of_the_shop.py"

#: As docs/ci.md has it for GitLab.
TOTAL = re.compile(r"^TOTAL.* (\d+\.\d) %\s*$", re.MULTILINE)


def shown(columns: int, *arguments: object) -> str:
    """Return what the command shows on a terminal so wide, without its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    command = [sys.executable, "-m", "coverage_hooks", *map(str, arguments)]
    said = b""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment | {"TERM": "xterm-256color"}
    ):
        os.close(theirs)
        while chunk := _read(ours):
            said += chunk
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode()).replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # what Linux says when nobody has the other end any more
        return b""


@pytest.fixture
def place(volume: Path, project: Project) -> tuple[object, ...]:
    """A volume of which there is much to tell, and how to collect it."""
    packages = {f"{parent}/__init__.py": "" for parent in Path(LONG).parents if parent.name}
    project.write({**packages, LONG: "x = 1\n", ".coveragerc": "[run]\nsource = shop\nbranch = true\n"})
    project.commit()
    arcs = {name: {(-1, line) for line in lines} for name, lines in LINES.items() if 0 not in lines} | {LONG: {(-1, 1)}}
    record(volume, measured=arcs, sources={LONG: "x = 1\n"}, branch=True, pod=pod("keycloak-operator-6c8d6b-x7k2p"))
    record(volume, host="cut", pod=pod("cut-short")).journal.unlink()
    return "--from", volume, "--silent-after", 0.3


def test_a_narrow_terminal_has_whole_words_and_every_file(place: tuple[object, ...]) -> None:
    said = shown(80, "collect", *place)
    assert "Traceback" not in said
    table = said[said.index("\nfile ") + 1 : said.index("\nTOTAL")].splitlines()
    assert table[0].split() == ["file", "unit", "cluster", "combined"]
    assert {line.split()[0] for line in table} > {"shop/cart.py", "shop/unused.py", "shop/parts/till.py"}
    [cut] = [line for line in table if line.startswith("…") and "in_the_warehouse_of_the_shop.py" in line]
    assert LONG.endswith(cut.split()[0][1:])
    assert len(cut.split()[0]) > 40
    assert all(len(line) <= 80 for line in table)
    assert "left out of 80 columns  counts and missed lines: 120 show them" in said
    words = " ".join(said.split())
    assert "pod shop/keycloak-operator-6c8d6b-x7k2p state finished journal interval files 3 lines 7" in words
    assert "pod shop/cut-short state damaged journal interval files 0 lines 0 note" in words


def test_the_terminal_says_whom_it_waits_for_and_goes_on(volume: Path, project: Project) -> None:
    assert project.root == Path.cwd()
    name = record(volume, state="running").name
    said = shown(100, "retrieve", "--from", volume, "--silent-after", 3)
    waited = said.rindex(f"waiting up to 3 s for the beats of 1 running recording: {name}")
    assert said.index("waiting for the beats of running recordings, copying") < waited
    assert waited < said.rindex("waiting for the beats of running recordings, copying")


def test_every_width_has_the_total_that_gitlab_looks_for(place: tuple[object, ...], run: Run) -> None:
    narrow, wide = (shown(columns, "collect", *place) for columns in (80, 140))
    piped = run("collect").output
    totals = [TOTAL.findall(said) for said in (narrow, wide, piped)]
    assert totals == [totals[0]] * 3
    assert len(totals[0]) == 1
    assert "missed" in wide.splitlines()[[line[:5] for line in wide.splitlines()].index("file ")]
    assert "left out" not in wide + piped


def test_a_log_has_the_whole_name_of_every_file(place: tuple[object, ...], run: Run) -> None:
    said = run("collect", *place).output
    [row] = [line for line in said.splitlines() if line.startswith(LONG)]
    assert len(row) > LOG_WIDTH
    assert row.split()[1:] == ["-", "100.0", "%", "100.0", "%", "0", "1", "0", "0", "0"]


def test_what_fits_a_narrow_terminal_is_a_table_there_too(volume: Path, project: Project) -> None:
    assert project.root == Path.cwd()
    record(volume)
    said = shown(110, "status", "--from", volume)
    assert said.startswith("recording ")
    assert "problems\n" in said
    assert all(len(line) <= 110 for line in said.splitlines())
    narrow = shown(60, "status", "--from", volume).splitlines()[1]
    assert narrow.startswith("  run run-1  state finished  journal interval  beat 7")
