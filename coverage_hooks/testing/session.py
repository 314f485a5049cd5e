"""One test session: the witness from its start, collecting at its end, and what the terminal says of it.

::

    sessionstart: witness ──> tests ──> fixtures torn down ──> witness ends ──> collect ──> terminal summary
                                        other plugins finished   at once, on the controller of xdist only

Collecting waits for what has to be over first: the fixtures, which stop operators, and pytest-cov, whose data it takes.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect.pods import watchlog
from coverage_hooks.errors import CoverageHooksError
from coverage_hooks.shown import plain
from coverage_hooks.testing import outcome as collected
from coverage_hooks.testing.outcome import Outcome
from coverage_hooks.testing.wish import Wish, wish

#: Options of pytest with which it shows something, and runs no test.
_ONLY_SHOWING = ("collectonly", "setupplan", "showfixtures", "show_fixtures_per_test")


def collecting(config: pytest.Config, given: Mapping[str, Any], *, run: str, is_given: bool) -> Collecting:
    """Return the plugin for what *given* asks for; `pytest.UsageError` when that makes no sense."""
    try:
        asked = wish(given, run, config.invocation_params.dir)
    except CoverageHooksError as error:
        text = f"coverage-hooks: {error} (each with --coverage-hooks- before its name)"
        raise pytest.UsageError(plain(text)) from None
    return Collecting(config, asked, resume=is_given)


class Collecting:
    """The hooks of one session. With *resume*, an earlier session of the same run may have begun to watch."""

    def __init__(self, config: pytest.Config, asked: Wish, *, resume: bool) -> None:
        self._config, self._wish, self._resume = config, asked, resume
        self._witness = ExitStack()
        self._ran = self._completed = self._shown = False
        self._outcome: Outcome | None = None

    def pytest_report_header(self) -> str:
        """Say which run this is, so that whoever reads a log can collect again."""
        place = self._wish.place
        where = place.directory or f"{place.namespace}/{place.claim or place.release or place.reader}"
        return plain(f"coverage-hooks: run {self._wish.request.choice.run} from {where}, into {self._wish.output}")

    @pytest.hookimpl(tryfirst=True)  # before xdist starts workers, which a cluster out of reach would leave for nothing
    def pytest_sessionstart(self) -> None:
        """Start to watch the cluster, if it is one."""
        target = self._wish.target
        if target is None or self._is_only_showing:
            return
        from coverage_hooks.collect.cluster.watch import watching  # noqa: PLC0415 - the client takes a second to load

        try:
            self._witness.enter_context(watching(target, self._wish.output / watchlog.NAME, resume=self._resume))
        except (CoverageHooksError, OSError) as error:
            raise pytest.UsageError(plain(
                f"coverage-hooks cannot watch namespace {target.namespace!r}: {error}; "
                "--no-coverage-hooks runs the tests without it"
            )) from None  # fmt: skip

    def pytest_runtest_logstart(self) -> None:
        """Note that a test ran; the controller of xdist is told of those of its workers."""
        self._ran = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, Any, Any]:
        """Note that the tests were not broken off, for then pytest-cov does not save."""
        result = yield
        self._completed = True
        return result

    # The innermost wrapper: after whatever ends something at this point, before the terminal's summary.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Collect, whatever became of the tests and of the other plugins."""
        try:
            return (yield)
        finally:
            if not self._is_only_showing:
                self._outcome = self._collect()
                if self._outcome.failed and session.exitstatus == pytest.ExitCode.OK:
                    session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the ledger, the totals, and every loss."""
        if self._outcome is not None:
            self._shown = True
            writer = self._config.get_terminal_writer()
            terminalreporter.write_sep("=", "coverage of the operator")
            terminalreporter.write(self._outcome.text(width=writer.fullwidth, color=writer.hasmarkup))

    def pytest_unconfigure(self) -> None:
        """Leave no witness, and print what no summary was made for, as after an internal error."""
        self._witness.close()
        if self._outcome is not None and not self._shown:
            sys.stderr.write(self._outcome.text(width=0, color=False))

    @property
    def _is_only_showing(self) -> bool:
        return any(self._config.getoption(name, default=False) for name in _ONLY_SHOWING)

    def _collect(self) -> Outcome:
        outcome = Outcome(output=self._wish.output)
        try:
            self._witness.close()
        except (CoverageHooksError, OSError) as error:
            outcome.losses.append(f"the cluster was not watched until the end: {error}")
        if not self._ran:
            outcome.losses.append("no test ran, so nothing was collected")
            return outcome
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        # What it waits for is to be seen while it waits.
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            collected.collect(self._wish, self._units(outcome), outcome)
        return outcome

    def _units(self, outcome: Outcome) -> list[Path]:
        """Return the unit data: what was named, else what pytest-cov saved in this session, if it measured."""
        if self._wish.units:
            return self._wish.units
        controller = getattr(self._config.pluginmanager.getplugin("_cov"), "cov_controller", None)
        if controller is None:
            return []
        if not self._completed:
            # It saves after the last test, and its data of an earlier session may still be there.
            outcome.losses.append("the report is without unit data: pytest-cov does not save when tests are broken off")
            return []
        return [self._wish.folder / controller.cov.get_option("run:data_file")]
