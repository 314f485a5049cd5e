"""What the options of the pytest plugin mean; whole sessions with it are in the functional tests."""

from __future__ import annotations

import subprocess
import sys
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


EVIL = "\x1b[2Jred\u202e\nLOSS  forged"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"from": EVIL, "run": EVIL, "report": EVIL}, pytest.ExitCode.TESTS_FAILED),
        ({"from": "x", "fail-under": EVIL}, pytest.ExitCode.USAGE_ERROR),
        ({"namespace": EVIL, "claim": "c", "kubeconfig": EVIL}, pytest.ExitCode.USAGE_ERROR),
    ],
)
def test_a_session_shows_plain_texts(tmp_path: Path, options: dict[str, str], code: int) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    given = [f"--coverage-hooks-{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", "--color=no", *given],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    said = (done.stdout + done.stderr).split("\n")
    assert all(line.isprintable() for line in said)
    assert not [line for line in said if line.startswith("LOSS  forged")]
    assert "\\x1b[2Jred\\u202e\\nLOSS  forged" in "".join(said)
