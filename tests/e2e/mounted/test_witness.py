"""A status that is watched is a witness: what it saw is what a collect knows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from click.testing import CliRunner, Result

from coverage_hooks.cli import commands
from coverage_hooks.collect import pipeline
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.watch import Asking
from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.retrieve.copies import Patience
from coverage_hooks.collect.retrieve.directory import Directory
from tests.e2e.mounted.watching import Volume, kill, recorded
from tests.e2e.namespaces import Namespace, claim
from tests.e2e.waiting import wait_until

CLAIM = "coverage"


def test_a_status_that_is_watched_shows_a_kill_and_leaves_its_word_for_collect(
    namespace: Namespace, coverage_image: str, tmp_path: Path
) -> None:
    namespace.apply(claim(CLAIM), recorded("watched", coverage_image, CLAIM))
    bound = wait_until(lambda: (namespace.find("pvc", CLAIM) or {})["spec"].get("volumeName"), "the claim is bound")
    volume = Volume(namespace.cluster.volume(bound))
    volume.wait_for(namespace, "watched")
    place = [f"--namespace={namespace.name}", f"--claim={CLAIM}", f"--kubeconfig={namespace.cluster.kubeconfig}"]
    place += [f"--reader-image={coverage_image}", f"--output={tmp_path}"]
    command = [sys.executable, "-m", "coverage_hooks", "status", "--watch", *place]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        _read_until(process.stdout, "  one  running  ")
        kill(namespace.name, "watched")
        _read_until(process.stdout, "killed by SIGKILL (exit code 137)")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    volume.wait_for(namespace, "watched", processes=2)
    arguments = ["retrieve", *place, "--silent-after=3"]
    result = CliRunner().invoke(commands, arguments, env={"NO_PROXY": "*"}, catch_exceptions=False)
    rows = json.loads((tmp_path / "ledger.json").read_text())["rows"]
    assert result.exit_code == 0, result.output  # each line was on the volume before it ran
    # The reader mounts the claim, too, and is nobody who should have recorded.
    found = [(row["state"], row["cause"], row["restart"]) for row in rows]
    assert sorted(found) == [("killed", "killed", 0), ("running", "running", 1)], result.output
    # The cluster is asked for what happened since: that the witness has stopped makes nobody wonder.
    target = Target(namespace=namespace.name, kubeconfig=namespace.cluster.kubeconfig)
    request = Request(witness=Asking(target, tmp_path / "witness.jsonl", CLAIM), patience=Patience(minimum=3))
    ledger = pipeline.retrieve(Directory(volume.path), tmp_path, request)
    assert [(row.state, row.asked) for row in ledger.rows] == [("killed", False), ("running", False)]
    assert ledger.completeness.endswith("and pod watched ran already")


def test_whoever_watches_from_before_the_install_has_it_proven_that_all_is_there(
    namespace: Namespace, coverage_image: str, tmp_path: Path
) -> None:
    place = [f"--namespace={namespace.name}", f"--claim={CLAIM}", f"--kubeconfig={namespace.cluster.kubeconfig}"]
    place += [f"--reader-image={coverage_image}", f"--output={tmp_path}"]
    command = [sys.executable, "-m", "coverage_hooks", "status", "--watch", *place]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        _read_until(process.stdout, f"waiting for claim {CLAIM!r}")
        namespace.apply(claim(CLAIM), recorded("watched", coverage_image, CLAIM))
        _read_until(process.stdout, "  one  running  ")
        arguments = ["retrieve", *place, "--run=one"]

        def retrieved() -> Result | None:
            """Retrieve; a process that only announced itself has not begun to import yet."""
            result = CliRunner().invoke(commands, arguments, env={"NO_PROXY": "*"}, catch_exceptions=False)
            rows = json.loads((tmp_path / "ledger.json").read_text())["rows"]
            return result if all(row["state"] != "announced" for row in rows) else None

        result = wait_until(retrieved, "the operator publishes what it recorded")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert result.exit_code == 0, result.output
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert [(row["state"], row["cause"]) for row in ledger["rows"]] == [("running", "running")], result.output
    assert ledger["proven"], result.output


def _read_until(lines: IO[str], text: str) -> None:
    for line in lines:
        if text in line:
            return
    raise AssertionError(f"it ended, and never said {text!r}")
