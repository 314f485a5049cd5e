"""One case: the damage is done next to sound recordings, and everything is collected as anybody would."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coverage
from click.testing import CliRunner

from coverage_hooks.cli import commands
from coverage_hooks.volume.journal import RECORD
from tests.damages.catalogue import Case, Lines
from tests.damages.recorded import GOOD, RUN, Recorded
from tests.unit.collect.building import Recording
from tests.unit.collect.spoiling import entries, name_in

#: What changes from one recording to the next, and what is shown instead.
_CHANGING = {
    r"-\d{8}T\d{6}Z-[0-9a-f]{8}\b": "-20260131T235959Z-5eed5eed",
    r"\b[0-9a-f]{40}\b": "5eed5eed…",
    r"\b\d+(\.\d+)? s\b": "… s",
    r"\bbeat \d+\b": "beat …",
    r"\bline \d+ column \d+": "line … column …",
    # By the length of the folder's name that they were recorded in.
    r"\b\d{3,} of (?=\d+ bytes\b)": "… of ",
    r" of (?!10{12}\b)\d+ bytes\b": " of … bytes",
    r" first (?!16\b)\d+ bytes\b": " first … bytes",
    r"\bbehind byte [1-9]\d*": "behind byte …",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a case; `printed` and `state` are fit to be compared with another time.

    `state` is that of the damaged recording in the ledger, empty when it has no row, and `ran` is what it recorded
    before it was damaged. `lines` are those of the cluster, `sound` those of the sound recordings as they were
    recorded, and `kept` those in the data file that each of all recordings was made into, by recording.
    """

    printed: list[str]
    state: str
    exit_code: int
    output: str
    recording: str
    ran: Lines
    lines: Lines
    sound: dict[str, Lines]
    kept: dict[str, Lines]


def play(recorded: Recorded, case: Case, scratch: Path) -> Outcome:
    """Do it in folder *scratch*, which is left empty."""
    volume, output = scratch / "volume", scratch / "build"
    try:
        sound = {each.name: _recorded(each) for each in (recorded.copy(who, volume) for who in GOOD)}
        bad = recorded.copy(case.who, volume)
        ran = _recorded(bad)
        case.spoil(bad)
        arguments = ["collect", "--from", str(volume), "--run", RUN, "--silent-after", "0.3", "--output", str(output)]
        with _inside(recorded.checkout.root):
            # An option that is given twice counts as it was given last.
            result = CliRunner().invoke(commands, [*arguments, *case.options], catch_exceptions=False)
        rows = _document(output).get("ledger", [])
        return Outcome(
            printed=[_same(recorded.shown(line.replace(str(scratch), ""))) for line in _told(result.output, rows)],
            state=next((row["state"] for row in rows if row["recording"] == bad.name), ""),
            exit_code=result.exit_code,
            output=result.output,
            recording=bad.name,
            ran=_in_checkout(recorded, ran),
            lines=_lines(output / "cluster.coverage"),
            sound={name: _in_checkout(recorded, lines) for name, lines in sound.items()},
            kept={
                path.name.removeprefix(".coverage."): _lines(path) for path in sorted(output.glob("data/.coverage.*"))
            },
        )
    finally:
        for each in (volume, output):
            shutil.rmtree(each, ignore_errors=True)
            each.unlink(missing_ok=True)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Stand in the checkout: the coverage configuration is looked for there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _document(output: Path) -> dict[str, Any]:
    """Return what a collect left that had something to report; nothing otherwise."""
    summary = output / "summary.json"
    document: dict[str, Any] = json.loads(summary.read_text()) if summary.exists() else {}
    return document


def _told(output: str, rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines that tell of a single recording, or of all; else what the ledger notes about one."""
    kinds = ("LOSS  ", "waived  ", "problem  ", "earlier, ", "error: ")
    lines = [line for line in output.splitlines() if line.startswith(kinds)]
    lines += [line for line in output.splitlines() if re.match(r"note  .*\bleft out\b", line)]
    return lines or [row["note"] for row in rows if row["note"]]


def _same(line: str) -> str:
    for changing, shown in _CHANGING.items():
        line = re.sub(changing, shown, line)
    return line


def _lines(path: Path) -> Lines:
    """Return the lines in a data file by file name, without files that have none; nothing when there is no file."""
    if not path.exists():
        return {}
    data = coverage.CoverageData(str(path))
    try:
        data.read()
        return {name: lines for name in data.measured_files() if (lines := set(data.lines(name) or ()))}
    finally:
        data.close(force=True)


def _recorded(recording: Recording) -> Lines:
    """Return the lines in the sound journal of *recording* by file name; nothing when there is none."""
    names, lines = dict[int, str](), dict[str, set[int]]()
    for each in entries(recording.journal.read_bytes() if recording.journal.exists() else b""):
        if (name := name_in(each)) is not None:
            names[name.number] = name.path
        else:
            number, _, line, _ = RECORD.unpack(each)
            lines.setdefault(names[number], set()).add(line)
    return lines


def _in_checkout(recorded: Recorded, lines: Lines) -> Lines:
    root = recorded.checkout.root
    return {str(root) + recorded.shown(name).removeprefix("/app"): found for name, found in lines.items()}
