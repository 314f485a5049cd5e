"""Retrieving from a claim on a real node: through a reader, past everything that breaks, leaving nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from coverage_hooks.collect.cluster.claims import UID
from tests.cluster import WITHIN, images, wait_until
from tests.e2e.mounted.readers import Claimed, account, annotated, call, claimed, is_forbidden, started
from tests.e2e.mounted.relay import relay
from tests.e2e.namespaces import Document, Namespace, claim, pod
from tests.unit.collect.building import Project, Recording, make_project, record

MIB = 1 << 20
LARGE = 200 * MIB

#: An operator whose recording is still running.
RECORDED = """
import coverage_hooks, signal
coverage_hooks.start()
import keycloak_operator.settings
signal.signal(signal.SIGTERM, lambda *_: exit())
print("recording", flush=True)
signal.pause()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "checkout")


def ledger(project: Project) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((project.root / "build/coverage/ledger.json").read_bytes())
    return document


def raw(project: Project, recording: Recording) -> Path:
    return project.root / "build/coverage/raw/run-1" / recording.name / recording.journal.name


def large(volume: Claimed, size: int = LARGE) -> Recording:
    """Put a recording on *volume* that takes a while."""
    made = record(volume.folder).publish(os.urandom(size))
    volume.give()
    return made


def read_by_kubectl(namespace: Namespace, recording: Recording) -> float:
    """Return how many seconds it takes to read the journal of *recording* from the pod that holds the claim."""
    path = f"/claim/{recording.name}/{recording.journal.name}"
    program = f"import shutil, sys; shutil.copyfileobj(open({path!r}, 'rb'), sys.stdout.buffer)"
    command = ["exec", f"--namespace={namespace.name}", "operator", "--", "python", "-c", program]
    began = time.monotonic()
    subprocess.run(
        namespace.cluster.command(*command), env=namespace.cluster.environ, stdout=subprocess.DEVNULL, check=True
    )
    return time.monotonic() - began


def arriving(project: Project, beyond: int = 4 * MIB) -> Callable[[], bool]:
    """Return whether more than *beyond* bytes of a file have arrived, and not all of it."""
    return lambda: any(
        path.stat().st_size > beyond for path in (project.root / "build").rglob(".journal-*.tmp") if path.exists()
    )


class TestSource:
    def test_a_claim_is_collected_while_its_operator_runs_and_after_it_was_deleted(
        self, namespace: Namespace, coverage_image: str, project: Project
    ) -> None:
        volume = claimed(namespace, coverage_image, release="shop")
        recording = record(volume.folder)
        volume.give()
        before = {path: path.stat().st_mtime_ns for path in volume.folder.rglob("*")}
        for options in (["--release=shop"], ["--claim=recordings"]):
            done = call(namespace, project.root, "collect", *options)
            assert done.code == 0, done.said
            assert "TOTAL - 60.0 % 60.0 %" in done.said
            assert raw(project, recording).read_bytes() == recording.journal.read_bytes()
            assert volume.reader_pod() is None
            namespace.try_kubectl("delete", "pod", "operator")
        assert {path: path.stat().st_mtime_ns for path in volume.folder.rglob("*")} == before

    def test_a_running_process_is_waited_for_until_its_beat_moved(
        self, namespace: Namespace, coverage_image: str, project: Project
    ) -> None:
        settings = {"COVERAGE_HOOKS_ENABLED": "1", "COVERAGE_HOOKS_DIR": "/claim", "COVERAGE_HOOKS_RUN": "live"}
        env = [{"name": name, "value": value} for name, value in settings.items()]
        namespace.apply(
            annotated("recordings", coverage_image),
            pod("operator", coverage_image, program=RECORDED, claim="recordings", env=env),
        )
        namespace.wait_until_ready("operator")
        wait_until(lambda: "recording" in namespace.kubectl("logs", "operator"), "it records")
        done = call(namespace, project.root, "retrieve", "--claim=recordings", "--expect=1", "--run=live")
        assert done.code == 0, done.said
        [row] = ledger(project)["rows"]
        assert (row["state"], row["mode"]) == ("running", "immediate")
        assert list((project.root / "build/coverage" / row["folder"]).glob("journal-*"))
        status = call(namespace, project.root, "status", "--claim=recordings")
        assert row["recording"] in status.said

    def test_what_is_on_the_volume_is_not_trusted(
        self, namespace: Namespace, coverage_image: str, project: Project, tmp_path: Path
    ) -> None:
        volume = claimed(namespace, coverage_image)
        sound, linked = record(volume.folder), record(volume.folder, host="linked", measured={"shop/cart.py": {1}})
        linked.journal.unlink()
        linked.journal.symlink_to(sound.journal)
        (volume.folder / "operator-1-20260131T235959Z-0123abcd").symlink_to(tmp_path)
        volume.give()
        done = call(namespace, project.root, "collect", "--claim=recordings")
        assert done.code == 1
        assert f"LOSS {linked.name} journal-0: 'journal-0' is a link" in done.said
        assert "operator-1-20260131T235959Z-0123abcd recording.json" in done.said
        assert "TOTAL - 60.0 % 60.0 %" in done.said

    def test_two_collects_at_once_do_not_disturb_each_other(
        self, namespace: Namespace, coverage_image: str, project: Project, tmp_path: Path
    ) -> None:
        volume = claimed(namespace, coverage_image)
        recording = large(volume)
        other = make_project(tmp_path / "other")
        with (
            started(namespace, project.root, "retrieve", "--claim=recordings") as first,
            started(namespace, other.root, "retrieve", "--claim=recordings") as second,
        ):
            said = [process.communicate(timeout=WITHIN)[0] for process in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], said
        assert sum("sharing it" in each for each in said) == 1
        assert not any("killed" in each for each in said)
        assert raw(project, recording).read_bytes() == raw(other, recording).read_bytes()
        assert volume.reader_pod() is None


class TestBreaking:
    def test_a_reader_that_is_killed_midway_is_replaced(
        self, namespace: Namespace, coverage_image: str, project: Project
    ) -> None:
        volume = claimed(namespace, coverage_image)
        recording = large(volume)
        with started(namespace, project.root, "retrieve", "--claim=recordings") as process:
            wait_until(arriving(project), "some of it is here")
            process.send_signal(signal.SIGSTOP)
            namespace.kubectl("delete", "pod", volume.reader, "--force", "--grace-period=0")
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate(timeout=WITHIN)
        assert process.returncode == 0, said
        assert "broke" in said
        assert raw(project, recording).read_bytes() == recording.journal.read_bytes()
        assert volume.reader_pod() is None

    def test_a_tunnel_that_is_cut_is_opened_again(
        self, namespace: Namespace, coverage_image: str, project: Project, tmp_path: Path
    ) -> None:
        volume = claimed(namespace, coverage_image)
        recording = large(volume)
        with relay(namespace.cluster.url) as between:
            kubeconfig = between.kubeconfig(namespace.cluster.kubeconfig, tmp_path / "kubeconfig")
            with started(namespace, project.root, "retrieve", "--claim=recordings", kubeconfig=kubeconfig) as process:
                wait_until(arriving(project), "some of it is here")
                between.cut()
                said, _ = process.communicate(timeout=WITHIN)
            assert process.returncode == 0, said
            assert said.count("broke") == 1
            # What was here by then did not come again.
            assert between.passed < LARGE + 20 * MIB
        assert raw(project, recording).read_bytes() == recording.journal.read_bytes()

    def test_a_reader_left_by_a_killed_collect_is_said_and_replaced(
        self, namespace: Namespace, coverage_image: str, project: Project
    ) -> None:
        volume = claimed(namespace, coverage_image)
        large(volume)
        with started(namespace, project.root, "retrieve", "--claim=recordings") as process:
            wait_until(arriving(project), "some of it is here")
            process.kill()
            process.wait()
        left = volume.reader_pod()
        assert left is not None
        done = call(namespace, project.root, "retrieve", "--claim=recordings")
        assert done.code == 0, done.said
        assert f"reader {volume.reader} was left by a collect that was killed: removing it" in done.said
        assert volume.reader_pod() is None

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
    @pytest.mark.parametrize("moment", ["starting", "copying"])
    def test_no_reader_stays_when_a_collect_is_told_to_end(
        self, namespace: Namespace, coverage_image: str, project: Project, number: signal.Signals, moment: str
    ) -> None:
        volume = claimed(namespace, coverage_image)
        large(volume)
        moments: dict[str, Callable[[], object]] = {"starting": volume.reader_pod, "copying": arriving(project)}
        with started(namespace, project.root, "retrieve", "--claim=recordings") as process:
            wait_until(moments[moment], moment)
            process.send_signal(number)
            said, _ = process.communicate(timeout=WITHIN)
        assert process.returncode in {1, 128 + number}, said
        assert "Traceback" not in said
        assert volume.reader_pod() is None
        assert list((project.root / "build").rglob("*.tmp")) == []

    def test_much_is_retrieved_as_quickly_as_by_kubectl_and_in_little_memory(
        self,
        namespace: Namespace,
        coverage_image: str,
        project: Project,
        record_property: Callable[[str, object], None],
    ) -> None:
        volume = claimed(namespace, coverage_image)
        peaks = []
        for size in (16, LARGE):
            recording = large(volume, size)
            done = call(namespace, project.root, "retrieve", "--claim=recordings", measured=True)
            assert done.code == 0, done.said
            peaks.append(int(re.findall(r"VmHWM: (\d+) kB", done.said)[-1]) / 1024)
            plainly = read_by_kubectl(namespace, recording)
            recording.journal.unlink()
            recording.manifest_path.unlink()
            recording.path.rmdir()
        [took] = re.findall(r"copied \S+: 200\.0 MiB in ([\d.]+) s", done.said)
        speed = LARGE / MIB / float(took)
        record_property("MiB per second", round(speed, 1))
        record_property("peak MiB of memory above that of a record", round(peaks[1] - peaks[0], 1))
        sys.stdout.write(f"{speed:.0f} MiB/s; {peaks[0]:.0f} MiB of memory for a record, {peaks[1]:.0f} for 200 MiB\n")
        assert float(took) < 5 * plainly, "the same bytes by the same API server, through a program in the pod"
        assert peaks[1] - peaks[0] < 32


class TestFailingStarts:
    """Each is named with its cause, and not by the time that it took, and leaves no reader."""

    def check(self, namespace: Namespace, project: Project, *options: str, says: str, code: int = 3) -> None:
        done = call(namespace, project.root, "retrieve", *(options or ["--claim=recordings"]))
        assert done.code == code, done.said
        assert says in done.said
        readers = namespace.kubectl("get", "pods", "--selector=app.kubernetes.io/component=reader", "--output=name")
        assert readers == ""

    def test_a_claim_that_is_not_there(self, namespace: Namespace, project: Project) -> None:
        self.check(namespace, project, says='persistentvolumeclaims "recordings" not found')

    def test_a_claim_that_nothing_ever_used(self, namespace: Namespace, project: Project) -> None:
        namespace.apply(annotated("recordings", "x"))
        self.check(namespace, project, says="claim 'recordings'")

    def test_a_claim_that_is_for_one_pod_and_in_use(
        self, namespace: Namespace, coverage_image: str, project: Project
    ) -> None:
        claimed(namespace, coverage_image, mode="ReadWriteOncePod")
        self.check(namespace, project, says="the claim is for one pod at a time, and in use by operator")

    @pytest.mark.parametrize(
        ("image", "says"),
        [
            ("localhost/nobody:made", "image 'localhost/nobody:made': "),
            ("UPPER case", "InvalidImageName"),
            (str(images.SANDBOX), "StartError"),
        ],
    )
    def test_an_image_that_cannot_be_run(
        self, namespace: Namespace, coverage_image: str, project: Project, image: str, says: str
    ) -> None:
        claimed(namespace, coverage_image)
        self.check(namespace, project, "--claim=recordings", f"--reader-image={image}", says=says)

    def test_a_server_that_ends_at_once(self, namespace: Namespace, coverage_image: str, project: Project) -> None:
        document = pod("broken", coverage_image, program="raise SystemExit('it has no heart')")
        document["spec"]["restartPolicy"] = "Never"
        namespace.apply(document)
        says = "its container ended (Error, exit code 1); its log ends with: it has no heart"
        self.check(namespace, project, "--reader=broken", says=says)

    def test_a_user_that_is_root(self, namespace: Namespace, coverage_image: str, project: Project) -> None:
        volume = claimed(namespace, coverage_image)
        namespace.kubectl("annotate", "pvc", volume.name, f"{UID}=0", "--overwrite")
        self.check(namespace, project, says='violates PodSecurity "restricted:latest"')
        namespace.cluster.kubectl("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce-")
        self.check(namespace, project, says="CreateContainerConfigError")

    def test_a_volume_that_cannot_be_mounted(self, namespace: Namespace, coverage_image: str, project: Project) -> None:
        volume = claimed(namespace, coverage_image)
        namespace.kubectl("delete", "pod", "operator")
        volume.folder.rmdir()
        try:
            self.check(namespace, project, says="FailedMount")
        finally:
            volume.folder.mkdir()

    def test_a_quota_that_is_used_up(self, namespace: Namespace, coverage_image: str, project: Project) -> None:
        claimed(namespace, coverage_image)
        namespace.kubectl("create", "quota", "none", "--hard=pods=1")
        wait_until(
            lambda: (namespace.find("quota", "none") or {}).get("status", {}).get("used"), "the quota is counted"
        )
        self.check(namespace, project, says="exceeded quota: none")

    def test_a_server_that_is_not_there(self, namespace: Namespace, project: Project, tmp_path: Path) -> None:
        with relay(namespace.cluster.url) as between:
            path = between.kubeconfig(namespace.cluster.kubeconfig, tmp_path / "kubeconfig")
        done = call(namespace, project.root, "retrieve", "--claim=recordings", kubeconfig=path)
        assert done.code == 3
        assert "cannot be reached" in done.said

    def test_a_release_without_a_claim_and_one_with_two(self, namespace: Namespace, project: Project) -> None:
        namespace.apply(claim("data"))
        self.check(
            namespace, project, "--release=shop", says="found of the release: none, found in the namespace: data"
        )
        namespace.apply(annotated("a", "x", release="shop"), annotated("b", "x", release="shop"))
        self.check(namespace, project, "--release=shop", says="several claims of recordings", code=2)


def granted(namespace: Namespace, folder: Path, name: str, *options: str) -> tuple[Path, list[Document]]:
    """Make a service account; return its kubeconfig, and the Role and its binding that are printed for it."""
    kubeconfig = account(namespace, folder, name)
    printed = call(namespace, folder, "role", f"--service-account={name}", *options, lines=True)
    assert printed.code == 0, printed.said
    return kubeconfig, list(yaml.safe_load_all(printed.said))


class TestRights:
    def test_the_role_is_enough_and_no_less_is_and_the_operator_is_not_entered(
        self, namespace: Namespace, coverage_image: str, project: Project, tmp_path: Path
    ) -> None:
        volume = claimed(namespace, coverage_image, release="shop")
        record(volume.folder)
        volume.give()
        kubeconfig, (role, binding) = granted(namespace, tmp_path, "collector", "--release=shop")
        namespace.apply(role, binding)

        def collect(*options: str) -> str:
            done = call(namespace, project.root, "retrieve", *options, kubeconfig=kubeconfig)
            assert done.code == (0 if not missing else 3), (missing, done.said)
            return done.said

        missing: tuple[str, str, list[str]] | None = None
        collect("--release=shop")
        collect("--claim=recordings")
        for verb, resource, names in needed(role):
            missing = (verb, resource, names)
            namespace.apply(without(role, *missing))
            said = collect("--release=shop")
            assert f"{verb} {resource}" in said, said
            assert "coverage-hooks role" in said
            assert volume.reader_pod() is None
        namespace.apply(role)
        for act in ("portforward", "exec"):
            path = f"/api/v1/namespaces/{namespace.name}/pods/operator/{act}?ports=80&command=id&stdout=true"
            assert is_forbidden(namespace, kubeconfig, path)
        missing = None
        collect("--release=shop")

    def test_a_reader_that_a_person_applied_is_used_and_stays(
        self, namespace: Namespace, coverage_image: str, project: Project, tmp_path: Path
    ) -> None:
        volume = claimed(namespace, coverage_image)
        record(volume.folder)
        volume.give()
        kubeconfig, documents = granted(namespace, tmp_path, "guest", "--claim=recordings", "--by-hand")
        namespace.apply(*documents)
        reading = f"--reader={volume.reader}"
        done = call(namespace, project.root, "retrieve", reading, kubeconfig=kubeconfig)
        assert done.code == 3
        assert f"there is no pod '{volume.reader}'" in done.said
        printed = call(namespace, project.root, "collect", "--claim=recordings", "--reader-manifest", lines=True)
        namespace.kubectl("apply", "--filename=-", stdin=printed.said)
        for options in ([reading], ["--claim=recordings"]):
            done = call(
                namespace, project.root, "retrieve", *options, kubeconfig=kubeconfig if reading in options else None
            )
            assert done.code == 0, done.said
            assert volume.reader_pod() is not None
        refused = call(namespace, project.root, "retrieve", "--claim=recordings", kubeconfig=kubeconfig)
        assert refused.code == 3
        assert "create pods, delete pods" in refused.said


def needed(role: Document) -> list[tuple[str, str, list[str]]]:
    """Return every verb of *role* that retrieving takes; watching is for who wants to know how pods end."""
    return [
        (verb, resource, rule.get("resourceNames", []))
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb != "watch"
    ]


def without(role: Document, verb: str, resource: str, names: list[str]) -> Document:
    """Return *role* without one verb."""
    rules = []
    for rule in role["rules"]:
        same = (rule["resources"], rule.get("resourceNames", [])) == ([resource], names)
        verbs = [each for each in rule["verbs"] if not (same and each == verb)]
        rules += [{**rule, "verbs": verbs}] if verbs else []
    return {**role, "rules": rules}
