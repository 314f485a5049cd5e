"""An operator of any shape is recorded line for line as plain coverage.py measures it, and ends as it does."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient

from tests.cluster import ControlPlane
from tests.operators.operating import WAYS, Executed, Place, Run, act_on_config_maps, run
from tests.operators.shapes import SHAPES, Shape, written

RCFILE = "[run]\nbranch = true\nsource = {source}\n"


Keep = Callable[[str, object], None]


@pytest.mark.usefixtures("peering")
@pytest.mark.parametrize("name", SHAPES)
async def test_recorded_is_what_plain_coverage_measures(
    name: str, tmp_path: Path, control_plane: ControlPlane, api: ApiClient, record_property: Keep
) -> None:
    shape = SHAPES[name]
    place = Place(tmp_path, control_plane.kubeconfig, shape.path)
    place.write({name: written(text) for name, text in shape.files.items()})
    place.write({".coveragerc": RCFILE.format(source=shape.source)})
    place.write({".plainrc": RCFILE.format(source=shape.plain_source or shape.source)})
    place.track()
    commands = {"alone": shape.alone, "measured": shape.alone, "recorded": shape.recorded}
    runs = [run(place, api, Run(way, commands[way], act_on_config_maps, shape.stop)) for way in WAYS]
    alone, measured, recorded = await asyncio.gather(*runs)
    assert (recorded.code, measured.code) == (alone.code, alone.code), recorded.text
    assert recorded.log == alone.log

    collected = await asyncio.to_thread(place.collect)
    plain = await asyncio.to_thread(place.executed, place.folder / "plain")
    ours = await asyncio.to_thread(place.executed, place.folder / "collected/cluster.coverage")
    for way, executed in (("coverage run", plain), ("recorded", ours)):
        record_property(way, sum(len(lines) for lines, _ in executed.values()))
    assert any(file.endswith("work.py") for file in plain)
    if sys.version_info < (3, 12):
        plain = await _without_what_311_mixes_up(place, shape, plain, ours)
    else:
        assert collected.returncode == 0, collected.stdout + collected.stderr
    for file, function in shape.in_children.items():
        body = _body(place.checkout / file, function)
        assert set(ours[file][0]) & body, f"{function} of {file} is recorded"
        assert not set(plain[file][0]) & body
        ours[file], plain[file] = _without(ours[file], body), _without(plain[file], body)
    assert ours == plain


def _body(path: Path, function: str) -> set[int]:
    """Return the lines below the head of *function* in the file at *path*."""
    tree = ast.parse(path.read_text())
    (node,) = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == function]
    return {*range(node.body[0].lineno, (node.end_lineno or 0) + 1)}


def _without(executed: tuple[list[int], list[list[int]]], lines: set[int]) -> tuple[list[int], list[list[int]]]:
    """Return what is *executed* of a file but for *lines*, and but for branches that begin there."""
    return [line for line in executed[0] if line not in lines], [arc for arc in executed[1] if arc[0] not in lines]


async def _without_what_311_mixes_up(place: Place, shape: Shape, plain: Executed, ours: Executed) -> Executed:
    """Return *plain* without what cannot be told on Python 3.11, after looking at what is reported instead.

    A file whose functions run the event loop gets lines of asyncio there. Plain coverage.py counts those that happen to
    be lines of the file; here they are a loss. An entrypoint that calls `coverage_hooks.start` is not traced there, and
    reported with what is proven.
    """
    losses = json.loads((place.folder / "collected/summary.json").read_text())["losses"]
    assert [Path(loss["file"]).name for loss in losses] == ([Path(shape.running).name] if shape.running else [])
    if shape.running:
        assert shape.running not in ours
        return {file: executed for file, executed in plain.items() if file != shape.running}
    if (main := "shop/__main__.py") in plain:
        assert set(ours[main][0]) == {1, 3, 5, 6, 7, 9, 10}
        return plain | {main: ours[main]}
    return plain
