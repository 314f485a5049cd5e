"""Makes the pages that are made: ``python -m tests.documents``, or `make docs`.

docs/commands.md is what the commands say of themselves; docs/damage.md is what comes of every damage, see
`tests.damages`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from coverage_hooks.cli import commands
from tests.damages.document import DAMAGE, damage_document

COMMANDS = Path(__file__).parents[1] / "docs" / "commands.md"

_HEAD = """\
# Commands

What `coverage-hooks COMMAND --help` says, made from it by `make docs`. `python -m coverage_hooks` is the same program.
What it writes and its exit codes are in [reference.md](reference.md).
"""


def commands_document() -> str:
    """Return the content of docs/commands.md."""
    context = click.Context(commands)
    names = commands.list_commands(context)
    return "\n".join([_HEAD, *(line for name in names for line in _section(name, commands.get_command(context, name)))])


def _section(name: str, command: click.Command | None) -> Iterator[str]:
    assert command is not None
    yield f"## `{name}`\n"
    yield f"{inspect.cleandoc(command.help or command.short_help or '')}\n"
    options = [each for each in command.params if isinstance(each, click.Option)]
    if not options:
        return
    yield "| option | |"
    yield "|---|---|"
    for option in options:
        yield f"| {_spelling(option)} | {_meaning(option)} |"
    yield ""


def _spelling(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    return names if option.is_flag or option.count else f"{names} {option.metavar or ''}".strip()


def _meaning(option: click.Option) -> str:
    shown = f" Default: {option.default}." if option.show_default and option.default is not None else ""
    return f"{option.help or ''}{shown}".replace("|", "\\|").replace("\n", " ").strip()


if __name__ == "__main__":
    COMMANDS.write_text(commands_document())
    DAMAGE.write_text(damage_document())
