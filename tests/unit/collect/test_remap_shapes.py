"""Real processes, recorded in every shape that operators come in, and collected against the checkout, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coverage_hooks.cli import commands
from tests.unit.collect.shapes import SHAPES, Shape, zipped
from tests.unit.collect.test_collect import lines_of


def collect(shape: Shape, volume: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(shape.folder)
    return CliRunner().invoke(commands, ["collect", "--from", str(volume)], catch_exceptions=False)


@pytest.mark.parametrize("name", SHAPES)
def test_every_line_arrives_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    shape = Shape(tmp_path)
    SHAPES[name](shape)
    shape.record(tmp_path / "volume")
    result = collect(shape, tmp_path / "volume", monkeypatch)
    assert result.exit_code == 0, result.output
    found = lines_of(shape.folder / "build/coverage/.coverage")
    # CPython 3.11 reports line 0 of an empty module, and newer ones line 1, which it does not have.
    lines = {str(Path(shape.folder, path).resolve()): lines - {0} for path, lines in found.items()}
    empty = {path for path in lines if not Path(path).read_bytes()}
    root = shape.checkout.root.resolve()
    assert {path: set() if path in empty else lines[path] for path in lines} == {
        str(root / path): lines for path, lines in shape.expected.items()
    }


def test_an_archive_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(tmp_path)
    zipped(shape)
    shape.record(tmp_path / "volume")
    result = collect(shape, tmp_path / "volume", monkeypatch)
    assert result.exit_code == 1
    assert f"{shape.image.root}/shop.zip/shop/cart.py: has no fingerprint" in result.output
