"""The program that checks workflows, built before the first test: its timeout is too short for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import ControlPlaneError
from tests.workflows import actionlint as program


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """Return actionlint."""
    return program.locate(lambda _line: None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build it."""
    if not session.config.option.collectonly:
        try:
            program.locate(session.config.get_terminal_writer().line)
        except ControlPlaneError as error:
            raise pytest.UsageError(str(error)) from error
