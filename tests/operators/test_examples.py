"""Kopf's examples, unchanged, loaded from their files: recorded line for line as plain coverage.py measures them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from kubernetes_asyncio.client import ApiClient, ApiException, CustomObjectsApi

from tests.cluster import ControlPlane, eventually
from tests.operators.examples import EXAMPLES, fetch
from tests.operators.operating import Act, Place, Run, define, run

KIND = ("kopf.dev", "v1")
PLURAL = "kopfexamples"


@pytest.fixture(scope="module")
def examples() -> Path:
    return fetch()


@pytest.fixture
async def definition(api: ApiClient, examples: Path) -> None:
    await define(api, yaml.safe_load((examples / "crd.yaml").read_text()))

    async def is_served() -> bool:
        try:
            await CustomObjectsApi(api).list_cluster_custom_object(*KIND, PLURAL)
        except ApiException:
            return False
        return True

    await eventually(is_served, "the example's kind is served")


def acting(log: Path, wanted: list[str], document: object) -> Act:
    """Return what makes an object of *document*, waits until *log* says all that is *wanted*, and deletes it."""

    async def act(api: ApiClient, namespace: str) -> None:
        objects = CustomObjectsApi(api)
        name = "kopf-example-1"

        async def says(text: str) -> None:
            async def is_said() -> bool:
                return text in await asyncio.to_thread(log.read_text)

            await eventually(is_said, f"the operator says {text!r}")

        async def is_gone() -> bool:
            try:
                await objects.get_namespaced_custom_object(*KIND, namespace, PLURAL, name)
            except ApiException as error:
                return bool(error.status == 404)
            return False

        await objects.create_namespaced_custom_object(*KIND, namespace, PLURAL, document)
        await says(wanted[0])
        if len(wanted) > 1 and "FIELD" in wanted[1]:
            change = [{"op": "replace", "path": "/spec/field", "value": "changed"}]
            await objects.patch_namespaced_custom_object(*KIND, namespace, PLURAL, name, change)
        for text in wanted[1:]:
            await says(text)
        await objects.delete_namespaced_custom_object(*KIND, namespace, PLURAL, name)
        await eventually(is_gone, "the object is deleted")

    return act


@pytest.mark.usefixtures("peering", "definition")
@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_is_recorded_as_plain_coverage_measures_it(
    name: str, tmp_path: Path, control_plane: ControlPlane, api: ApiClient, examples: Path
) -> None:
    place = Place(tmp_path, control_plane.kubeconfig)
    rcfile = "[run]\nbranch = true\nsource = .\n"
    place.write({"example.py": (examples / name / "example.py").read_text(), ".coveragerc": rcfile, ".plainrc": rcfile})
    place.track()
    document = yaml.safe_load((examples / "obj.yaml").read_text())
    words = ["run", "--standalone", "-n", "{namespace}", "example.py"]
    commands = {"measured": ["-m", "kopf", *words], "recorded": ["-m", "coverage_hooks", "kopf-run", *words[1:]]}
    runs = [
        run(place, api, Run(way, command, acting(tmp_path / f"{way}.log", EXAMPLES[name], document)))
        for way, command in commands.items()
    ]
    measured, recorded = await asyncio.gather(*runs)
    assert (recorded.code, measured.code) == (0, 0)
    collected = await asyncio.to_thread(place.collect)
    assert collected.returncode == 0, collected.stdout + collected.stderr
    plain = await asyncio.to_thread(place.executed, place.folder / "plain")
    ours = await asyncio.to_thread(place.executed, place.folder / "collected/cluster.coverage")
    assert ours == plain
    assert len(ours["example.py"][0]) > 2
