"""What the options of the pytest plugin mean; whole sessions with it are in the functional tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.reporting.thresholds import Threshold
from coverage_hooks.collect.retrieve.copies import Patience
from coverage_hooks.collect.runs import Choice
from coverage_hooks.commands.places import Place
from coverage_hooks.errors import UsageError
from coverage_hooks.pytest_plugin import _OPTIONS
from coverage_hooks.testing.wish import wish

NOTHING = {name: settings.get("default") for name, settings in _OPTIONS.items()}


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
    with pytest.raises(UsageError, match=said):
        wish(NOTHING | options, "run-1", tmp_path)


def test_each_option_is_heeded(tmp_path: Path) -> None:
    """Paths are those of the folder that pytest was started in."""
    given = {
        "from": "volume", "report": "out", "unit": ["unit.coverage"], "rcfile": "rc", "fail-under": ["unit=40"],
        "expect": 3, "allow-missing": ["pod-1"], "allow-mismatch": ["shop/cart.py"], "silent-after": 2.5,
    }  # fmt: skip
    asked = wish(NOTHING | given, "run-1", tmp_path)
    assert asked.place == Place(directory=tmp_path / "volume")
    assert (asked.folder, asked.output, asked.units) == (tmp_path, tmp_path / "out", [tmp_path / "unit.coverage"])
    assert (asked.rcfile, asked.allow_mismatch) == (tmp_path / "rc", ["shop/cart.py"])
    assert asked.thresholds == [Threshold(least=40, world="unit")]
    assert asked.request == Request(
        choice=Choice(run="run-1"), expect=3, waivers=["pod-1"], patience=Patience(minimum=2.5)
    )


def test_each_option_of_a_cluster_is_heeded(tmp_path: Path) -> None:
    given = {"namespace": "shop", "release": "mine", "kubeconfig": "config", "context": "there", "reader": "pod-1"}
    asked = wish(NOTHING | given, "run-1", tmp_path)
    where: dict[str, Any] = {
        "namespace": "shop",
        "release": "mine",
        "kubeconfig": tmp_path / "config",
        "context": "there",
    }
    assert asked.place == Place(**where, reader="pod-1")
    assert asked.target == Target(**where)
    asked = wish(NOTHING | {"namespace": "shop", "claim": "data", "reader-image": "x"}, "run-1", tmp_path)
    assert asked.place == Place(namespace="shop", claim="data", reader_image="x")
    assert asked.target == Target(namespace="shop", claim="data")


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
