"""``coverage-hooks doctor`` against a real API server: rights, claims in every state, and the pods that have them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, CoreV1Api, RbacAuthorizationV1Api

from coverage_hooks.collect.cluster.claims import GID, IMAGE, UID
from coverage_hooks.collect.cluster.pod import name_for
from tests.cluster import WITHIN, ControlPlane
from tests.functional.test_witness import changed

Document = dict[str, Any]

ANNOTATED = {IMAGE: "localhost/operator:tests-coverage", UID: "65532", GID: "65533"}
RECORDING = {"COVERAGE_HOOKS_ENABLED": "1", "COVERAGE_HOOKS_DIR": "/coverage"}


@dataclass(frozen=True)
class Doctor:
    """Somebody who asks about claim ``recordings``, and an administrator who makes what there is."""

    api: ApiClient
    namespace: str
    kubeconfig: Path
    folder: Path

    async def asked(self, *options: str, kubeconfig: Path | None = None) -> tuple[int, list[tuple[str, str]]]:
        """Return the exit code, and what is said of the source, line by line."""
        before = await self.everything()
        where = ["--namespace", self.namespace, *(options or ("--claim", "recordings"))]
        done = await asyncio.to_thread(
            subprocess.run,
            [
                sys.executable,
                "-m",
                "coverage_hooks",
                "doctor",
                *where,
                "--kubeconfig",
                str(kubeconfig or self.kubeconfig),
            ],
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert await self.everything() == before, "nothing may be made or changed"
        told = done.stdout.partition("\nsource\n")[2].splitlines()
        return done.returncode, [(line.split()[0], line[9:]) for line in told if line.startswith("  ")]

    async def everything(self) -> dict[str, str]:
        """Return the version of every object that a doctor could have made or changed."""
        core: Any = CoreV1Api(self.api)
        found = {}
        for list_all in (
            core.list_namespaced_pod,
            core.list_namespaced_persistent_volume_claim,
            core.list_namespaced_event,
        ):
            for each in (await list_all(self.namespace)).items:
                found[f"{type(each).__name__} {each.metadata.name}"] = each.metadata.resource_version
        return found

    async def make_claim(self, *, phase: str = "Bound", mode: str = "ReadWriteOnce", annotated: bool = True,
                         release: str = "") -> None:  # fmt: skip
        """Make the claim, and say what a controller would: there is none here."""
        core: Any = CoreV1Api(self.api)
        metadata: Document = {"name": "recordings", "annotations": ANNOTATED if annotated else {}}
        metadata["labels"] = {"app.kubernetes.io/instance": release} if release else {}
        spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Mi"}}}
        await core.create_namespaced_persistent_volume_claim(self.namespace, {"metadata": metadata, "spec": spec})
        await core.patch_namespaced_persistent_volume_claim_status(
            "recordings", self.namespace, {"status": {"phase": phase}}
        )

    async def make_pod(self, environ: Document) -> None:
        """Make a pod that has the claim mounted, and runs on a node."""
        core: Any = CoreV1Api(self.api)
        container = {
            "name": "operator",
            "image": "of-the-pod",
            "env": [{"name": name, "value": value} for name, value in environ.items()],
            "volumeMounts": [{"name": "volume", "mountPath": "/coverage"}],
        }
        volume = {"name": "volume", "persistentVolumeClaim": {"claimName": "recordings"}}
        spec = {"nodeName": "node-7", "containers": [container], "volumes": [volume]}
        await core.create_namespaced_pod(self.namespace, {"metadata": {"name": "shop-0"}, "spec": spec})
        await core.patch_namespaced_pod_status("shop-0", self.namespace, {"status": {"phase": "Running"}})

    async def allow(self, rules: list[tuple[str, str, str]]) -> Path:
        """Return a kubeconfig of an account that may do what *rules* say: verb, resource, and name or nothing."""
        core: Any = CoreV1Api(self.api)
        rbac: Any = RbacAuthorizationV1Api(self.api)
        await core.create_namespaced_service_account(self.namespace, {"metadata": {"name": "limited"}})
        granted = [
            {"apiGroups": [""], "resources": [resource], "verbs": [verb], **({"resourceNames": [name]} if name else {})}
            for verb, resource, name in rules
        ]
        await rbac.create_namespaced_role(self.namespace, {"metadata": {"name": "limited"}, "rules": granted})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"}
        subject = {"kind": "ServiceAccount", "name": "limited", "namespace": self.namespace}
        binding = {"metadata": {"name": "limited"}, "roleRef": reference, "subjects": [subject]}
        await rbac.create_namespaced_role_binding(self.namespace, binding)
        token = await core.create_namespaced_service_account_token("limited", self.namespace, {"spec": {}})
        return changed(self.kubeconfig, self.folder / "limited", user={"token": token.status.token})


@pytest.fixture
def doctor(api: ApiClient, namespace: str, control_plane: ControlPlane, tmp_path: Path) -> Doctor:
    return Doctor(api, namespace, control_plane.kubeconfig, tmp_path)


READER = name_for("recordings")

#: What `coverage-hooks role --claim` grants.
COLLECTING = [
    ("get", "persistentvolumeclaims", "recordings"), ("list", "pods", ""), ("create", "pods", ""),
    ("list", "events", ""), ("get", "pods", READER), ("delete", "pods", READER), ("get", "pods/log", READER),
    ("get", "pods/portforward", READER), ("create", "pods/portforward", READER),
]  # fmt: skip
WATCHING = [("watch", "pods", ""), ("watch", "events", "")]


async def test_everything_is_well(doctor: Doctor) -> None:
    await doctor.make_claim()
    await doctor.make_pod(RECORDING)
    code, told = await doctor.asked()
    assert (code, {level for level, _ in told}) == (0, {"ok"}), told
    texts = [text for _, text in told]
    assert texts[0].startswith("the Kubernetes API at https://127.0.0.1:")
    assert "knows this as " in texts[0]
    assert texts[1:] == [
        f"everything is allowed in namespace {doctor.namespace!r} that collecting and a witness need",
        "claim 'recordings' is Bound, ReadWriteOnce",
        "the claim is annotated with the image, user and group that read it",
        "a reader would run image localhost/operator:tests-coverage as user 65532, group 65533, on node node-7",
        "pod shop-0 has the claim mounted, on node node-7",
        "pod shop-0, container operator records to /coverage, the top of the claim",
    ]


async def test_a_claim_is_found_by_its_release(doctor: Doctor) -> None:
    await doctor.make_claim(release="shop")
    code, told = await doctor.asked("--release", "shop")
    assert code == 0, told
    assert ("ok", "claim 'recordings' is Bound, ReadWriteOnce") in told
    assert [text for level, text in told if level == "note"] == [
        "no pod has the claim mounted now: what is on it is of operators that are gone"
    ]


@pytest.mark.parametrize("options", [("--release", "other"), ("--claim", "other")])
async def test_a_claim_that_is_not_there_is_out_of_reach(doctor: Doctor, options: tuple[str, str]) -> None:
    await doctor.make_claim(release="shop")
    code, told = await doctor.asked(*options)
    assert code == 3
    assert "other" in told[-1][1]
    assert told[-1][0] == "wrong"


@pytest.mark.parametrize("phase", ["Pending", "Lost"])
async def test_a_claim_without_a_volume_is_out_of_reach_at_once(doctor: Doctor, phase: str) -> None:
    await doctor.make_claim(phase=phase)
    code, told = await doctor.asked()
    assert code == 3
    (wrong,) = [text for level, text in told if level == "wrong"]
    assert f"is {phase}, expected Bound" in wrong


async def test_a_claim_that_nothing_says_how_to_read(doctor: Doctor) -> None:
    await doctor.make_claim(annotated=False)
    code, told = await doctor.asked()
    assert code == 3
    assert [text for level, text in told if level == "wrong" and "give --reader-image" in text]
    await doctor.make_pod(RECORDING)
    code, told = await doctor.asked()
    assert code == 0, told
    assert ("ok", "a reader would run image of-the-pod as the image's own user, its group, on node node-7") in told


async def test_a_claim_for_one_pod_at_a_time_that_has_one(doctor: Doctor) -> None:
    await doctor.make_claim(mode="ReadWriteOncePod")
    assert (await doctor.asked())[0] == 0
    await doctor.make_pod(RECORDING)
    code, told = await doctor.asked()
    assert code == 3
    assert [text for level, text in told if level == "wrong" and "in use by shop-0" in text]


async def test_a_pod_that_does_not_record_is_wrong_and_the_source_is_there(doctor: Doctor) -> None:
    await doctor.make_claim()
    await doctor.make_pod({})
    code, told = await doctor.asked()
    assert code == 1
    (wrong,) = [text for level, text in told if level == "wrong"]
    assert "records nothing on it: expected COVERAGE_HOOKS_ENABLED=1" in wrong


class TestRights:
    async def test_those_that_the_role_grants_are_enough(self, doctor: Doctor) -> None:
        await doctor.make_claim()
        code, told = await doctor.asked(kubeconfig=await doctor.allow([*COLLECTING, *WATCHING]))
        assert code == 0, told
        assert f"knows this as system:serviceaccount:{doctor.namespace}:limited" in told[0][1]
        assert "everything is allowed" in told[1][1]

    @pytest.mark.parametrize("missing", [("create", "pods", ""), ("get", "pods/log", READER)])
    async def test_each_that_is_missing_is_named(self, doctor: Doctor, missing: tuple[str, str, str]) -> None:
        await doctor.make_claim()
        granted = [each for each in [*COLLECTING, *WATCHING] if each not in {missing, ("list", "events", "")}]
        code, told = await doctor.asked(kubeconfig=await doctor.allow(granted))
        assert code == 3
        wrong = [text for level, text in told if level == "wrong"]
        assert len(wrong) == 2
        named = " ".join(missing).strip()
        assert any(
            f"not allowed in namespace {doctor.namespace!r}: {named}; `coverage-hooks role`" in each for each in wrong
        )
        assert any(": list events; " in each for each in wrong)
        assert ("ok", "claim 'recordings' is Bound, ReadWriteOnce") in told, "the rest is told nevertheless"

    async def test_those_of_a_witness_are_notes(self, doctor: Doctor) -> None:
        await doctor.make_claim()
        code, told = await doctor.asked(kubeconfig=await doctor.allow(COLLECTING))
        assert code == 0, told
        notes = "\n".join(text for level, text in told if level == "note")
        assert ": watch pods; " in notes
        assert ": watch events; " in notes

    async def test_without_any_the_claim_is_out_of_reach(self, doctor: Doctor) -> None:
        await doctor.make_claim(release="shop")
        kubeconfig = await doctor.allow([])
        code, told = await doctor.asked(kubeconfig=kubeconfig)
        assert code == 3
        assert len([level for level, _ in told if level == "wrong"]) == len(COLLECTING) + 1
        code, told = await doctor.asked("--release", "shop", kubeconfig=kubeconfig)
        assert code == 3
        assert "list persistentvolumeclaims, which finds the claim of a release" in told[-1][1]

    async def test_who_is_not_known_is_out_of_reach(self, doctor: Doctor) -> None:
        stranger = changed(doctor.kubeconfig, doctor.folder / "stranger", user={"token": "none"})
        code, told = await doctor.asked(kubeconfig=stranger)
        assert code == 3
        assert "does not know who is asking" in told[-1][1]


async def test_what_a_cluster_says_does_not_drive_the_terminal(doctor: Doctor) -> None:
    await doctor.make_claim()
    await doctor.make_pod(RECORDING | {"COVERAGE_HOOKS_DIR": "/\x1b[2J"})
    code, told = await doctor.asked()
    assert code == 1
    said = "".join(text for _, text in told)
    assert "\x1b" not in said
    assert "found COVERAGE_HOOKS_DIR=/\\x1b[2J" in said
