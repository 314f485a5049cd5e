"""An operator of any shape is recorded line for line as plain coverage.py measures it, and ends as it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient

from tests.cluster import ControlPlane
from tests.operators.operating import WAYS, Place, Run, act_on_config_maps, run
from tests.operators.shapes import SHAPES, written

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
    assert collected.returncode == 0, collected.stdout + collected.stderr
    plain = await asyncio.to_thread(place.executed, place.folder / "plain")
    ours = await asyncio.to_thread(place.executed, place.folder / "collected/cluster.coverage")
    assert any(file.endswith("work.py") for file in plain)
    assert ours == plain
    for world, executed in (("coverage run", plain), ("recorded", ours)):
        record_property(world, sum(len(lines) for lines, _ in executed.values()))
