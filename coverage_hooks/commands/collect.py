"""``coverage-hooks collect`` and its steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from coverage_hooks import collecting
from coverage_hooks.collect import terminal
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.report import Configuration, Report
from coverage_hooks.collect.retrieve import Patience
from coverage_hooks.collect.runs import Choice
from coverage_hooks.collect.sources import Limits, Source
from coverage_hooks.collect.sources.directory import Directory
from coverage_hooks.collecting import Request
from coverage_hooks.commands import options
from coverage_hooks.errors import UsageError

_Command = Callable[..., None]

_RETRIEVING = (
    options.directory,
    click.option("--run", metavar="ID", help="The test run to collect; default: the newest on the volume."),
    click.option("--since", type=options.moment, metavar="TIME",
                 help="Collect what started since a time or within an age, such as 15m, of any run."),
    click.option("--expect", type=click.IntRange(min=1), metavar="N", help="How many processes must have recorded."),
    click.option("--allow-missing", multiple=True, metavar="NAME",
                 help="A recording or pod whose losses are no failure; with --expect, also one that never appeared."),
    options.patience,
    click.option("--data-limit", type=click.IntRange(min=1), default=1024, show_default=True, metavar="MIB",
                 help="The largest data file to read."),
    click.option("--sources-limit", type=click.IntRange(min=1), default=64, show_default=True, metavar="MIB",
                 help="The largest file of fingerprints to read."),
)  # fmt: skip

_COMBINING = (
    click.option("--unit", "units", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
                 help="Unit data, made by `coverage run -m pytest`; may be repeated."),
    click.option("--allow-mismatch", multiple=True, metavar="FILE",
                 help="A source file that may differ between operator and checkout; its data is left out."),
    click.option("--realign", is_flag=True,
                 help="Where a source file differs, carry over the lines that a diff with the recorded version, as the "
                      "repository here has it, proves unchanged."),
)  # fmt: skip

_CONFIGURING = (
    click.option("--rcfile", type=click.Path(path_type=Path), metavar="FILE",
                 help="The coverage configuration; default: coverage.py's own search."),
)  # fmt: skip

_JUDGING = (
    click.option("--fail-under", type=click.FloatRange(0, 100), metavar="PERCENT",
                 help="The least combined coverage, as coverage.py counts it: with branches when they were measured."),
)  # fmt: skip


def _with(command: _Command, decorators: tuple[Callable[[_Command], _Command], ...]) -> _Command:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def retrieving(command: _Command) -> _Command:
    """Give *command* the options of retrieving, as arguments `source` and `request`."""

    @functools.wraps(command)
    def wrapped(
        *,
        directory: Path,
        run: str | None,
        since: datetime | None,
        expect: int | None,
        allow_missing: tuple[str, ...],
        silent_after: float,
        data_limit: int,
        sources_limit: int,
        **rest: object,
    ) -> None:
        if run is not None and since is not None:
            raise UsageError("--run and --since exclude each other: a run is chosen by its id or by its time")
        request = Request(
            choice=Choice(run=run, since=since),
            expect=expect,
            waivers=allow_missing,
            patience=Patience(minimum=silent_after),
            limits=Limits(data=data_limit << 20, sources=sources_limit << 20),
        )
        command(source=Directory(directory), request=request, **rest)

    return _with(wrapped, _RETRIEVING)


def combining(command: _Command) -> _Command:
    """Give *command* the options of combining, as argument `inputs`."""

    @functools.wraps(command)
    def wrapped(*, units: tuple[Path, ...], allow_mismatch: tuple[str, ...], realign: bool, **rest: object) -> None:
        command(inputs=Inputs(units=list(units), allow_mismatch=list(allow_mismatch), realign=realign), **rest)

    return _with(wrapped, _COMBINING)


def configuring(command: _Command) -> _Command:
    """Give *command* the coverage configuration, as argument `configuration`."""

    @functools.wraps(command)
    def wrapped(*, rcfile: Path | None, **rest: object) -> None:
        command(configuration=Configuration(rcfile, Path.cwd()), **rest)

    return _with(wrapped, _CONFIGURING)


def judging(command: _Command) -> _Command:
    """Give *command* argument `fail_under`."""
    return _with(command, _JUDGING)


@click.command()
@retrieving
@combining
@configuring
@judging
@options.output
def collect(
    *,
    source: Source,
    request: Request,
    configuration: Configuration,
    inputs: Inputs,
    output: Path,
    fail_under: float | None,
) -> None:
    """Collect the recordings of a test run into one report, together with unit data.

    Ends with 0 only when everything expected arrived and was verified.
    """
    with terminal.busy("waiting for the beats of running recordings, copying, verifying, combining"):
        done = collecting.collect(source, output, request, configuration, inputs)
    _end(done.ledger, output, report=done.report, fail_under=fail_under)


@click.command()
@retrieving
@options.output
def retrieve(source: Source, request: Request, output: Path) -> None:
    """Copy the recordings of a test run, wait for the running ones, and say who is missing."""
    with terminal.busy("waiting for the beats of running recordings, copying"):
        ledger = collecting.retrieve(source, output, request)
    _end(ledger, output)


@click.command()
@options.output
def verify(output: Path) -> None:
    """Check every raw copy against its manifest, and whether coverage.py may open it."""
    ledger, _ = collecting.verify(output)
    _end(ledger, output)


@click.command()
@combining
@configuring
@options.output
def combine(configuration: Configuration, inputs: Inputs, output: Path) -> None:
    """Make data files with the paths of the checkout: unit.coverage, cluster.coverage, and .coverage for both."""
    _end(collecting.combine(output, configuration, inputs), output)


@click.command()
@configuring
@judging
@options.output
def report(configuration: Configuration, output: Path, fail_under: float | None) -> None:
    """Report what was combined: on the terminal, as HTML, XML, LCOV, JSON and Markdown."""
    done = collecting.report(output, configuration)
    _end(done.ledger, output, report=done.report, fail_under=fail_under)


def _end(ledger: Ledger, output: Path, *, report: Report | None = None, fail_under: float | None = None) -> None:
    """Print everything and exit."""
    out = terminal.console()
    terminal.show_ledger(out, ledger)
    if report is not None:
        terminal.show_report(out, report, output)
    terminal.show_losses(out, ledger)
    under = report is not None and fail_under is not None and not report.reaches(fail_under)
    if under:
        terminal.show_line(out, f"LOSS  combined coverage is under the {fail_under:g} % of --fail-under", "bold red")
    click.get_current_context().exit(1 if ledger.open_losses or under else 0)
