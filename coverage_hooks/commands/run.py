"""``coverage-hooks run`` and ``kopf-run``: the pod side, so nothing but click is imported before recording starts.

`coverage_hooks.cli.main` runs a program itself; what is here says how it is used, and serves callers of the commands.
"""

from __future__ import annotations

import click

from coverage_hooks.errors import UsageError
from coverage_hooks.program import Program


class PassThrough(click.Command):
    """A command that reads none of its arguments, not even ``--`` and ``--help``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return ctx.args


class _Program(PassThrough):
    """Shows its help where no program is named that may have a ``--help`` of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args) if Program.parse(args) else click.Command.parse_args(self, ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return ["[-m MODULE | FILE | CONSOLE-SCRIPT] [ARGUMENTS]..."]


@click.command(cls=_Program, options_metavar="")
@click.pass_context
def run(ctx: click.Context) -> None:
    """Start recording, then run a program as Python would.

    With `-m`, the program is a module or package, as of `python -m`. Otherwise it is a file, or a console script on the
    PATH. All that follows is the program's own. Options of the interpreter stay in effect where they are given:
    `python -X dev -m coverage_hooks run -m MODULE`.
    """
    if (program := Program.parse(ctx.args)) is None:
        raise UsageError("no program to run: expected -m and a module, a Python file, or a console script")
    program.run()


@click.command(cls=PassThrough, add_help_option=False, options_metavar="[OPTIONS OF KOPF RUN]")
@click.pass_context
def kopf_run(ctx: click.Context) -> None:
    """Start recording, then call `kopf run` with all arguments as they are, then save."""
    # Imported when it is called: it imports Kopf, which a program need not have.
    from coverage_hooks.kopf import run_command  # noqa: PLC0415

    run_command(ctx.args)
