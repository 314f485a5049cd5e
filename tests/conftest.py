"""What holds for every tier."""

from __future__ import annotations

import os
import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests collect off the page of the build that runs them, and let what they start be interrupted."""
    os.environ.pop("GITHUB_STEP_SUMMARY", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
