"""The part of the page that is there before any script has run: totals, ledger, what changed, what is not counted."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from coverage_hooks.collect import outputs
from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.collect.reporting import summary, tables, worlds
from coverage_hooks.collect.reporting.analysis import Report, World
from coverage_hooks.collect.reporting.compare import WORLDS, Comparison
from coverage_hooks.collect.reporting.page.data import LETTERS
from coverage_hooks.collect.reporting.summary import LISTED, blame, cause, ending, listed_losses, lost, verdict
from coverage_hooks.collect.reporting.tables import percent
from coverage_hooks.shown import plain

#: A page with more losses, or more recordings, than this starts with their list closed.
_OPEN = 8

_TITLES = {"unit": "Unit tests", "cluster": "Cluster", "combined": "Together"}
_ABSENT = {"unit": "no unit data was given", "cluster": "nothing recorded", "combined": "nothing"}
_GOOD = ("finished", "running")
_RECORDINGS = ("recording", "pod", "state", "journal", "files", "lines", "lost", "ending", "note")


def fields(ledger: Ledger, report: Report, changes: Comparison | None) -> dict[str, str]:
    """Return what the frame's placeholders stand for."""
    run = f"run {ledger.run}" if ledger.run else f"since {ledger.since}" if ledger.since else "an unnamed run"
    return {
        "title": escaped(f"Coverage of {run}"),
        "state": _state(ledger),
        "totals": "".join(_card(world, report.totals[world]) for world in WORLDS),
        "legend": "".join(_legend(report)),
        "losses": "".join(_losses(ledger)),
        "ledger": _ledger(ledger),
        "changes": _changes(changes),
        "omitted": _omitted(report),
    }


def escaped(text: str) -> str:
    """Return *text*, which anybody may have written, as what stands in an element or a quoted attribute."""
    return html.escape(plain(text), quote=True)


def _state(ledger: Ledger) -> str:
    if lost := verdict(ledger):
        return f'<a class="state bad" href="#losses">✗ {lost}</a>'
    return '<span class="state good">✓ no losses</span>'


def _card(name: str, world: World | None) -> str:
    parts = [f"lines {percent(world, 'lines')}"] if world else [_ABSENT[name]]
    if world and world.branches is not None:
        parts.append(f"branches {percent(world, 'branches')}")
    return (
        f'<div class="card {name}"><h2>{_TITLES[name]}</h2>'
        f'<p class="number">{escaped(percent(world))}</p>'
        f'<p class="quiet">{"".join(f"<span>{escaped(part)}</span> " for part in parts)}</p></div>'
    )


def _legend(report: Report) -> Iterator[str]:
    """Yield the kinds of lines with their letters and numbers, which is what the colours mean."""
    for kind, count in worlds.counts(each.lines for each in report.compared.values()).items():
        yield (
            f'<li class="{kind}" data-count="{count}"><span class="letter" aria-hidden="true">{LETTERS[kind]}</span>'
            f"<b>{count}</b> {kind.replace('_', ' ')}</li>"
        )
    yield (
        f'<li class="excluded" data-count="{report.excluded_lines}"><span class="letter" aria-hidden="true">x</span>'
        f"<b>{report.excluded_lines}</b> excluded</li>"
    )


def _losses(ledger: Ledger) -> Iterator[str]:
    if not ledger.losses:
        return
    count = f"{verdict(ledger) or 'none'}{' and waived ones' if len(ledger.open_losses) < len(ledger.losses) else ''}"
    state = "open" if len(ledger.losses) <= _OPEN else ""
    yield f'<section class="losses" id="losses"><details {state}><summary><h2>Losses</h2> <span class="quiet">{count}'
    yield "</span></summary><ul>"
    shown, rest = listed_losses(ledger)
    for loss in shown:
        waived = '<b class="waived">waived</b> ' if loss.waived else ""
        yield f"<li>{waived}<b>{escaped(blame(loss))}</b> {escaped(loss.reason)}</li>"
    if rest:
        yield f"<li>{escaped(rest)}</li>"
    yield "</ul></details></section>"


def _ledger(ledger: Ledger) -> str:
    recorded = len(ledger.recorded)
    missing = len(ledger.rows) - recorded
    count = f"{recorded} recording{'' if recorded == 1 else 's'}{f', {missing} missing' if missing else ''}"
    state = "open" if len(ledger.rows) <= _OPEN else ""
    others, more = summary.earlier(ledger)
    earlier = [f"earlier, not combined: {each.recording} {each.run} {each.note}" for each in others]
    notes = [*summary.listed_notes(ledger), *earlier, *([f"earlier, not combined: {more}"] if more else [])]
    rest = f"<p>{recorded + missing - LISTED} more: {outputs.LEDGER} has all</p>" if len(ledger.rows) > LISTED else ""
    return (
        f'<details {state}><summary><h2>Ledger</h2> <span class="quiet">{count}</span></summary>'
        + _table(_RECORDINGS, map(_row, ledger.rows[:LISTED]))
        + rest
        + f'<p class="quiet">Completeness: {escaped(ledger.completeness)}</p>{_list(notes)}</details>'
    )


def _row(row: Row) -> tuple[str, ...]:
    good = row.state in _GOOD or row.lost_nothing
    state = f'<span class="{"good" if good else "bad"}">{escaped(row.state)}</span>'
    note = "; ".join(filter(None, [cause(row), *row.problems]))
    known = (row.mode, str(row.files), str(row.lines), lost(row), ending(row), note)
    return escaped(row.recording or "(none)"), escaped(row.pod), state, *map(escaped, known)


def _changes(changes: Comparison | None) -> str:
    if changes is None:
        return ""
    rows = (tuple(map(escaped, row)) for row in tables.change_rows(changes))
    return (
        f"<details open><summary><h2>Changes</h2> "
        f'<span class="quiet">{escaped(tables.change_title(changes))}</span></summary>'
        f"{_table(tables.CHANGE_TITLES, rows)}</details>"
    )


def _omitted(report: Report) -> str:
    if not report.omitted:
        return ""
    rows = ((escaped(name), escaped(why)) for name, why in report.omitted.items())
    return (
        f'<details><summary><h2>Not counted</h2> <span class="quiet">{len(report.omitted)} files that the coverage '
        f"configuration leaves out</span></summary>{_table(('file', 'because of'), rows)}</details>"
    )


def _table(titles: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table of *rows* of HTML; on a narrow screen each cell says its title itself."""
    titles = list(titles)
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = "".join(
        "<tr>"
        + "".join(f'<td data-title="{title}">{cell}</td>' for title, cell in zip(titles, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _list(texts: list[str]) -> str:
    return f'<ul class="quiet">{"".join(f"<li>{escaped(text)}</li>" for text in texts)}</ul>' if texts else ""
