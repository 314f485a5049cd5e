"""What a volume says is shown, and does nothing else, on a terminal, in Markdown and in HTML."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_hooks.collect.reporting.analysis import World
from coverage_hooks.collect.reporting.summary import percent
from coverage_hooks.collect.reporting.terminal import MANY_ROWS
from coverage_hooks.collect.text import folder_name, markdown
from coverage_hooks.shown import plain
from tests.unit.collect.building import STARTED, Project, pod, record
from tests.unit.collect.conftest import Run

EVIL = "\x1b[31mred\x07 [bold]x[/bold] <script>alert(1)</script> | `a` [b](c) \u202e\ud800 \n# title"


@given(st.text())
def test_plain_text_is_one_printable_line(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable() or not shown
    assert text.isprintable() == (shown == text) or len(text) > 1000


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_markdown_has_no_bare_markup(text: str) -> None:
    shown = markdown(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|#&~!]", shown)


@given(st.text(), st.text())
def test_folder_names_are_plain_and_never_shared(one: str, other: str) -> None:
    name = folder_name(one)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,99}", name)
    assert (name == folder_name(other)) == (one == other)


def test_a_made_folder_name_is_no_plain_one() -> None:
    made = folder_name("a b")
    assert folder_name(made) != made


def test_long_texts_are_cut() -> None:
    shown = plain(f"the beginning {'x' * 100_000} the end")
    assert len(shown) < 1100
    assert shown.startswith("the beginning x")
    assert shown.endswith("x the end")


@pytest.mark.parametrize(("value", "shown"), [(100, "100.0 %"), (99.99, "99.9 %"), (0, "0.0 %"), (66.66, "66.7 %")])
def test_nothing_is_rounded_up_to_everything(value: float, shown: str) -> None:
    assert percent(World(lines=value, branches=None, percent=value)) == shown
    assert percent(World(lines=value, branches=None, percent=value), "branches") == percent(None) == "-"


def test_evil_texts_are_shown_in_every_output(run: Run, volume: Path, project: Project) -> None:
    measured = {f"{EVIL[:60]}.py": {1}}
    source = {f"{EVIL[:60]}.py": "x = 1\n"}
    record(volume, run=EVIL, problems=[EVIL], pod=pod(EVIL), revision=EVIL, measured=measured, sources=source)
    result = run("collect")
    assert result.exit_code == 1
    assert not set(result.output) & {"\x1b", "\x07", "\u202e", "\ud800"}
    assert "\\x1b[31mred\\x07 [bold]x[/bold]" in result.output
    output = project.root / "build/coverage"
    text = (output / "summary.md").read_text()
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "<script>" not in text
    assert "\n# title" not in text
    assert json.loads((output / "summary.json").read_text())["run"] == EVIL
    for page in (output / "html").glob("*.html"):
        assert "alert(1)" not in html.unescape(page.read_text())


def test_an_encoding_that_lacks_a_letter_ends_nothing(volume: Path, project: Project) -> None:
    recording = record(volume, problems=["größer \u2603"])
    done = subprocess.run(
        [sys.executable, "-m", "coverage_hooks", "collect", "--from", str(volume)],
        cwd=project.root, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=True,
    )  # fmt: skip
    assert f"problem  {recording.name}: gr\\xf6\\xdfer \\u2603".encode() in done.stdout


@pytest.mark.parametrize("quiet", [MANY_ROWS - 3, MANY_ROWS - 2])
def test_of_many_recordings_those_are_shown_of_which_there_is_something_to_tell(
    run: Run, volume: Path, quiet: int
) -> None:
    for number in range(quiet):  # no two of them the same
        lines = {line for line in range(1, 8) if number + 1 >> line - 1 & 1}
        record(volume, host="quiet", started_at=STARTED + timedelta(seconds=number), measured={"shop/cart.py": lines})
    record(volume, host="spawned").change_process(parent="operator-20260131T235959Z-0123abcd")
    record(volume, host="damaged").journal.unlink()
    result = run("collect")
    shown = [line for line in result.output.splitlines() if line.startswith("quiet-") and "finished" in line]
    counted = f"{quiet} more finished, with nothing to tell of them" in result.output
    assert (len(shown), counted) == ((quiet, False) if quiet + 2 < MANY_ROWS else (0, True))
    assert [line.split("-")[0] for line in result.output.splitlines() if re.match("(spawned|damaged)-", line)] == [
        "damaged",
        "spawned",
    ]
