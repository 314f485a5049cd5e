"""What the documentation says of damage comes of it: each row is done again, next to recordings that stay whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.damages.catalogue import CATALOGUE, Case, Lines
from tests.damages.collected import play
from tests.damages.document import DAMAGE, frame, row
from tests.damages.recorded import GOOD, Recorded, record
from tests.unit.collect.spoiling import DAMAGES

CASES = [pytest.param(case, id=f"{title}: {case.done}") for title, cases in CATALOGUE.items() for case in cases]

#: Nothing of such a recording arrives; absent from the ledger is one that left nothing, or is another run's.
NOTHING = {"damaged", "announced", "empty", ""}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("recorded"))


def merged(parts: Iterable[Lines]) -> Lines:
    found: Lines = {}
    for part in parts:
        for name, lines in part.items():
            found[name] = found.get(name, set()) | lines
    return found


def beginnings(page: str) -> list[str]:
    """Return the lines of *page*, of rows what was done only."""
    return [line.partition(" | ")[0] for line in page.splitlines()]


@pytest.mark.parametrize("case", CASES)
def test_damage_is_told_as_it_is_documented(recorded: Recorded, tmp_path: Path, case: Case) -> None:
    outcome = play(recorded, case, tmp_path)
    assert outcome.exit_code == case.exit_code, outcome.output
    assert "Traceback" not in outcome.output
    assert case.reason in " ".join(outcome.printed)
    assert bool(outcome.printed) == bool(case.reason)
    assert row(case, outcome) in DAMAGE.read_text().splitlines(), "run `make docs`"
    if not case.sound:
        assert outcome.lines == {}
        return
    if case.exit_code and "--expect" not in case.options:  # of whom nobody knows there is no name
        lost = [line for line in outcome.output.splitlines() if line.startswith("LOSS  ")]
        assert all(outcome.recording in line for line in lost)
        assert lost
    assert len(outcome.sound) == len(GOOD)
    for name, lines in outcome.sound.items():
        assert outcome.kept[name] == lines
    assert outcome.lines == merged(outcome.kept.values())
    if outcome.state in NOTHING:
        assert outcome.kept == outcome.sound
    for path, found in outcome.kept.get(outcome.recording, {}).items():
        [more] = [lines for name, lines in case.more.items() if path.endswith(f"/{name}")] or [set()]
        assert found == outcome.ran.get(path, set()) | more


def test_the_page_has_these_rows_and_no_others() -> None:
    page = "\n".join(frame(lambda case: f"| {case.done} | "))
    assert beginnings(DAMAGE.read_text()) == beginnings(page), "run `make docs`"


def test_nothing_that_the_unit_tests_know_is_left_out() -> None:
    assert {case.unit for cases in CATALOGUE.values() for case in cases} - {""} == set(DAMAGES)
