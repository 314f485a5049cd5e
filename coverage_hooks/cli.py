"""The command line ``coverage-hooks``: names, exit codes, and the one place that turns expected errors into both.

A command's module is imported when the command is called: ``run`` and ``kopf-run`` have to start recording before
anything that may be measured is imported, and run where the packages of the test machine are not installed.

Exit codes: 0 everything expected arrived and was verified · 1 loss, mismatch, damage, or under a threshold · 2 wrong
use · 3 the source cannot be reached · 128 and its number: a signal. Of `doctor`: 0 nothing is wrong · 1 something is ·
others as above.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from coverage_hooks import settings, shown

try:
    import click
except ModuleNotFoundError as error:
    # No command is there to say it: there is neither Kopf, which brings click, nor what a test machine has.
    shown.line(
        f"error: the command line needs package {error.name!r}, which is not installed: where an operator runs, Kopf "
        "brings it; on the test machine, pip install 'coverage-hooks[collect]'",
        err=True,
    )
    sys.exit(2)

from coverage_hooks.commands import signals
from coverage_hooks.errors import CoverageHooksError, SourceError, UsageError
from coverage_hooks.program import Program

#: Name, where the command is, and its line in the list of commands, which must not import it either.
COMMANDS = {
    "collect": ("coverage_hooks.commands.collect:collect", "Retrieve, verify, combine and report: everything."),
    "retrieve": ("coverage_hooks.commands.collect:retrieve", "Copy the recordings of a run, and say who is missing."),
    "verify": ("coverage_hooks.commands.collect:verify", "Check what was retrieved."),
    "combine": (
        "coverage_hooks.commands.collect:combine",
        "Make one data file of what was retrieved, and of unit data.",
    ),
    "report": ("coverage_hooks.commands.collect:report", "Report what was combined."),
    "status": ("coverage_hooks.commands.volume:status", "List what lies on a volume."),
    "prune": ("coverage_hooks.commands.volume:prune", "Delete recordings from a volume."),
    "role": ("coverage_hooks.commands.role:role", "Print the Role that is enough to collect from a claim."),
    "doctor": (
        "coverage_hooks.commands.doctor:doctor",
        "Say what keeps an operator from being recorded, or its recordings from being collected.",
    ),
    "run": ("coverage_hooks.commands.run:run", "Run a module, a file or a console script, recorded."),
    "kopf-run": ("coverage_hooks.commands.run:kopf_run", "Run an operator with `kopf run`, recorded."),
}


class Commands(click.Group):
    """The commands of `COMMANDS`, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            # Kopf is the operator's own, so no extra brings it.
            advice = error.name if cmd_name == "kopf-run" else "'coverage-hooks[collect]'"
            raise UsageError(
                f"`{cmd_name}` needs package {error.name!r}, which is not installed: pip install {advice}"
            ) from None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **options: Any) -> click.Context:
        with _quoting_plainly():
            if odd := [each for each in args if not _can_be_typed(each)]:
                raise click.UsageError(f"{odd[0]!r} is nothing that an operating system passes to a command")
            return super().make_context(info_name, args, *rest, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _quoting_plainly():
                return super().invoke(ctx)
        except (CoverageHooksError, OSError) as error:
            if ctx.invoked_subcommand == "kopf-run":
                raise  # the operator's own, which is to be seen as without us
            shown.line(f"error: {error}", err=True)
            ctx.exit(_exit_code(error))


def _can_be_typed(argument: str) -> bool:
    """Return whether *argument* can be one of a process; a caller in Python can pass others, which no path has."""
    try:
        return b"\0" not in os.fsencode(argument)
    except UnicodeEncodeError:
        return False


@contextmanager
def _quoting_plainly() -> Iterator[None]:
    """Have click's own messages quote a command line, which another program may have put together, as plain text."""
    try:
        yield
    except click.UsageError as error:
        if isinstance(error, _HELP):
            raise
        raise click.UsageError(shown.plain(error.format_message()), error.ctx) from None


#: What newer click raises to show the help, which has lines.
_HELP: tuple[type[Exception], ...] = tuple(filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)]))


def _exit_code(error: Exception) -> int:
    if isinstance(error, UsageError):
        return 2
    return 3 if isinstance(error, SourceError) else 1


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="coverage-hooks")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Test coverage of Kopf operators, recorded inside the running process."""
    if ctx.invoked_subcommand != "kopf-run":
        settings.forget_impossible_sizes()


def main() -> None:
    """Run the command line and exit."""
    if sys.argv[1:2] == ["run"] and (program := Program.parse(sys.argv[2:])) is not None:
        # Not by click, which makes messages and exit codes of its own of Ctrl-C and of a closed pipe.
        program.run()
        sys.exit()
    # The signals of an operator are its own.
    with nullcontext() if sys.argv[1:2] == ["kopf-run"] else signals.ending(*signals.ENDING):
        sys.exit(commands(prog_name="coverage-hooks"))
