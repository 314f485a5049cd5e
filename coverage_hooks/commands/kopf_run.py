"""``coverage-hooks kopf-run``: the pod side, so nothing but click and the door to Kopf is imported here."""

from __future__ import annotations

import click

from coverage_hooks.kopf import run_command


class PassThrough(click.Command):
    """A command that reads none of its arguments, not even ``--`` and ``--help``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return ctx.args


@click.command(cls=PassThrough, add_help_option=False, options_metavar="[OPTIONS OF KOPF RUN]")
@click.pass_context
def kopf_run(ctx: click.Context) -> None:
    """Start recording, then call `kopf run` with all arguments as they are, then save."""
    run_command(ctx.args)
