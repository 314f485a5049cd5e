"""docs/damage.md: a table of everything that is done to a recording, made by doing it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.damages.catalogue import CATALOGUE, Case
from tests.damages.collected import Outcome, play
from tests.damages.recorded import record

DAMAGE = Path(__file__).parents[2] / "docs" / "damage.md"

_HEAD = """\
# Damage

Whatever lies on a volume is input: a disk may be broken, a copy half done, a process killed, a writer confused or
hostile. Here is everything that is known to go wrong with a recording, and what `coverage-hooks collect` prints then.
Nobody wrote it down: `make docs` lets small operators record, does each of these things to a copy of the volume, and
collects it.

On every one of these volumes lie **two sound recordings beside the bad one, and each time they are reported
completely**: every line that they ran is in the report, and where nothing of the bad recording arrived, no other line.
Only where the volume as a whole is not what was asked for is there no report. A test does all of it again and
compares.

A recording is one folder. Its manifest names how much of each journal was on the disk when it was written, with a hash
of that: **where one byte of it has changed, nothing of the recording is used**. When a process ends by itself that is
all of its journal. What was appended later has no hash, and counts up to the first record that is unsound; the rest is
a loss. Two things no reader can tell there: that one sound record became another, such as line 4 line 5, and that whole
records are missing at the end. A record or a name that the end of the file cuts short is no loss: it was being written,
and its line had not run.

The first word says what to do about it:

| | |
|---|---|
| `truncated` | cut off: the volume was full, or its file system lost the end |
| `damaged` | the bytes are not those that were published, or none that a recorder writes: the disk, or a hand |
| `empty` | recorded, but nothing of `run:source` ran: see the operator's coverage configuration |
| without one | the entry cannot be used at all: the message says what it is, and what was expected |

Times, revisions, names' random parts, and bytes that a folder's name makes more or less are left out where `…` and
`5eed5eed` stand. The operators record in mode `interval`, as any Python can; for mode `immediate` the manifest and the
marker are made to say so. `state` is the recording's in the [ledger](ledger.md), `exit` the exit code, which is 1 for
anything lost that nobody [waived](reference.md#commands).
"""


def damage_document() -> str:
    """Return the content of docs/damage.md, after some seconds of recording and collecting."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        recorded = record(base)
        return "\n".join(frame(lambda case: row(case, play(recorded, case, base / "case"))))


def frame(make: Callable[[Case], str]) -> Iterator[str]:
    """Yield the page, line by line, with the row that *make* makes of each case."""
    yield _HEAD
    for title, cases in CATALOGUE.items():
        yield f"## {title}\n"
        yield "| what was done | what is printed | state | exit |"
        yield "|---|---|---|---|"
        yield from map(make, cases)
        yield ""


def row(case: Case, outcome: Outcome) -> str:
    """Return the row of *case*."""
    printed = "<br>".join(map(_code, outcome.printed)) or "nothing"
    return f"| {case.done} | {printed} | {outcome.state or '-'} | {outcome.exit_code} |"


def _code(text: str) -> str:
    """Return *text* as code in a table: a backtick in it wants two around it, and a bar would end the cell."""
    return f"`` {text} ``".replace("|", "\\|")
