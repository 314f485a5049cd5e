"""Collecting at the end of a test session, and what there is to say of it."""

from __future__ import annotations

import io
import signal
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from coverage_hooks.collect import outputs, pipeline
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.reporting import terminal
from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.commands import places, signals
from coverage_hooks.commands.progress import Progress
from coverage_hooks.errors import CoverageHooksError, UsageError
from coverage_hooks.testing.wish import Wish


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it: the ledger and the report, as far as there are any, and losses that are in no ledger."""

    output: Path
    ledger: Ledger | None = None
    report: Report | None = None
    losses: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether anything is lost."""
        return bool(self.losses or (self.ledger is not None and self.ledger.open_losses))

    def text(self, *, width: int, color: bool) -> str:
        """Return everything as lines for a terminal of *width*, or for a log."""
        written = io.StringIO()
        out = Console(file=written, highlight=False, force_terminal=color, width=width if color else terminal.LOG_WIDTH)
        if self.ledger is not None:
            terminal.show_ledger(out, self.ledger)
        if self.report is not None:
            terminal.show_report(out, self.report, self.output)
        if self.ledger is not None:
            terminal.show_losses(out, self.ledger)
        for loss in self.losses:
            terminal.show_line(out, f"LOSS  {loss}", "bold red")
        for hint in self.hints:
            terminal.show_line(out, hint)
        return written.getvalue()


def collect(wish: Wish, units: list[Path], outcome: Outcome) -> None:
    """Take every step of collecting with unit data *units*, and enter into *outcome* what became of it.

    Raises nothing that is expected. An interrupt ends it, and is a loss: who interrupts twice wants to leave.
    """
    try:
        with signals.ending(signal.SIGTERM, signal.SIGHUP):
            _collect(wish, units, outcome)
    except (CoverageHooksError, OSError) as error:
        outcome.losses.append(f"nothing could be collected: {error}" if outcome.ledger is None else str(error))
        if outcome.ledger is None and wish.place.namespace is not None:
            outcome.hints.append(
                "hint  a claim is read when the last fixture is torn down, and has to be there then: install the "
                "operator with its coverage on, and let no fixture delete claim or namespace; "
                "what is called --NAME here is --coverage-hooks-NAME"
            )
    except KeyboardInterrupt:
        outcome.losses.append(
            "collecting was interrupted; what is still on the volume can be had by "
            f"coverage-hooks collect --run {wish.request.choice.run}"
        )


def _collect(wish: Wish, units: list[Path], outcome: Outcome) -> None:
    with outputs.writing(wish.output):
        _collect_alone(wish, units, outcome)


def _collect_alone(wish: Wish, units: list[Path], outcome: Outcome) -> None:
    progress = Progress()
    with places.opened(wish.place, progress) as source, progress.busy("waiting for running recordings, copying"):
        outcome.ledger = pipeline.retrieve(source, wish.output, wish.request, say=progress.waiting)
    if not outcome.ledger.recorded:
        outcome.hints.append(
            f"hint  this session is run {wish.request.choice.run!r}, and only what was recorded for that counts: "
            "start the operator with COVERAGE_HOOKS_RUN set to it (fixture coverage_hooks_run), "
            "or say by --coverage-hooks-run which it is; --no-coverage-hooks is for a session without an operator"
        )
        return
    configuration = Configuration(wish.rcfile, wish.folder)
    with progress.busy("verifying, combining, reporting"):
        outcome.ledger = _combine(wish, units, configuration, outcome)
        done = pipeline.report(wish.output, configuration, thresholds=wish.thresholds)
    outcome.ledger, outcome.report = done.ledger, done.report


def _combine(wish: Wish, units: list[Path], configuration: Configuration, outcome: Outcome) -> Ledger:
    """Combine, without the unit data if that is what cannot be used: the rest cannot be had again."""

    def combined(units: list[Path]) -> Ledger:
        inputs = Inputs(units=units, allow_mismatch=wish.allow_mismatch)
        return pipeline.combine(wish.output, configuration, inputs)

    try:
        return combined(units)
    except UsageError as error:
        if not units:
            raise
        ledger = combined([])
        outcome.losses.append(f"the report is without unit data: {error}")
        return ledger
