"""What is said of recordings by other versions than those that report."""

from __future__ import annotations

import dataclasses
import platform
import sys
from pathlib import Path
from typing import Any

import coverage
import pytest

from coverage_hooks.collect.mapping.versions import skews
from coverage_hooks.volume.manifest import Process
from tests.unit.collect.building import LINES, Project, record
from tests.unit.collect.conftest import Run

HERE = Process(
    pid=1, python="3.12.9", coverage="7.17.3", core="ctrace", branch=True, config_sha256="0" * 64, forks=0,
    journal="interval", boot="", parent="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"python": "3.12.1"}, None),
        ({"coverage": "7.17.9"}, None),
        (
            {"python": "3.13.0"},
            "3.13 with coverage.py 7.17, reported on Python 3.12 with 7.17: when measured, no branch and",
        ),
        ({"python": "3.13.0", "branch": False}, ": when measured, hardly a line came out differently"),
        ({"python": "3.14.0"}, ": whether lines and branches come out the same was not measured"),
        ({"python": "3.1.0"}, "not measured"),
        ({"coverage": "7.18.0"}, "3.12 with coverage.py 7.18, reported on Python 3.12 with 7.17: whether"),
        ({"coverage": "", "python": "x"}, "not measured"),
    ],
)
def test_other_minor_versions_are_told(change: dict[str, Any], told: str | None) -> None:
    found = list(skews([dataclasses.replace(HERE, **change)], "7.17.1", "3.12.4"))
    assert (told is None and not found) or (told is not None and told in found[0])


def test_recordings_are_counted_by_version(run: Run, volume: Path) -> None:
    old = dataclasses.replace(HERE, python="3.9.1", branch=False, coverage=coverage.__version__)
    here = dataclasses.replace(old, python=platform.python_version())
    for host, process in {"a": old, "b": old, "c": here}.items():
        record(volume, host=host, process=process, measured={"shop/cart.py": {1, 2 + ord(host) % 3}})
    result = run("collect")
    assert result.exit_code == 0
    assert "note  2 recordings made on Python 3.9 with coverage.py 7." in result.output
    assert result.output.count(" made on Python ") == 1


@pytest.mark.parametrize("settings", ["", "omit = */unused.py\n"])
def test_syntax_that_is_newer_than_the_python_here_is_explained(
    run: Run, volume: Path, project: Project, settings: str
) -> None:
    newer = {"shop/newer.py": "a syntax that the Python of the image knows\n"}
    project.write(newer)
    project.write({".coveragerc": f"[run]\nsource = shop\n{settings}"})
    for host, python in (("a", "3.98.7"), ("b", "3.100.0"), ("c", "3.11.0")):
        recording = record(volume, host=host, measured={**LINES, "shop/newer.py": {1}}, sources=newer)
        recording.change(process=dataclasses.replace(recording.manifest.process, python=python))
    result = run("collect")
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "shop/newer.py' as Python source" in said
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"recorded on Python 3.100, and reported on Python {here}: collect with Python 3.100 or newer" in said


def test_a_source_that_no_python_can_parse_is_blamed_on_none(run: Run, volume: Path, project: Project) -> None:
    project.write({"shop/broken.py": "def (:\n"})
    recording = record(volume)
    recording.change(process=dataclasses.replace(recording.manifest.process, python=platform.python_version()))
    result = run("collect")
    assert result.exit_code == 2
    assert "shop/broken.py' as Python source" in " ".join(result.output.split())
    assert "recorded on" not in result.output
