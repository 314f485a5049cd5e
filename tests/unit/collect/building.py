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
from coverage_hooks.volume.manifest import DataFile, Fingerprint, Manifest, Pod, Process, SourcesFile

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


@dataclass(frozen=True)
class Recording:
    """A recording on a volume, and the means to spoil it."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def data(self) -> Path:
        assert self.manifest.data is not None
        return self.path / self.manifest.data.file

    @property
    def sources(self) -> Path:
        assert self.manifest.sources is not None
        return self.path / self.manifest.sources.file

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

    def publish_data(self, content: bytes, **counts: int) -> Recording:
        """Publish *content* as the data, with a manifest that is honest about its size and hash."""
        assert self.manifest.data is not None
        self.data.write_bytes(content)
        described: dict[str, Any] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **counts}
        return self.change(data=dataclasses.replace(self.manifest.data, **described))

    def publish_sources(self, content: bytes) -> Recording:
        """Publish *content* as the fingerprints, with a manifest that is honest about its hash."""
        assert self.manifest.sources is not None
        self.sources.write_bytes(content)
        described = dataclasses.replace(self.manifest.sources, sha256=hashlib.sha256(content).hexdigest())
        return self.change(sources=described)


def record(
    volume: Path,
    *,
    measured: Measured | None = None,
    sources: Mapping[str, str] | None = None,
    prefix: str = "/app/",
    host: str = "operator-0",
    started_at: datetime = STARTED,
    branch: bool = False,
    contexts: Collection[str] = ("",),
    **changes: Any,
) -> Recording:
    """Write a recording of *measured* lines (or arcs), by path below *prefix*, into folder *volume*.

    *sources* is what the process imported, by the same paths; *changes* are fields of the manifest.
    """
    measured = LINES if measured is None else measured
    sources = {**SOURCES, **(sources or {})}
    path = volume / layout.recording_name(host, started_at)
    path.mkdir(parents=True)
    content = data_bytes({prefix + name: found for name, found in measured.items()}, branch=branch, contexts=contexts)
    fingerprints = manifest.sources_to_bytes({prefix + name: fingerprint(sources[name]) for name in measured})
    (path / layout.data_name(3)).write_bytes(content)
    (path / layout.sources_name(3)).write_bytes(fingerprints)
    described = _manifest(path.name, measured, content, fingerprints, started_at, branch=branch)
    recording = Recording(path, described)
    return recording.change(**changes)


def fingerprint(source: str) -> Fingerprint:
    """Return the fingerprint of *source*."""
    content = source.encode()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return Fingerprint(sha256=hashlib.sha256(content).hexdigest(), git=blob)


def pod(name: str = "operator-0") -> Pod:
    """Return a pod of that name."""
    return Pod(name=name, namespace="shop", uid="u", node="n", container="operator")


def _manifest(
    name: str, measured: Measured, content: bytes, fingerprints: bytes, started_at: datetime, *, branch: bool
) -> Manifest:
    moment = manifest.timestamp(started_at)
    lines = [{n for arc in found for n in arc if n > 0} if branch else found for found in measured.values()]
    return Manifest(
        recording=name,
        run="run-1",
        state="finished",
        beat=7,
        sequence=3,
        started_at=moment,
        snapshot_at=moment,
        published_at=moment,
        publish_seconds=0.01,
        interval=1.0,
        data=DataFile(
            file=layout.data_name(3),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            files=len(measured),
            lines=sum(map(len, lines)),
            arcs=sum(map(len, measured.values())) if branch else 0,
        ),
        sources=SourcesFile(file=layout.sources_name(3), sha256=hashlib.sha256(fingerprints).hexdigest()),
        process=Process(
            pid=1, python="3.13.0", coverage=coverage.__version__, core="ctrace", branch=branch, config_sha256="0" * 64,
            forks=0,
        ),
        pod=None,
        revision="",
        imported_before_start=[],
        start_modules=["__main__"],
        begun=[],
        problems=[],
    )  # fmt: skip
