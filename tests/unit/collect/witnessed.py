"""What a real witness wrote of real endings, and how to change it: what the tests of endings start from.

Each file in ``endings`` is what `coverage_hooks.collect.cluster.watch` wrote of one pod on a real node, and
``recordings.json`` has what mattered of the recordings that the pods made on their claim.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.collect.pods import expected, watchlog
from coverage_hooks.collect.pods.expected import Moments
from coverage_hooks.collect.pods.watchlog import Testimony
from coverage_hooks.collect.runs import Chosen, Found
from coverage_hooks.volume.manifest import Manifest, Pod
from tests.unit.collect.building import record

FOLDER = Path(__file__).with_name("endings")
Document = dict[str, Any]

#: When the volume was listed, and everything was copied: after the pods had ended, and while the witness watched.
LISTED = datetime(2026, 11, 23, 10, 56, 58, tzinfo=UTC)
COPIED = LISTED + timedelta(seconds=1)


def lines(name: str) -> list[Document]:
    """Return what the witness wrote of ending *name*."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def read(path: Path, documents: Iterable[Document]) -> Testimony:
    """Return what is read from *documents* as a file."""
    path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))
    testimony = watchlog.read(path)
    assert testimony is not None
    return testimony


def pods(documents: Iterable[Document]) -> list[Document]:
    """Return the pods in *documents*, to be changed in place."""
    return [document["pod"] for document in documents if "pod" in document]


def recordings(pod: str) -> list[Found]:
    """Return the recordings that *pod* made."""
    found = [each for each in json.loads((FOLDER / "recordings.json").read_text()) if each["pod"]["name"] == pod]
    return [Found(recording=each["recording"], manifest=_manifest(each)) for each in found]


def join(
    testimony: Testimony,
    found: list[Found],
    *,
    claim: str | None = None,
    run: str | None = "one",
    earlier: Iterable[Found] = (),
    complete: bool = False,
    same_boot: bool | None = None,
    **ledger: Any,
) -> Ledger:
    """Return the ledger of *found*; a process that did not finish is one whose beat stood still.

    Of each, *complete* says whether its marker was there, and *same_boot* whether its machine has not restarted.
    """
    rows = [Row.of(each.manifest, "raw") for each in found if each.manifest]
    rows += [Row(recording=each.recording) for each in found if each.manifest is None]
    for row in rows:
        row.state = "silent" if row.state == "running" else row.state
        row.complete, row.same_boot = complete, same_boot
    made = Ledger(run=run, rows=rows, **ledger)
    moments = Moments(listed=LISTED, copied=COPIED)
    expected.enter(made, Chosen(run=run, found=found, earlier=list(earlier)), testimony, claim, moments)
    return made


def _manifest(found: Document) -> Manifest:
    return dataclasses.replace(_any_manifest(), **{**found, "run": "one", "pod": Pod(**found["pod"])})


@functools.cache
def _any_manifest() -> Manifest:
    with tempfile.TemporaryDirectory() as folder:
        return record(Path(folder)).manifest
