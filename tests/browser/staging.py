"""A collect that has something to tell, for the pictures: real recordings and real endings, put together.

What was recorded is the demo's: beginnings of the journal that it left on its volume become the recordings of pods, as
if each pod had got no further. How the pods ended is what a witness saw of pods on a real node, for the tests of
endings. Names and times are changed, so that both are about the same, and nothing else.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coverage_hooks.volume import layout
from coverage_hooks.volume.journal import NAME, RECORD, padded
from coverage_hooks.volume.manifest import Manifest, Pod, timestamp
from tests.unit.collect.building import named
from tests.unit.collect.witnessed import FOLDER, lines

ROOT = Path(__file__).parents[2]

#: Which endings are told, and which pod had which of them.
_ENDINGS = {
    "rollout": ("rolled-85f6986465-9zwfb", "operator-9zwfb"),
    "out-of-memory": ("eater", "operator-8876t"),
    "grace-overrun": ("overrun", "operator-m4wzp"),
    "never-announced": ("broken", "operator-zz9c4"),
    "graceful-delete": ("deleted", "operator-q8h5d"),
}

_RUN = "one"
_TIME = re.compile(r"2026-11-23T\d\d:\d\d:\d\d(?P<fraction>\.\d+)?Z")

#: When the last of the pods was gone, and how long the witness goes on to watch.
_ENDED = datetime(2026, 11, 23, 10, 57, 1, tzinfo=UTC)
_WATCHED = timedelta(minutes=10)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What was collected, and what that printed on a terminal, with its colours."""

    output: Path
    printed: str


def collect(recordings: Path, unit: Path, scratch: Path, *, columns: int) -> Staged:
    """Collect below folder *scratch* what was staged of *recordings*, the demo's volume, and *unit*, its unit data."""
    shift = datetime.now(UTC).replace(microsecond=0) - _ENDED  # whole seconds, as some of the times have no others
    volume, output = scratch / "volume", scratch / "coverage"
    output.mkdir()
    (output / "witness.jsonl").write_text("".join(f"{line}\n" for line in _witness(shift)))
    _record(recordings, volume, shift)
    arguments = ["--from", str(volume), "--unit", str(unit), "--silent-after", "0.3", "--output", str(output)]
    return Staged(output=output, printed=_on_a_terminal(["collect", *arguments], columns))


def _witness(shift: timedelta) -> list[str]:
    """Return what the witness wrote of all of them, and that it has seen nothing else until long after."""
    documents = [line for ending in _ENDINGS for line in lines(ending)]
    header = documents[0]
    seen = {json.dumps(line): line for line in documents if "at" in line and "stopped" not in line and not _again(line)}
    told = sorted(seen.values(), key=lambda line: line["at"])
    later = timestamp(_ENDED + _WATCHED)
    last = {line["confirmed"]: {**line, "at": later} for line in told if "confirmed" in line}
    return [_moved(json.dumps(line), shift) for line in (header, *told, *last.values())]


def _again(line: dict[str, object]) -> bool:
    """Whether *line* is about a container that was started again: its second process is not of this story."""
    return '"restartCount": 1' in json.dumps(line)


def _moved(text: str, shift: timedelta) -> str:
    """Return *text* with every time moved by *shift*, and the pods by their names here."""
    for there, here in _ENDINGS.values():
        text = text.replace(f'"{there}"', f'"{here}"').replace(f"pod: {there}", f"pod: {here}")
    text = text.replace("rolled", "operator")

    def moved(match: re.Match[str]) -> str:
        moment = datetime.fromisoformat(match[0]) + shift
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if match["fraction"] else "%Y-%m-%dT%H:%M:%SZ")

    return _TIME.sub(moved, text)


def _record(recordings: Path, volume: Path, shift: timedelta) -> None:
    """Make a recording for each pod that made one, of the journal of the only one in *recordings*."""
    [real] = recordings.iterdir()
    manifest = Manifest.parse((real / layout.MANIFEST).read_bytes())
    journal = layout.journal_name(0)
    pods = {there for there, _ in _ENDINGS.values()}
    known = json.loads((FOLDER / "recordings.json").read_text())
    first = {each["pod"]["name"]: each for each in reversed(known)}  # of each pod the first process
    made = [each for name, each in first.items() if name in pods]
    for each, state in zip(made, _beginnings((real / journal).read_bytes(), len(made)), strict=True):
        told = json.loads(_moved(json.dumps(each), shift))
        started = datetime.fromisoformat(told["started_at"])
        name = f"{told['pod']['name']}-{started:%Y%m%dT%H%M%SZ}-{each['recording'][-8:]}"
        pod = Pod(**told["pod"])
        described = {**told, "recording": name, "run": _RUN, "pod": pod, "journals": [named(journal, state)]}
        shutil.copytree(real, volume / name)
        (volume / name / journal).write_bytes(state)
        (volume / name / layout.MANIFEST).write_bytes(dataclasses.replace(manifest, **described).to_bytes())


def _beginnings(journal: bytes, count: int) -> list[bytes]:
    """Return *count* beginnings of *journal*, each of whole points and names; the last is all of it."""
    ends, end = [], 0
    while end + RECORD.size <= len(journal):
        number, kind, size, _ = RECORD.unpack_from(journal, end)
        end += RECORD.size + (padded(size) if (number, kind) == (0, NAME) else 0)
        ends.append(end)
    return [journal[: ends[len(ends) * part // count - 1]] for part in range(1, count + 1)]


def _on_a_terminal(arguments: list[str], columns: int) -> str:
    """Return what ``coverage-hooks`` prints on a terminal so wide, colours and all."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 100, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "GITHUB_"))}
    with subprocess.Popen(
        [sys.executable, "-m", "coverage_hooks", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,  # where the progress is shown
        env=environment | {"TERM": "xterm-256color", "COLUMNS": str(columns)},
    ) as process:
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
        os.close(ours)
        process.wait()
    assert process.returncode == 1, said.decode()  # there are losses, and nothing else was wrong
    return said.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # what Linux says when nobody has the other end any more
        return b""
