"""A checkout and recordings of it, made as a recorder makes them: what the tests of collecting start from."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sqlite3
import subprocess
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import coverage

from coverage_hooks.volume import layout, manifest
from coverage_hooks.volume.journal import RECORD, Fingerprint, Name
from coverage_hooks.volume.manifest import JournalFile, Manifest, Mode, Pod, Process

STARTED = datetime(2026, 1, 31, 23, 59, 59, 250_000, tzinfo=UTC)

#: The operator of all tests; `unused` is never imported, and the two `__init__.py` are equal.
SOURCES = {
    "shop/__init__.py": "",
    "shop/parts/__init__.py": "",
    "shop/cart.py": (
        "def add(items, item):\n"  # 1
        "    if item:\n"  # 2
        "        items.append(item)\n"  # 3
        "    return items\n"  # 4
        "\n"
        "\n"
        "def clear(items):\n"  # 7
        "    items.clear()\n"  # 8
    ),
    "shop/parts/till.py": "def pay(amount):\n    return amount > 0\n",
    "shop/unused.py": "def nobody():\n    return None\n",
}

#: How many times as many generated examples a test tries; for a night, not for a build.
EFFORT = int(os.environ.get("HYPOTHESIS_EFFORT", "1"))

#: Lines or arcs by path.
Measured = Mapping[str, Collection[Any]]

#: What was imported by path; None where nothing is known of it.
Sources = Mapping[str, str | None]

#: What the operator ran: everything but `clear`, and `pay` was never called.
LINES: dict[str, set[int]] = {
    "shop/__init__.py": {0},  # what CPython 3.11 reports for an empty module
    "shop/parts/__init__.py": {0},
    "shop/cart.py": {1, 2, 3, 4, 7},
    "shop/parts/till.py": {1},
}


def examples(count: int) -> int:
    """Return how many examples a test tries that tries *count* in a build."""
    return count * EFFORT


@dataclass(frozen=True)
class Project:
    """A git checkout with a coverage configuration."""

    root: Path

    def write(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def commit(self) -> str:
        """Commit everything and return the revision."""
        git = ["git", "-C", str(self.root), "-c", "user.name=t", "-c", "user.email=t@example.org"]
        git += ["-c", "maintenance.auto=false"]  # newer git goes on in the background, and changes files later
        for arguments in (["init", "-q", "--template="], ["add", "-A"], ["commit", "-qm", "change", "--allow-empty"]):
            subprocess.run([*git, *arguments], check=True)
        done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
        return done.stdout.strip()


def make_project(root: Path) -> Project:
    """Return a checkout of `SOURCES` in folder *root*."""
    project = Project(root)
    project.write(SOURCES)
    project.write({".coveragerc": "[run]\nsource = shop\n", ".gitignore": "build/\n"})
    project.commit()
    return project


def data_bytes(measured: Measured, *, branch: bool = False, contexts: Collection[str] = ("",)) -> bytes:
    """Return a coverage.py data file that holds *measured*, lines or arcs by path."""
    data = coverage.CoverageData(no_disk=True)
    try:
        for context in contexts:
            data.set_context(context)
            data.add_arcs(measured) if branch else data.add_lines(measured)
        with closing(sqlite3.connect(data.data_filename(), uri=True)) as connection:
            return connection.serialize()
    finally:
        data.close(force=True)


def journal_bytes(measured: Measured, sources: Sources, *, tracers: Mapping[str, str] | None = None) -> bytes:
    """Return a journal of *measured*, lines or arcs by path; *sources* is what was imported, by the same paths.

    A path with None there has no fingerprint; *tracers* names the plug-in that measured a path.
    """
    parts = []
    for number, (path, found) in enumerate(measured.items(), start=1):
        source = sources[path]
        known = fingerprint(source) if source is not None else None
        tracer = (tracers or {}).get(path, "")
        parts.append(Name(number=number, path=path, fingerprint=known, tracer=tracer).to_bytes())
        parts += [point(number, each) for each in found]
    return b"".join(parts)


def point(number: int, each: int | tuple[int, int]) -> bytes:
    """Return the record that line or arc *each* of file *number* ran."""
    start, end = each if isinstance(each, tuple) else (each, 0)
    return RECORD.pack(number, 0, start, end)


def named(name: str, content: bytes) -> JournalFile:
    """Return how a manifest names a journal of *content*, all of it."""
    return JournalFile(file=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Recording:
    """A recording on a volume, and the means to spoil it."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def journal(self) -> Path:
        """The journal of the process that started the recording."""
        return self.path / layout.journal_name(0)

    @property
    def complete(self) -> Path:
        return self.path / layout.COMPLETE

    @property
    def manifest_path(self) -> Path:
        return self.path / layout.MANIFEST

    def change(self, **changes: Any) -> Recording:
        """Publish the manifest again with *changes*."""
        changed = dataclasses.replace(self.manifest, **changes)
        temporary = self.path / layout.temporary_name(layout.MANIFEST, 1)
        temporary.write_bytes(changed.to_bytes())
        temporary.replace(self.manifest_path)
        return Recording(self.path, changed)

    def change_process(self, **changes: Any) -> Recording:
        """As `change`, of what the manifest says of its process."""
        return self.change(process=dataclasses.replace(self.manifest.process, **changes))

    def publish(self, content: bytes, number: int = 0) -> Recording:
        """Make *content* journal *number*, with a manifest that is honest about its size and hash."""
        name = layout.journal_name(number)
        (self.path / name).write_bytes(content)
        others = [each for each in self.manifest.journals if each.file != name]
        return self.change(journals=sorted([*others, named(name, content)], key=lambda each: each.file))

    def append(self, content: bytes, number: int = 0) -> Recording:
        """Append *content* to journal *number* behind what the manifest names of it."""
        with (self.path / layout.journal_name(number)).open("ab") as file:
            file.write(content)
        return self


def record(
    volume: Path,
    *,
    measured: Measured | None = None,
    sources: Sources | None = None,
    tracers: Mapping[str, str] | None = None,
    prefix: str = "/app/",
    host: str = "operator-0",
    started_at: datetime = STARTED,
    branch: bool = False,
    mode: Mode = "interval",
    complete: bool = False,
    tail: bytes = b"",
    **changes: Any,
) -> Recording:
    """Write a recording of *measured* lines (or arcs), by path below *prefix*, into folder *volume*.

    *sources* is what the process imported, by the same paths, and *tracers* names the plug-ins; *mode* is how points
    got to the journal, *tail* what follows in it of which the manifest does not know, and *changes* are fields of the
    manifest. Where nothing was measured there is no journal.
    """
    measured = LINES if measured is None else measured
    content = journal_bytes(
        {prefix + name: found for name, found in measured.items()},
        {prefix + name: source for name, source in {**SOURCES, **(sources or {})}.items()},
        tracers={prefix + name: tracer for name, tracer in (tracers or {}).items()},
    )
    path = volume / layout.recording_name(host, started_at)
    path.mkdir(parents=True)
    recording = Recording(path, _manifest(path.name, started_at, mode, branch=branch))
    if content:
        recording = recording.publish(content)
    if tail:
        recording.append(tail)
    if complete:
        recording.complete.touch()
    return recording.change(**changes)


def fingerprint(source: str) -> Fingerprint:
    """Return the fingerprint of *source*."""
    content = source.encode()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return Fingerprint(sha256=hashlib.sha256(content).hexdigest(), git=blob)


def pod(name: str = "operator-0") -> Pod:
    """Return a pod of that name."""
    return Pod(name=name, namespace="shop", uid="u", node="n", container="operator")


def _manifest(name: str, started_at: datetime, mode: Mode, *, branch: bool) -> Manifest:
    moment = manifest.timestamp(started_at)
    return Manifest(
        recording=name,
        run="run-1",
        state="finished",
        beat=7,
        started_at=moment,
        snapshot_at=moment,
        published_at=moment,
        publish_seconds=0.01,
        interval=1.0,
        journals=[],
        process=Process(
            pid=1, python="3.13.0", coverage=coverage.__version__, core="ctrace", branch=branch, config_sha256="0" * 64,
            forks=0, journal=mode, boot="00000000-0000-4000-8000-000000000000", parent="",
        ),
        pod=None,
        revision="",
        imported_before_start=[],
        start_modules=["__main__"],
        begun=[],
        unrecorded=[],
        problems=[],
    )  # fmt: skip
