"""One collect on a terminal: tables where there is one, the same words in a log.

A table that a narrow terminal has no room for is shown otherwise there: it would be columns of halves of words.

Everything that came from a volume goes through `plain` and is never read as markup.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from coverage_hooks.collect import outputs
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.reporting import tables
from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.collect.reporting.compare import WORLDS, Comparison
from coverage_hooks.collect.reporting.summary import blame, cause, earlier, ending, listed_losses, listed_notes, lost
from coverage_hooks.collect.text import counted
from coverage_hooks.shown import plain

#: One line of a table.
Row = tuple[str, ...]

_COLORS = {
    "finished": "green",
    "running": "green",
    "silent": "yellow",
    "silent?": "yellow",
    "killed": "yellow",
    "ended": "yellow",
    "nothing": "green",
    "missing": "red",
    "damaged": "red",
    "announced": "red",
    "empty": "red",
}

#: From how many rows on those of which there is nothing to tell are only counted.
MANY_ROWS = 40

#: How many losses, notes and problems are shown, and how many lines the table of recordings has.
MANY_LOSSES, MANY_NOTES, MANY_PROBLEMS, MANY_LINES = 100, 12, 8, 60

_RECORDINGS = ("recording", "pod", "state", "journal", "files", "lines", "lost", "ending", "note")

#: From how many columns on a terminal is given whole tables, as a log is.
WIDE = 120

#: Spaces between two columns.
_GAP = 2

#: More columns than any table has.
_ROOMY = 100_000

#: What a log that is no terminal is given: names of recordings are long.
LOG_WIDTH = 160


def console() -> Console:
    """Return the console that results go to."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path that the terminal's encoding lacks is shown as its escape, and does not end the collect.
        sys.stdout.reconfigure(errors="backslashreplace")
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=LOG_WIDTH)


def show_ledger(out: Console, ledger: Ledger) -> None:
    """Print who was recorded, and what else the volume said."""
    shown = [row for row in ledger.rows if len(ledger.rows) < MANY_ROWS or row.state != "finished" or cause(row)]
    rows: list[Row] = [
        (
            row.recording or "(none)",
            row.pod,
            row.state,
            row.mode,
            str(row.files),
            str(row.lines),
            lost(row),
            ending(row),
            cause(row),
        )
        for row in shown
    ]
    chosen = f"since {ledger.since}" if ledger.since else f"of run {ledger.run or '(unnamed)'}"
    missing = len(ledger.rows) - len(ledger.recorded)
    show_line(out, f"{counted(len(ledger.recorded), 'recording')} {chosen}{f', {missing} missing' if missing else ''}")
    if fitting := _fitting(out, _RECORDINGS, rows):
        show_table(out, _RECORDINGS, fitting)
    if others := len(rows) - len(fitting):
        show_line(out, f"{others} more of which there is something to tell: {outputs.LEDGER} has all")
    if others := len(ledger.rows) - len(rows):
        show_line(
            out, f"{others} {'more ' if rows else ''}finished, with nothing to tell of them: {outputs.LEDGER} has all"
        )
    problems = [(row.recording, problem) for row in ledger.rows for problem in row.problems]
    for recording, problem in problems[:MANY_PROBLEMS]:
        show_line(out, f"problem  {recording}: {problem}")
    if (others := len(problems) - MANY_PROBLEMS) > 0:
        show_line(out, f"problem  and {others} more: {outputs.LEDGER} has all")
    listed, more = earlier(ledger)
    for each in listed:
        show_line(
            out, f"earlier, not combined  {each.recording} {f'run {each.run}' if each.run else ''} {each.note}".rstrip()
        )
    if more:
        show_line(out, f"earlier, not combined  {more}")
    for text in listed_notes(ledger, MANY_NOTES):
        show_line(out, f"note  {text}")
    show_line(out, f"completeness  {ledger.completeness}")


def show_report(out: Console, report: Report, output: Path) -> None:
    """Print the three worlds by file and in total, and where to read on."""
    if _by_files(out, tables.WORLD_TITLES, list(tables.world_rows(report)), kept=1 + len(WORLDS)):
        show_line(out, f"left out of {out.width} columns  counts and missed lines: {WIDE} show them, as do the pages")
    if report.excluded_lines:
        show_line(out, f"excluded  {counted(report.excluded_lines, 'line')}, by the coverage configuration")
    for why in dict.fromkeys(report.omitted.values()):
        names = [name for name, reason in report.omitted.items() if reason == why]
        show_line(out, f"not counted  {counted(len(names), 'file')}, by {why}: {', '.join(names)}")
    show_line(out, f"worlds  {output / outputs.WORLDS}")
    show_line(out, f"HTML  {output / outputs.HTML / 'index.html'}")


def show_changes(out: Console, changes: Comparison | None) -> None:
    """Print what a change gained or lost."""
    if changes is not None:
        show_line(out, tables.change_title(changes))
        _by_files(out, tables.CHANGE_TITLES, list(tables.change_rows(changes)), kept=len(tables.CHANGE_TITLES))


def show_losses(out: Console, ledger: Ledger) -> None:
    """Print every loss, the waived ones too; where there are many, some of each recording."""
    shown, rest = listed_losses(ledger, MANY_LOSSES)
    for loss in shown:
        kind = "waived" if loss.waived else "LOSS"
        show_line(
            out, f"{kind}  {f'{blame(loss)}: ' if blame(loss) else ''}{loss.reason}", "" if loss.waived else "bold red"
        )
    if rest:
        show_line(out, f"LOSS  {rest}" if ledger.open_losses else f"waived  {rest}")


def show_table(out: Console, titles: Iterable[str], rows: Iterable[Row]) -> None:
    """Print *rows* below *titles*."""
    out.print(_shown(out, tuple(titles), list(rows)))


@contextmanager
def live(out: Console, titles: Iterable[str], moving: Container[str] = ()) -> Iterator[Callable[[list[Row]], None]]:
    """Give a function that shows a table again and again: in its place on a terminal, elsewhere line by line.

    A line is printed when it is new, or differs in more than those columns that are *moving* by themselves.
    """
    columns = tuple(titles)
    if out.is_terminal:
        with Live(console=out, auto_refresh=False) as shown:
            yield lambda rows: shown.update(_shown(out, columns, rows), refresh=True)
        return
    fixed = [number for number, title in enumerate(columns) if title not in moving]
    before: set[Row] = set()

    def show(rows: list[Row]) -> None:
        for row in rows:
            if (key := tuple(row[number] for number in fixed)) not in before:
                before.add(key)
                show_line(out, "  ".join(cell or "-" for cell in row))

    show_line(out, "  ".join(columns))
    yield show


def show_line(out: Console, text: str, style: str = "") -> None:
    """Print *text* in one line, however long."""
    out.print(Text(plain(text), style=style), soft_wrap=True)


def _by_files(out: Console, titles: Row, rows: list[Row], *, kept: int) -> bool:
    """Print a table whose first column is files; return whether only its *kept* first columns had room.

    Then the names of files are cut at their front: what tells them apart is at the end.
    """
    table = _table(titles, rows)
    if not out.is_terminal:  # nothing ends a line of a log, and no search finds a name that goes on below
        out.width = max(out.width, _whole_width(out, table))
    if _has_room(out, table):
        out.print(table)
        return False
    some = [row[:kept] for row in rows]
    others = zip(*(row[1:] for row in (titles[:kept], *some)), strict=True)
    room = max(8, out.width - sum(max(map(cell_len, column)) + _GAP for column in others) - _GAP)
    out.print(_table(titles[:kept], [(_end_of(row[0], room), *row[1:]) for row in some]))
    return kept < len(titles)


def _shown(out: Console, titles: Row, rows: list[Row]) -> RenderableType:
    """Return a table, or where it has no room the first cell of each row, and the others named below it."""
    if _has_room(out, table := _table(titles, rows)):
        return table
    return Group(*(part for row in rows for part in _block(titles, row)))


def _fitting(out: Console, titles: Row, rows: list[Row]) -> list[Row]:
    """Return as many *rows* as a table of `MANY_LINES` has room for, at least one; all when they are few and short."""
    rows = rows[:MANY_LINES]
    while len(rows) > 1 and len(out.render_lines(_shown(out, titles, rows), pad=False)) > MANY_LINES:
        rows = rows[: len(rows) * 3 // 4]
    return rows


def _block(titles: Row, row: Row) -> Iterator[RenderableType]:
    yield _cell(row[0])
    named = [Text.assemble(f"{title} ", _cell(cell)) for title, cell in zip(titles[1:], row[1:], strict=True) if cell]
    yield Padding(Text("  ").join(named), (0, 0, 0, _GAP), expand=False)


def _has_room(out: Console, table: Table) -> bool:
    """Return whether *out* shows all of *table* without breaking a cell, or is wide enough to have it anyway."""
    if not out.is_terminal or out.width >= WIDE:
        return True
    return _whole_width(out, table) <= out.width


def _whole_width(out: Console, table: Table) -> int:
    """Return how wide *table* is when no cell of it is broken."""
    # Measured where everything has room: otherwise the answer would be the width that there is.
    return out.measure(table, options=out.options.update(width=_ROOMY)).maximum


def _end_of(name: str, room: int) -> str:
    """Return *name*, or as much of its end as *room* cells take."""
    shown = plain(name)
    if cell_len(shown) <= room:
        return shown
    while cell_len(shown) >= room:
        shown = shown[1:]
    return f"…{shown}"


def _table(titles: Row, rows: Iterable[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(text: str) -> Text:
    return Text(plain(text), style=_COLORS.get(text, ""))
