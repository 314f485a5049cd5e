"""The door to Kopf: saves when Kopf cleans up, and runs Kopf's own command line.

Importing this module is a request to record, so that ``kopf run -m coverage_hooks.kopf -m theirs.handlers`` needs no
line of code in the operator. `coverage_hooks.start` imports it too, for an operator with an entrypoint of its own.

Cleanup is not the last code that runs, and does not run at all when startup fails or the operator is cancelled. So it
is one of three saves, together with `coverage_hooks.save` after ``kopf.run()`` and the one when the interpreter exits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import kopf
from kopf.cli import main

import coverage_hooks
from coverage_hooks.record import recording


def register(registry: kopf.OperatorRegistry | None = None) -> None:
    """Save at the cleanup of *registry*; the default one is seen to by importing this module."""

    # Nothing that happens in here may delay or fail the operator's own shutdown: no retries, errors ignored.
    @kopf.on.cleanup(id="coverage-hooks", errors=kopf.ErrorsMode.IGNORED, retries=1, registry=registry)
    async def save_coverage(**_: Any) -> None:
        if (current := recording.current()) is not None:
            await current.save_async()


def run_command(arguments: Sequence[str]) -> None:
    """Run ``kopf run`` with *arguments* as Kopf's own command does, and save once it returns.

    ``kopf run FILE.py`` loads files before modules, so a hook given by ``-m`` would come too late for them.
    """
    try:
        main(args=["run", *arguments], prog_name="kopf")
    finally:
        coverage_hooks.save()


coverage_hooks.start()
if recording.current() is not None:
    register()
