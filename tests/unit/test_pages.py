"""What the pages tell people to type is there to be typed, and what they point to is there to be read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from coverage_hooks.cli import commands
from tests.pages import ROOT, shown_commands

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("charts/*/*.md"),
        *ROOT.glob("examples/*/*.md"),
    )
)
COMMANDS = [(page, command) for page in PAGES for command in shown_commands(page)]
_PLUGIN = (ROOT / "coverage_hooks" / "pytest_plugin.py").read_text()
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def words(command: str) -> list[str]:
    """Return the words of a command line up to a pipe, and without variables in front."""
    found = shlex.split(command.replace("…", ""))
    found = found[: found.index("|")] if "|" in found else found
    while found and re.match(r"[A-Z_]+=", found[0]):
        found = found[1:]
    return found


def typed(program: str) -> list[tuple[str, str]]:
    """Return the shown commands of *program*, each with its page."""
    return [(page, command) for page, command in COMMANDS if program in Path((words(command) or [""])[0]).name]


def test_there_are_commands_to_look_at() -> None:
    assert len(typed("coverage-hooks")) > 10
    assert len(typed("make")) > 3


@pytest.mark.parametrize(("page", "command"), typed("coverage-hooks"))
def test_each_command_and_each_of_its_options_is_there(page: str, command: str) -> None:
    _, name, *rest = words(command)
    found = commands.get_command(click.Context(commands), name)
    assert found is not None, command
    if name not in {"run", "kopf-run"}:  # whose options are the program's, and Kopf's
        options = {option for each in found.params for option in each.opts}
        assert {each.partition("=")[0] for each in rest if each.startswith("-")} <= options, command


@pytest.mark.parametrize(("page", "command"), typed("make"))
def test_each_target_of_make_is_there(page: str, command: str) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words(command)[1:] if "=" not in word} <= set(targets), command


def test_pytest_has_the_options_of_the_plugin_that_are_shown() -> None:
    shown = {word for page in PAGES for word in re.findall(r"--coverage-hooks-([a-z-]+)", (ROOT / page).read_text())}
    assert shown
    assert {word for word in shown if f'"{word}"' not in _PLUGIN and f"coverage-hooks-{word}" not in _PLUGIN} == set()


def test_nobody_is_told_to_install_what_no_index_has() -> None:
    for page in PAGES:
        found = re.findall(r"pip install ['\"]?coverage-hooks\S*(?! @)(?=\s(?!@))", (ROOT / page).read_text())
        assert found == [], page


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    """Return what GitHub calls the headings of *page*."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
