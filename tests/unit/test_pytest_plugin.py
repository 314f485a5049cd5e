"""What the options of the pytest plugin mean; whole sessions with it are in the functional tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.errors import UsageError
from coverage_hooks.pytest_plugin import _OPTIONS
from coverage_hooks.testing.wish import wish


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fail-under": ["80"]}, "say where the recordings are"),
        ({"namespace": "shop"}, "say what to read in namespace 'shop'"),
        ({"from": "x", "claim": "y"}, "exclude each other"),
        ({"from": "x", "fail-under": ["101"]}, "with PERCENT from 0"),
        ({"from": "x", "expect": 0}, "expected at least 1"),
    ],
)
def test_wrong_use_is_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    nothing = {name: settings.get("default") for name, settings in _OPTIONS.items()}
    with pytest.raises(UsageError, match=said):
        wish(nothing | options, "run-1", tmp_path)
