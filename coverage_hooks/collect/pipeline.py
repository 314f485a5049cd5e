"""The steps of collect, in order.

::

    retrieve ──> verify ──> combine ──> report        each adds to the ledger, which lies in the output folder between

A loss does not stop the next step: what is sound is reported completely, and the exit code says that something is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coverage_hooks import settings
from coverage_hooks.collect import combine as combining
from coverage_hooks.collect import outputs
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.configuration import Configuration, UnparsedError, contexts_note
from coverage_hooks.collect.data import verify as verifying
from coverage_hooks.collect.ledger import STEPS, Ledger
from coverage_hooks.collect.mapping import versions
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.expected import Witness, Witnessed
from coverage_hooks.collect.pods.watchlog import Written
from coverage_hooks.collect.reporting import analysis as reporting
from coverage_hooks.collect.reporting import build, page, summary
from coverage_hooks.collect.reporting import compare as comparing
from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.collect.reporting.compare import Comparison, Summary
from coverage_hooks.collect.reporting.thresholds import Threshold, shortfalls
from coverage_hooks.collect.retrieve import copies as retrieving
from coverage_hooks.collect.retrieve.copies import Patience, Say
from coverage_hooks.collect.runs import Choice
from coverage_hooks.collect.source import Limits, Source
from coverage_hooks.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to retrieve: which recordings, how many are expected, and how long and how much to wait for and read.

    `witness` can say what became of the pods; without one the source is asked for it, and a file in the output folder.
    """

    choice: Choice = field(default_factory=Choice)
    expect: int | None = None
    waivers: Iterable[str] = ()
    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)
    witness: Witness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The end of a collect; `report` is None when there was nothing at all to report.

    `changes` is None when there was nothing to compare with.
    """

    ledger: Ledger
    report: Report | None
    changes: Comparison | None = None


def collect(
    source: Source,
    output: Path,
    request: Request,
    configuration: Configuration,
    inputs: Inputs,
    *,
    thresholds: Sequence[Threshold] = (),
    against: Summary | None = None,
    xml_per_world: bool = False,
    say: Say | None = None,
) -> Collected:
    """Take every step; *say* is told of a wait."""
    ledger = retrieve(source, output, request, say=say)
    source.close()  # a report may take long, and nobody else could mount the claim meanwhile
    if not ledger.recorded:
        return Collected(ledger=ledger, report=None)
    combine(output, configuration, inputs)
    return report(output, configuration, thresholds=thresholds, against=against, xml_per_world=xml_per_world)


def retrieve(source: Source, output: Path, request: Request, *, say: Say | None = None) -> Ledger:
    """Copy the recordings below *output*; *say* is told of a wait."""
    outputs.clear(output)
    ledger = retrieving.retrieve(
        source,
        output,
        request.choice,
        expect=request.expect,
        waivers=request.waivers,
        patience=request.patience,
        limits=request.limits,
        witness=request.witness or _witness(source, output / watchlog.NAME),
        say=say,
    )
    ledger.save(output)
    return ledger


def _witness(source: Source, path: Path) -> Witness:
    return source.witness(path) if isinstance(source, Witnessed) else Written(path)


def verify(output: Path) -> Ledger:
    """Check the raw copies below *output*."""
    ledger = Ledger.load(output)
    ledger.begin("verify")
    for _ in verifying.verify(ledger, output):
        pass
    ledger.save(output)
    return ledger


def combine(output: Path, configuration: Configuration, inputs: Inputs) -> Ledger:
    """Write the data files of the worlds below *output*; nothing that was not just verified is opened."""
    ledger = Ledger.load(output)
    ledger.begin("verify")
    with _telling_newer_syntax(ledger):
        combining.combine(ledger, lambda: verifying.verify(ledger, output), output, configuration, inputs)
    ledger.losses.sort(key=lambda loss: STEPS.index(loss.step))  # the two were at work by turns, recording by recording
    ledger.save(output)
    return ledger


def report(
    output: Path,
    configuration: Configuration,
    *,
    thresholds: Sequence[Threshold] = (),
    against: Summary | None = None,
    xml_per_world: bool = False,
) -> Collected:
    """Write the reports below *output*, with which *thresholds* are not met, and what changed since *against*."""
    ledger = Ledger.load(output)
    ledger.begin("report")
    if configuration.contexts:
        ledger.note("report", contexts_note(configuration.contexts))
    with _telling_newer_syntax(ledger):
        done = reporting.report(output, configuration, xml_per_world=xml_per_world)
    changes = comparing.compare(against, done) if against is not None else None
    for shortfall in shortfalls(done, thresholds):
        ledger.fall_short(shortfall)
    summary.write(output, ledger, done, changes)
    page.write(output, ledger, done, changes)
    build.show(output, ledger, settings.build_summary())
    ledger.save(output)
    return Collected(ledger=ledger, report=done, changes=changes)


@contextmanager
def _telling_newer_syntax(ledger: Ledger) -> Iterator[None]:
    """Say of a file that cannot be parsed here that a newer Python has recorded, if one has."""
    try:
        yield
    except UnparsedError as error:
        raise UsageError(f"{error}{versions.newer_syntax(row.python for row in ledger.rows)}") from None
