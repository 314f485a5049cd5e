"""One sound recording among every damage there is: the sound one is reported completely, every other one by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coverage_hooks.cli import commands
from tests.unit.collect.building import make_project, record
from tests.unit.collect.spoiling import DAMAGES


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    output: str
    summary: dict[str, Any]
    names: dict[str, str]
    written: set[Path]
    allowed: Path


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What comes of collecting all of them at once: one collect for each would say the same and take a minute."""
    base = tmp_path_factory.mktemp("damage")
    project, volume = make_project(base / "checkout"), base / "volume"
    names = {}
    for number, (what, damage) in enumerate(DAMAGES.items()):
        recording = record(volume, host=f"spoilt-{number}")
        names[what] = recording.name
        damage.spoil(recording)
    names["sound"] = record(volume, host="sound").name
    before = {path for path in base.rglob("*") if not path.is_relative_to(project.root / ".git")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        result = CliRunner().invoke(commands, ["collect", "--from", str(volume)], catch_exceptions=False)
    after = {path for path in base.rglob("*") if not path.is_relative_to(project.root / ".git")}
    summary = json.loads((project.root / "build/coverage/summary.json").read_bytes())
    return Outcome(result.exit_code, result.output, summary, names, after - before, project.root / "build")


def test_the_exit_code_says_that_something_is_lost(outcome: Outcome) -> None:
    assert outcome.exit_code == 1
    assert "Traceback" not in outcome.output


def test_the_sound_recording_is_reported_completely(outcome: Outcome) -> None:
    """And with it the one line more that others say ran, in records before the first that is damaged."""
    assert outcome.summary["totals"]["cluster"]["percent"] == 70
    assert outcome.summary["files"]["shop/cart.py"]["combined"]["lines"] == 100
    assert outcome.summary["files"]["shop/parts/till.py"]["combined"]["lines"] == 50
    assert outcome.names["sound"] not in {loss["recording"] for loss in outcome.summary["losses"]}


@pytest.mark.parametrize("what", DAMAGES)
def test_every_damage_is_a_loss_by_name(outcome: Outcome, what: str) -> None:
    [loss] = [loss for loss in outcome.summary["losses"] if loss["recording"] == outcome.names[what]]
    assert DAMAGES[what].reason in loss["reason"]
    assert loss["file"] == DAMAGES[what].file
    assert f"LOSS  {outcome.names[what]} {loss['file']}: " in outcome.output


def test_what_did_not_arrive_is_not_counted(outcome: Outcome) -> None:
    counts: dict[str, int] = {}
    for row in outcome.summary["ledger"]:
        counts[row["state"]] = counts.get(row["state"], 0) + row["lines"] + row["files"] + row["arcs"]
    assert counts["damaged"] == counts["empty"] == 0
    assert counts["finished"] > 0


def test_nothing_is_written_outside_the_output_folder(outcome: Outcome) -> None:
    assert outcome.written
    assert all(path == outcome.allowed or path.is_relative_to(outcome.allowed) for path in outcome.written)
