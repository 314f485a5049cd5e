"""Losses, waived and not, look alike nowhere: on the terminal, in Markdown, and on the page."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.collect.reporting import page, summary, terminal
from coverage_hooks.collect.reporting.analysis import Report, World
from coverage_hooks.collect.reporting.compare import Change, Comparison
from coverage_hooks.collect.reporting.page import overview
from tests.unit.collect.test_page import EVIL, Parsed

NOTHING = Report(
    totals=dict.fromkeys(("unit", "cluster", "combined")), files={}, compared={}, paths={}, omitted={},
    excluded_lines=0,
)  # fmt: skip
KNOWN, WAIVED = Row(recording="known"), Row(recording="waived")


def ledger(known: int, waived: int) -> Ledger:
    """Return one with so many losses of each, those that are waived first."""
    made = Ledger(waivers=["waived"], rows=[WAIVED, KNOWN])
    for row, count in ((WAIVED, waived), (KNOWN, known)):
        for number in range(count):
            made.lose("verify", row, f"loss {number}")
    return made


def terminal_of(ledger: Ledger) -> list[str]:
    written = io.StringIO()
    out = Console(file=written, highlight=False, width=terminal.LOG_WIDTH)
    terminal.show_ledger(out, ledger)
    terminal.show_losses(out, ledger)
    return written.getvalue().splitlines()


def markdown_of(ledger: Ledger) -> list[str]:
    return list(summary._lines(ledger, NOTHING, None))


@pytest.mark.parametrize(
    ("known", "waived", "title", "state", "count"),
    [
        (0, 0, "none", "✓ no losses", ""),
        (0, 1, "none", "✓ no losses", "none and waived ones"),
        (2, 0, "2 losses", "✗ 2 losses", "2 losses"),
        (1, 1, "1 loss", "✗ 1 loss", "1 loss and waived ones"),
    ],
)
def test_how_many_count_is_said_everywhere(known: int, waived: int, title: str, state: str, count: str) -> None:
    shown = ledger(known, waived)
    lines = terminal_of(shown)
    assert sum(line.startswith("LOSS  known: ") for line in lines) == known
    assert sum(line.startswith("waived  waived: ") for line in lines) == waived
    lines = markdown_of(shown)
    assert f"## Losses: {title}" in lines
    assert sum(line.startswith("- known: ") for line in lines) == known
    assert sum(line.startswith("- (waived) waived: ") for line in lines) == waived
    fields = overview.fields(shown, NOTHING, None)
    assert f">{state}<" in fields["state"]
    assert f'<span class="quiet">{count}</span>' in fields["losses"] if count else not fields["losses"]
    assert fields["losses"].count('<b class="waived">waived</b> <b>waived</b>') == waived
    assert fields["losses"].count("<li><b>known</b>") == known


def test_of_too_many_those_that_count_come_first() -> None:
    shown = ledger(3, terminal.MANY_LOSSES)
    lines = terminal_of(shown)
    assert [line for line in lines if line.startswith("LOSS  known: ")] == [f"LOSS  known: loss {n}" for n in range(3)]
    assert lines[-1].startswith("LOSS  and 3 more losses: ")


def test_of_too_many_that_are_all_waived_none_is_called_a_loss() -> None:
    lines = terminal_of(ledger(0, terminal.MANY_LOSSES + 1))
    assert lines[-1].startswith("waived  and 1 more loss: ")
    assert not [line for line in lines if line.startswith("LOSS")]


def test_one_recording_does_not_hide_the_losses_of_another() -> None:
    shown = ledger(2 * terminal.MANY_LOSSES, 0)
    shown.enter(Row(recording="other"))
    shown.lose("verify", shown.rows[-1], "damaged")
    assert "LOSS  other: damaged" in terminal_of(shown)


def test_of_many_recordings_one_of_which_there_is_something_to_tell_is_shown() -> None:
    rows = [Row(recording=f"good-{number}", state="finished") for number in range(terminal.MANY_ROWS)]
    rows[3].note = "it was restarted"
    lines = terminal_of(Ledger(rows=rows))
    assert [line.split()[0] for line in lines if line.startswith("good-")] == ["good-3"]


def test_processes_that_recorded_nothing_are_counted() -> None:
    lines = terminal_of(Ledger(run="r", rows=[KNOWN, Row(recording="", state="missing")]))
    assert lines[0] == "1 recording of run r, 1 missing"


@pytest.mark.parametrize(
    ("row", "lost"),
    [
        ({"state": "silent"}, "unknown"),
        ({"state": "killed"}, "unknown"),
        ({"state": "ended"}, "unknown"),
        ({"state": "killed", "lost_seconds": 1.25}, "<= 1.25 s"),
        ({"state": "finished"}, ""),
    ],
)
def test_how_much_is_lost_is_never_left_open_after_an_end_without_a_last_save(row: dict[str, Any], lost: str) -> None:
    assert summary.lost(Row(recording="known", **row)) == lost


def test_an_ending_that_nobody_saw_is_told_from_one_that_a_witness_saw() -> None:
    seen = Row(recording="known", ending="OOMKilled", restart=2)
    assert summary.ending(seen) == "restart 2: OOMKilled"
    seen.asked = True
    assert summary.ending(seen) == "restart 2: OOMKilled (asked afterwards)"


def test_whatever_an_earlier_summary_says_is_text() -> None:
    world = World(lines=50, branches=None, percent=50)
    change = {"unit": Change(before=None, after=None), "cluster": Change(before=None, after=world),
              "combined": Change(before=world, after=world)}  # fmt: skip
    worlds = {"unit": None, "cluster": world, "combined": world}
    changes = Comparison(
        run=EVIL, part="percent", totals=change, files={EVIL: change}, added={EVIL: worlds}, removed={EVIL: worlds}
    )
    text = page.render(Ledger(), NOTHING, changes)
    parsed = Parsed(text)
    assert [tag for tag, _ in parsed.elements].count("script") == 2
    assert "img" not in [tag for tag, _ in parsed.elements]
    assert text.count("&lt;img src=x onerror=alert(2)&gt;") == 4


@pytest.mark.parametrize(
    ("row", "how"),
    [
        ({"state": "finished"}, "good"),
        ({"state": "running"}, "good"),
        ({"state": "killed", "lost_seconds": 0.0}, "good"),
        ({"state": "killed", "lost_seconds": 0.5}, "bad"),
        ({"state": "silent"}, "bad"),
        ({"state": "missing"}, "bad"),
        ({"state": "damaged"}, "bad"),
    ],
)
def test_the_page_marks_what_is_not_well(row: dict[str, Any], how: str) -> None:
    shown = overview.fields(Ledger(rows=[Row(recording="known", **row)]), NOTHING, None)["ledger"]
    assert f'<span class="{how}">{row["state"]}</span>' in shown
