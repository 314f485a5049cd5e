"""What holds for every tier."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# A limit for one example, and the check of how long it takes to make some, measure the machine: on a busy one they fail
# whatever the code does. What hangs ends with the limit of its test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests collect off the page of the build that runs them, and let what they start be interrupted."""
    os.environ.pop("GITHUB_STEP_SUMMARY", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
