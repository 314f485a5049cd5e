"""What users import is what is promised, in order."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import coverage_hooks
from coverage_hooks import errors


def test_all_is_sorted_and_there() -> None:
    assert coverage_hooks.__all__ == sorted(coverage_hooks.__all__)
    assert all(hasattr(coverage_hooks, name) for name in coverage_hooks.__all__)


def test_every_error_is_public_and_of_one_family() -> None:
    assert set(errors.__all__) <= set(coverage_hooks.__all__)
    defined = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(defined) == set(errors.__all__)
    assert all(issubclass(error, errors.CoverageHooksError) for error in defined.values())


def test_an_install_brings_one_package(tmp_path: Path) -> None:
    """Another one might have the name of the user's own."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"coverage_hooks"}
