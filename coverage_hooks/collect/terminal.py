"""One collect on a terminal: tables where there is one, the same words in a log.

Everything that came from a volume goes through `plain` and is never read as markup.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coverage_hooks.collect import files, tables
from coverage_hooks.collect.compare import Comparison
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.plain import plain
from coverage_hooks.collect.report import Report
from coverage_hooks.collect.summary import blame, cause

_COLORS = {
    "finished": "green",
    "running": "green",
    "silent": "red",
    "damaged": "red",
    "announced": "red",
    "empty": "red",
}

#: What a log that is no terminal is given: names of recordings are long.
LOG_WIDTH = 160


def console() -> Console:
    """Return the console that results go to."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path that the terminal's encoding lacks is shown as its escape, and does not end the collect.
        sys.stdout.reconfigure(errors="backslashreplace")
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=LOG_WIDTH)


def busy(what: str) -> AbstractContextManager[object]:
    """Say on a terminal what is being waited for; a log is not told."""
    return Console(stderr=True).status(Text(what))


def show_ledger(out: Console, ledger: Ledger) -> None:
    """Print who was recorded, and what else the volume said."""
    rows = [(row.recording, row.pod, row.state, str(row.files), str(row.lines), cause(row)) for row in ledger.rows]
    chosen = f"since {ledger.since}" if ledger.since else f"of run {ledger.run or '(unnamed)'}"
    show_line(out, f"{len(rows)} recordings {chosen}")
    if rows:
        out.print(_table(("recording", "pod", "state", "files", "lines", "note"), rows))
    for row in ledger.rows:
        for problem in row.problems:
            show_line(out, f"problem  {row.recording}: {problem}")
    for each in ledger.earlier:
        show_line(
            out, f"earlier, not combined  {each.recording} {f'run {each.run}' if each.run else ''} {each.note}".rstrip()
        )
    for note in ledger.notes:
        show_line(out, f"note  {note.text}")
    show_line(out, f"completeness  {ledger.completeness}")


def show_report(out: Console, report: Report, output: Path) -> None:
    """Print the three worlds by file and in total, and where to read on."""
    out.print(_table(tables.WORLD_TITLES, tables.world_rows(report)))
    if report.excluded_lines:
        show_line(out, f"excluded  {report.excluded_lines} lines, by the coverage configuration")
    for why in dict.fromkeys(report.omitted.values()):
        names = [name for name, reason in report.omitted.items() if reason == why]
        show_line(out, f"not counted  {len(names)} files, by {why}: {', '.join(names)}")
    show_line(out, f"worlds  {output / files.WORLDS}")
    show_line(out, f"HTML  {output / files.HTML / 'index.html'}")


def show_changes(out: Console, changes: Comparison | None) -> None:
    """Print what a change gained or lost."""
    if changes is not None:
        show_line(out, tables.change_title(changes))
        out.print(_table(tables.CHANGE_TITLES, tables.change_rows(changes)))


def show_losses(out: Console, ledger: Ledger) -> None:
    """Print every loss, the waived ones too."""
    for loss in ledger.losses:
        kind = "waived" if loss.waived else "LOSS"
        show_line(
            out, f"{kind}  {f'{blame(loss)}: ' if blame(loss) else ''}{loss.reason}", "" if loss.waived else "bold red"
        )


def show_table(out: Console, titles: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    """Print *rows* below *titles*."""
    out.print(_table(tuple(titles), rows))


def show_line(out: Console, text: str, style: str = "") -> None:
    """Print *text* in one line, however long."""
    out.print(Text(plain(text), style=style), soft_wrap=True)


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell), style=_COLORS.get(cell, "")) for cell in row))
    return table
