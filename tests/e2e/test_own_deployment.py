"""docs/your-operator.md as it is written: somebody's Deployment, which knows nothing of this, is made to record."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from coverage_hooks.collect.cluster.claims import IMAGE
from tests.cluster.waiting import WITHIN
from tests.e2e import faulty
from tests.e2e.collecting import Collected, collect
from tests.e2e.faulty import Faulty
from tests.e2e.namespaces import Document, Namespace
from tests.e2e.waiting import wait_until
from tests.pages import blocks, shown_commands

PAGE = "docs/your-operator.md"
CLAIM, PATCH = "coverage-claim.yaml", "coverage-patch.yaml"
_FOLDER = "/app"


@dataclass(frozen=True)
class Own:
    """The faulty operator in a Deployment of its own, and the two files of the page in a folder."""

    namespace: Namespace
    folder: Path
    operator: Faulty

    def run(self, command: str) -> None:
        """Run a command of the page where its files are, in the namespace of this test."""
        assert command in shown_commands(PAGE), f"{PAGE} does not show {command!r}"
        program, *arguments = shlex.split(command.replace("-n shop", f"-n {self.namespace.name}"))
        assert program == "kubectl"
        done = subprocess.run(
            self.namespace.cluster.command(*arguments),
            cwd=self.folder,
            env=self.namespace.cluster.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    async def collected(self, command: str, output: str) -> Collected:
        """Collect with the options of a command of the page."""
        return await asyncio.to_thread(collect, faulty.PROJECT, self.folder / output, *self._options(command)[1:])

    def ask(self, command: str) -> None:
        """Run ``coverage-hooks doctor`` with the options of a command of the page; nothing may be wrong."""
        program = [sys.executable, "-m", "coverage_hooks", *self._options(command)]
        done = subprocess.run(program, cwd=faulty.PROJECT, capture_output=True, text=True, check=False, timeout=WITHIN)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def pods(self) -> list[Document]:
        """Return the pods of the Deployment."""
        return self.operator.pods()

    def _options(self, command: str) -> list[str]:
        assert command in shown_commands(PAGE), f"{PAGE} does not show {command!r}"
        options = shlex.split(command.replace("--namespace shop", f"--namespace {self.namespace.name}"))[1:]
        return [*options, f"--kubeconfig={self.namespace.cluster.kubeconfig}"]


@pytest.fixture
def own(tmp_path: Path, namespace: Namespace, operator_image: str, coverage_image: str) -> Own:
    """Return a running operator that records nothing; the files of the page are of its names and images."""
    claim, patch = blocks(PAGE, "yaml")
    image = yaml.safe_load(patch)["spec"]["template"]["spec"]["containers"][0]["image"]
    for name, text in {CLAIM: claim, PATCH: patch}.items():
        theirs = text.replace(image, coverage_image).replace("theirs.", "faulty.")
        (tmp_path / name).write_text(theirs.replace("=shop,", f"={namespace.name},"))
    operator = Faulty(namespace, coverage_image)
    needs = [each for each in faulty._needs(coverage_image, {}) if each["kind"] != "PersistentVolumeClaim"]
    namespace.apply(*needs, _deployment(namespace.name, operator_image))
    namespace.kubectl("rollout", "status", "deployment/operator", f"--timeout={WITHIN:g}s")
    return Own(namespace, tmp_path, operator)


async def test_a_deployment_that_knew_nothing_of_this_is_recorded_and_collected(own: Own) -> None:
    own.run("kubectl -n shop apply -f coverage-claim.yaml")
    own.run("kubectl -n shop patch deployment operator --patch-file coverage-patch.yaml")
    own.run("kubectl -n shop rollout status deployment/operator")
    own.run("kubectl -n shop set env deployment/operator COVERAGE_HOOKS_RUN=second")
    own.run("kubectl -n shop rollout status deployment/operator")
    wait_until(lambda: len(own.pods()) == 1, "one pod is left")
    own.run("kubectl -n shop exec deployment/operator -- python -m coverage_hooks doctor")
    own.ask("coverage-hooks doctor --namespace shop --release operator")
    own.operator.work()
    # By its claim, while the operator runs.
    done = await own.collected(
        "coverage-hooks collect --namespace shop --claim operator-coverage --run second", "by-claim"
    )
    assert (done.code, done.states) == (0, ["running"]), done.said
    assert done.missing("faulty/acts.py", "work") == []
    (row,) = done.ledger["rows"]
    recorder = own.pods()[0]["metadata"]["name"]
    assert (row["pod"], row["container"]) == (f"{own.namespace.name}/{recorder}", "operator")
    # By its release, when nothing has the claim mounted any more: only its annotations say what may read it.
    own.run("kubectl -n shop rollout undo deployment/operator --to-revision=1")
    own.run("kubectl -n shop rollout status deployment/operator")
    (pod,) = own.pods()
    assert "operator-coverage" not in json.dumps(pod["spec"])
    done = await own.collected("coverage-hooks collect --namespace shop --release operator --run second", "by-release")
    assert (done.code, done.states) == (0, ["finished"]), done.said
    assert done.missing("faulty/acts.py", "work") == []


def test_kustomize_takes_both_files(own: Own) -> None:
    base, overlay = own.folder / "base", own.folder / "coverage"
    base.mkdir()
    (base / "deployment.yaml").write_text(yaml.safe_dump(_deployment("shop", "operator:1.2")))
    (base / "kustomization.yaml").write_text("resources: [deployment.yaml]\n")
    overlay.mkdir()
    for name in (CLAIM, PATCH):
        (overlay / name).write_text((own.folder / name).read_text())
    page = " ".join((Path(__file__).parents[2] / PAGE).read_text().split())
    lines = "resources: [../base, coverage-claim.yaml]", "patches: [{path: coverage-patch.yaml}]"
    assert all(f"`{line}`" in page for line in lines)
    repository, _, _ = own.operator.image.rpartition(":")
    retagged = f"images: [{{name: {repository}, newTag: other}}]"
    (overlay / "kustomization.yaml").write_text("\n".join([*lines, retagged]))
    made = list(yaml.safe_load_all(own.namespace.kubectl("kustomize", str(overlay))))
    deployment = next(each for each in made if each["kind"] == "Deployment")
    assert {each["kind"] for each in made} == {"Deployment", "PersistentVolumeClaim"}
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{repository}:other"
    (claim,) = (each for each in made if each["kind"] == "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"][IMAGE] == own.operator.image
    assert {"PYTHONPATH", "COVERAGE_HOOKS_RUN"} <= {each["name"] for each in container["env"]}


def _deployment(namespace: str, image: str) -> Document:
    """Return an operator as somebody has it, with all that makes it run, and nothing that has to do with recording."""
    files = {f"{_FOLDER}/faulty/{path.name}": path.name for path in faulty._SOURCES}
    files[f"{_FOLDER}/.coveragerc"] = "coveragerc"
    container: dict[str, Any] = {
        "name": "operator",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "workingDir": _FOLDER,
        "command": ["kopf", "run", "--standalone", f"--namespace={namespace}", "-m", "faulty.handlers"],
        "env": [{"name": "PYTHONPATH", "value": _FOLDER}],
        "volumeMounts": [
            *({"name": "sources", "mountPath": path, "subPath": key} for path, key in files.items()),
            {"name": "scratch", "mountPath": "/scratch"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    labels = {"app": faulty.NAME}
    spec = {
        "serviceAccountName": faulty.NAME,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "sources", "configMap": {"name": "sources"}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "operator"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
