"""``coverage-hooks collect`` and its steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from coverage_hooks.collect import pipeline
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.pipeline import Collected, Request
from coverage_hooks.collect.reporting import compare as comparing
from coverage_hooks.collect.reporting import terminal
from coverage_hooks.collect.reporting.compare import Summary
from coverage_hooks.collect.reporting.thresholds import Threshold
from coverage_hooks.collect.retrieve.copies import Patience
from coverage_hooks.collect.runs import Choice
from coverage_hooks.collect.source import Limits, Source
from coverage_hooks.commands import options
from coverage_hooks.commands.progress import Progress
from coverage_hooks.errors import UsageError

_Command = Callable[..., None]

_RETRIEVING = (
    click.option("--run", metavar="ID", help="The test run to collect; default: the newest on the volume."),
    click.option("--since", type=options.moment, metavar="TIME",
                 help="Collect what started since a time or within an age, such as 15m, of any run."),
    click.option("--expect", type=click.IntRange(min=1), metavar="N", help="How many processes must have recorded."),
    click.option("--allow-missing", multiple=True, metavar="NAME",
                 help="A recording or pod whose losses are no failure; with --expect, also one that never appeared."),
    options.patience,
    click.option("--journal-limit", type=click.IntRange(min=1), default=1024, show_default=True, metavar="MIB",
                 help="The largest journal to read."),
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

_JUDGING = (
    click.option("--fail-under", multiple=True, metavar="[WORLD[.PART]=]PERCENT",
                 help="The least coverage; may be repeated. A number alone is combined coverage as coverage.py counts "
                      "it, with branches when they were measured. WORLD is one of unit, cluster, combined; PART is one "
                      "of lines, branches, percent: unit=40, combined.branches=80."),
    click.option("--compare", type=click.Path(path_type=Path), metavar="SUMMARY_JSON",
                 help="An earlier collect's summary.json: say what was gained and lost since, by file and world."),
    click.option("--xml-per-world", is_flag=True,
                 help="Write unit.xml and cluster.xml too, for services that keep them apart, as Codecov's flags do."),
)  # fmt: skip


def retrieving(command: _Command) -> _Command:
    """Give *command* the options of retrieving, as arguments `source`, `progress` and `request`."""

    reading = options.reading(command)  # inside, so that wrong use is told before anything is opened

    @functools.wraps(reading)
    def wrapped(
        *,
        run: str | None,
        since: datetime | None,
        expect: int | None,
        allow_missing: tuple[str, ...],
        silent_after: float,
        journal_limit: int,
        **rest: object,
    ) -> None:
        if run is not None and since is not None:
            raise UsageError("--run and --since exclude each other: a run is chosen by its id or by its time")
        request = Request(
            choice=Choice(run=run, since=since),
            expect=expect,
            waivers=allow_missing,
            patience=Patience(minimum=silent_after),
            limits=Limits(journal=journal_limit << 20),
        )
        reading(request=request, **rest)

    return options.added(wrapped, (*options.READING, *_RETRIEVING))


def combining(command: _Command) -> _Command:
    """Give *command* the options of combining, as argument `inputs`."""

    @functools.wraps(command)
    def wrapped(*, units: tuple[Path, ...], allow_mismatch: tuple[str, ...], realign: bool, **rest: object) -> None:
        command(inputs=Inputs(units=list(units), allow_mismatch=list(allow_mismatch), realign=realign), **rest)

    return options.added(wrapped, _COMBINING)


def configuring(command: _Command) -> _Command:
    """Give *command* the coverage configuration, as argument `configuration`."""

    @functools.wraps(command)
    def wrapped(*, rcfile: Path | None, **rest: object) -> None:
        command(configuration=Configuration(rcfile, Path.cwd()), **rest)

    return options.configuration(wrapped)


def judging(command: _Command) -> _Command:
    """Give *command* the options of judging, as arguments `thresholds` and `against`.

    The other summary is read before anything else is done: it may be the one that is about to be replaced.
    """

    @functools.wraps(command)
    def wrapped(*, fail_under: tuple[str, ...], compare: Path | None, **rest: object) -> None:
        thresholds = [Threshold.parse(text) for text in fail_under]
        command(thresholds=thresholds, against=comparing.read(compare) if compare is not None else None, **rest)

    return options.added(wrapped, _JUDGING)


@click.command()
@options.writing
@retrieving
@combining
@configuring
@judging
@options.output
def collect(
    *,
    source: Source,
    progress: Progress,
    request: Request,
    configuration: Configuration,
    inputs: Inputs,
    output: Path,
    thresholds: list[Threshold],
    against: Summary | None,
    xml_per_world: bool,
) -> None:
    """Collect the recordings of a test run into one report, together with unit data.

    Ends with 0 only when everything expected arrived and was verified.
    """
    with progress.busy("waiting for the beats of running recordings, copying, verifying, combining"):
        done = pipeline.collect(
            source, output, request, configuration, inputs,
            thresholds=thresholds, against=against, xml_per_world=xml_per_world, say=progress.waiting,
        )  # fmt: skip
    _end(done.ledger, output, done=done)


@click.command()
@options.writing
@retrieving
@options.output
def retrieve(source: Source, progress: Progress, request: Request, output: Path) -> None:
    """Copy the recordings of a test run, wait for the running ones, and say who is missing."""
    with progress.busy("waiting for the beats of running recordings, copying"):
        ledger = pipeline.retrieve(source, output, request, say=progress.waiting)
    _end(ledger, output)


@click.command()
@options.writing
@options.output
def verify(output: Path) -> None:
    """Check every raw copy against its manifest, and each record of its journals."""
    _end(pipeline.verify(output), output)


@click.command()
@options.writing
@combining
@configuring
@options.output
def combine(configuration: Configuration, inputs: Inputs, output: Path) -> None:
    """Make data files with the paths of the checkout: unit.coverage, cluster.coverage, and .coverage for both."""
    _end(pipeline.combine(output, configuration, inputs), output)


@click.command()
@options.writing
@configuring
@judging
@options.output
def report(
    *,
    configuration: Configuration,
    output: Path,
    thresholds: list[Threshold],
    against: Summary | None,
    xml_per_world: bool,
) -> None:
    """Report what was combined: on the terminal, as HTML, XML, LCOV, JSON and Markdown."""
    done = pipeline.report(output, configuration, thresholds=thresholds, against=against, xml_per_world=xml_per_world)
    _end(done.ledger, output, done=done)


def _end(ledger: Ledger, output: Path, *, done: Collected | None = None) -> None:
    """Print everything and exit."""
    out = terminal.console()
    terminal.show_ledger(out, ledger)
    if done is not None and done.report is not None:
        terminal.show_report(out, done.report, output)
        terminal.show_changes(out, done.changes)
    terminal.show_losses(out, ledger)
    click.get_current_context().exit(1 if ledger.open_losses else 0)
