"""One collect as two documents: ``summary.json`` for programs, ``summary.md`` for the page of a build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coverage_hooks.collect import outputs
from coverage_hooks.collect.ledger import Earlier, Ledger, Loss, Row, as_document
from coverage_hooks.collect.reporting import compare, tables
from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.collect.reporting.compare import Comparison
from coverage_hooks.collect.reporting.tables import percent as percent  # noqa: PLC0414 - it is asked for here
from coverage_hooks.collect.text import counted, markdown

FORMAT = 1

#: How many losses, recordings and notes each are listed in a document; `files.LEDGER` has more.
LISTED = 300

#: How many recordings of other runs are named: a volume that nobody prunes has more of them every day.
EARLIER = 5

#: Where the list of files starts, which is as long as the operator is large.
FILES = "## Files"


def write(output: Path, ledger: Ledger, report: Report, changes: Comparison | None = None) -> None:
    """Write both documents into folder *output*."""
    outputs.write_json(output / outputs.SUMMARY_JSON, document(ledger, report, changes))
    outputs.write(output / outputs.SUMMARY_MARKDOWN, "\n".join(_lines(ledger, report, changes)) + "\n")


def document(ledger: Ledger, report: Report, changes: Comparison | None = None) -> dict[str, Any]:
    """Return the summary as it is written to ``summary.json``."""
    return {
        "format": FORMAT,
        **tables.report_document(report),
        "compared": compare.as_document(changes) if changes is not None else None,
        **as_document(ledger),
    }


def verdict(ledger: Ledger) -> str:
    """Return how many losses are not waived, and how many thresholds are missed; empty for none of either."""
    missed = sum(loss.kind == "threshold" for loss in ledger.open_losses)
    lost = sum(loss.count for loss in ledger.open_losses) - missed
    losses = f"{lost} {'loss' if lost == 1 else 'losses'}" if lost else ""
    return ", and ".join(filter(None, (losses, counted(missed, "missed threshold") if missed else "")))


def blame(loss: Loss) -> str:
    """Return what *loss* names: recording, pod and file, as far as they are known."""
    pod = f"(pod {loss.pod})" if loss.pod else ""
    return " ".join(filter(None, (loss.recording, pod, loss.file)))


def listed_losses(ledger: Ledger, most: int = LISTED) -> tuple[list[Loss], str]:
    """Return at most so many losses, and what there is to say of the rest.

    Where there are more, the open ones and those of each recording get a turn: one recording must not hide the others.
    """
    told = [loss for loss in ledger.losses if loss.count == 1]
    total = sum(loss.count for loss in ledger.losses)
    shown = told
    if total > most:
        turns: Counter[str] = Counter()
        by_turn = []
        for loss in told:
            turns[loss.recording] += 1
            by_turn.append((loss.waived, turns[loss.recording] > most // 4, loss))
        shown = [loss for *_, loss in sorted(by_turn, key=lambda each: each[:2])[:most]]
    return shown, _rest(total - len(shown), len(told) - len(shown), "loss", "losses")


def listed_notes(ledger: Ledger, most: int = LISTED) -> list[str]:
    """Return at most so many notes, and in one more what there is to say of the rest."""
    rest = len(ledger.notes) - most
    more = _rest(rest, rest, "note", "notes")
    return [*(note.text for note in ledger.notes[:most]), *([more] if more else [])]


def _rest(count: int, kept: int, one: str, several: str) -> str:
    """Return what to say of *count* things that are not listed, of which the ledger keeps some."""
    if count <= 0:
        return ""
    has = f"{outputs.LEDGER} has {'all' if kept == count else kept} of them"
    return f"and {count} more {one if count == 1 else several}: {has}"


def cause(row: Row) -> str:
    """Return what there is to say about *row* besides its state."""
    parent = f"child of {row.parent}" if row.parent else ""
    return "; ".join(filter(None, (row.note, parent)))


def ending(row: Row) -> str:
    """Return how the process of *row* ended, as far as Kubernetes told, and which start of its container it was."""
    restart = f"restart {row.restart}: " if row.restart else ""
    return f"{restart}{row.ending}{' (asked afterwards)' if row.asked else ''}" if row.ending else ""


def earlier(ledger: Ledger) -> tuple[list[Earlier], str]:
    """Return the recordings of other runs, the newest when there are many, and what there is to say of the rest."""
    if (rest := len(ledger.earlier) - EARLIER) <= 0:
        return ledger.earlier, ""
    newest = sorted(ledger.earlier, key=lambda each: each.started_at)[-EARLIER:]
    return newest, f"and {rest} more, which {outputs.LEDGER} has; `coverage-hooks prune` deletes them from a folder"


def lost(row: Row) -> str:
    """Return how much *row* lost at its end, as far as that is known."""
    if row.lost_nothing:
        return "nothing"
    if row.lost_seconds is not None:
        return f"<= {row.lost_seconds:g} s"
    return "unknown" if row.state in {"silent", "killed", "ended"} else ""


def _lines(ledger: Ledger, report: Report, changes: Comparison | None) -> Iterator[str]:
    yield "# Coverage"
    yield ""
    yield from _totals(report)
    yield ""
    yield from _losses(ledger)
    yield ""
    yield "## Recordings"
    yield ""
    yield from _table("recording", "pod", "state", "journal", "lines", "lost", "ending", "note")
    for row in ledger.rows[:LISTED]:
        note = "; ".join([cause(row), *row.problems]).strip("; ")
        cells = (row.recording or "(none)", row.pod, row.state, row.mode, str(row.lines), lost(row), ending(row), note)
        yield _row(*cells)
    if rest := _rest(len(ledger.rows) - LISTED, len(ledger.rows) - LISTED, "recording", "recordings"):
        yield from ("", markdown(rest))
    yield ""
    yield f"Completeness: {markdown(ledger.completeness)}"
    listed, more = earlier(ledger)
    for each in listed:
        yield f"- earlier, not combined: {markdown(each.recording)} {markdown(each.run)}"
    if more:
        yield f"- earlier, not combined: {markdown(more)}"
    yield from (f"- {markdown(text)}" for text in listed_notes(ledger))
    yield ""
    yield from _changes(changes)
    yield FILES
    yield ""
    yield from _table(*tables.WORLD_TITLES)
    yield from (_row(*row) for row in tables.world_rows(report))
    yield from ("", *(f"- not counted: {markdown(name)}: {markdown(why)}" for name, why in report.omitted.items()))


def _changes(changes: Comparison | None) -> Iterator[str]:
    if changes is not None:
        yield f"## Files {markdown(tables.change_title(changes))}"
        yield ""
        yield from _table(*tables.CHANGE_TITLES)
        yield from (_row(*row) for row in tables.change_rows(changes))
        yield ""


def _totals(report: Report) -> Iterator[str]:
    yield from _table("", *report.totals)
    for part in ("lines", "branches", "percent"):
        yield _row(part, *(percent(world, part) for world in report.totals.values()))


def _losses(ledger: Ledger) -> Iterator[str]:
    yield f"## Losses: {verdict(ledger) or 'none'}"
    yield ""
    shown, rest = listed_losses(ledger)
    for loss in shown:
        whose = f"{markdown(blame(loss))}: " if blame(loss) else ""
        yield f"- {'(waived) ' if loss.waived else ''}{whose}{markdown(loss.reason)}"
    if rest:
        yield f"- {markdown(rest)}"


def _table(*titles: str) -> Iterator[str]:
    yield _row(*titles)
    yield "|" + "---|" * len(titles)


def _row(*cells: str) -> str:
    return f"| {' | '.join(markdown(cell) for cell in cells)} |"
