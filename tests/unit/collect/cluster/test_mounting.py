"""What pods that have a claim mounted would record on it."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient

from coverage_hooks.doctor import mounting

MOUNT = {"name": "volume", "mountPath": "/coverage"}
ON = {"COVERAGE_HOOKS_ENABLED": "1", "COVERAGE_HOOKS_DIR": "/coverage"}


def container(environ: dict[str, Any], mount: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    env = [{"name": name, **({"value": value} if isinstance(value, str) else {"valueFrom": value})}
           for name, value in environ.items()]  # fmt: skip
    return {"name": "operator", "env": env, "volumeMounts": [MOUNT | (mount or {})], **more}


async def said(*containers: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is found of a pod of *containers*, as the API server would give it, without that it is there."""
    spec = {
        "nodeName": "n",
        "containers": list(containers),
        "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": "recordings"}}],
    }
    async with ApiClient() as api:
        document = {"metadata": {"name": "shop-0"}, "spec": spec}
        pod: Any = api._ApiClient__deserialize(document, "V1Pod")
    found = list(mounting.mounted([pod], "recordings"))
    assert "pod shop-0 has the claim mounted, on node n" in found[0].text
    return [(finding.level, finding.text) for finding in found[1:]]


async def test_a_pod_that_records_to_the_top_of_the_claim_is_well() -> None:
    assert await said(container(ON)) == [
        ("ok", "pod shop-0, container operator records to /coverage, the top of the claim")
    ]


async def test_a_sidecar_that_reads_the_claim_is_nobodys_business() -> None:
    sidecar = container({}) | {"name": "sidecar"}
    assert [level for level, _ in await said(sidecar, container(ON))] == ["ok"]


@pytest.mark.parametrize(
    ("made", "level", "text"),
    [
        (container({}), "wrong", "expected COVERAGE_HOOKS_ENABLED=1 in container operator"),
        (container({"COVERAGE_HOOKS_ENABLED": "false"}), "wrong", "records nothing on it"),
        (container({"COVERAGE_HOOKS_ENABLED": {"configMapKeyRef": {"key": "k"}}}), "note", "is not said in the pod"),
        (container({}, envFrom=[{"configMapRef": {"name": "c"}}]), "note", "is not said in the pod"),
        (container(ON | {"COVERAGE_HOOKS_DIR": "/data"}), "wrong", "expected COVERAGE_HOOKS_DIR=/coverage"),
        (container(ON | {"COVERAGE_HOOKS_DIR": "/coverage/a"}), "wrong", "found COVERAGE_HOOKS_DIR=/coverage/a"),
        (container({"COVERAGE_HOOKS_ENABLED": "1"}), "wrong", "found no COVERAGE_HOOKS_DIR"),
        (container(ON | {"COVERAGE_HOOKS_DIR": "$(HOME)"}), "note", "does not say where to"),
        (container({"COVERAGE_HOOKS_ENABLED": "1"}, envFrom=[{"secretRef": {"name": "s"}}]), "note", "where to"),
        (container(ON, {"subPath": "below"}), "wrong", "leave subPath out"),
        (container(ON, {"readOnly": True}), "wrong", "mounted read-only"),
        (container(ON | {"COVERAGE_HOOKS_INTERVAL": "0"}), "wrong", "expected 0.1 to 60 seconds"),
        (container(ON | {"COVERAGE_HOOKS_RUNS": "1"}), "wrong", "did you mean COVERAGE_HOOKS_RUN?"),
        (container(ON | {"COVERAGE_HOOKS_RUN": "${RUN}"}), "wrong", "'${RUN}' stands there as it is"),
        (container({"COVERAGE_HOOKS_ENABELD": "1"}), "wrong", "did you mean COVERAGE_HOOKS_ENABLED?"),
        (container(ON | {"COVERAGE_PROCESS_START": "x"}), "wrong", "COVERAGE_PROCESS_START is set"),
    ],
)  # fmt: skip
async def test_what_keeps_it_from_being_collected_is_named(made: dict[str, Any], level: str, text: str) -> None:
    found = await said(made)
    assert [each for each in found if each[0] == level and text in each[1]], found
    if level == "note":
        assert not [each for each in found if each[0] == "wrong"]


def test_a_claim_that_nobody_has_is_a_note() -> None:
    (found,) = mounting.mounted([], "recordings")
    assert (found.level, "no pod has the claim mounted" in found.text) == ("note", True)
