"""Makes the recordings that are timed, and compares what came of them: a process of its own, so that the timing one,
whose memory its children begin with, stays small."""

from __future__ import annotations

import random
import sys
from datetime import timedelta
from pathlib import Path

from coverage_hooks.collect import pipeline
from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.retrieve.directory import Directory
from tests.unit.collect.building import STARTED, Measured, Project, data_bytes, record
from tests.unit.collect.test_combine_exact import content_of

FILES = 80
LINES = 300


def make(base: Path, count: int, *, branch: bool) -> None:
    """Write a checkout of `FILES` files below *base*, *count* recordings of it, and retrieve them.

    Each ran a quarter to a half of what there is, by chance, so no two agree on any file. In ``parts`` are data files
    that say the same, for coverage.py.
    """
    root = base / "checkout"
    chosen = random.Random(7)
    sources = {f"shop/m{number}.py": f"# {number}\n" + "pass\n" * (LINES - 1) for number in range(FILES)}
    root.mkdir()
    project = Project(root)
    project.write(sources)
    project.write({".coveragerc": f"[run]\nsource = shop\nbranch = {branch}\n", ".gitignore": "build/\n"})
    project.commit()
    lines = range(1, LINES + 1)
    arcs = [(n, min(n + 1, LINES)) for n in lines] + [(n, n + 3) for n in range(1, LINES - 3, 2)]
    parts: list[Path] = []
    (base / "parts").mkdir()
    for number in range(count):
        measured: Measured = {
            name: set(chosen.sample(arcs if branch else lines, chosen.randrange(LINES // 4, LINES // 2)))
            for name in sources
        }
        at = STARTED + timedelta(seconds=number)
        recording = record(base / "volume", measured=measured, sources=sources, branch=branch, started_at=at)
        part = base / "parts" / f".coverage.{recording.name}"
        part.write_bytes(data_bytes({f"/app/{name}": found for name, found in measured.items()}, branch=branch))
        parts.append(part)
    pipeline.retrieve(Directory(base / "volume"), root / "build/coverage", Request())
    (base / "plain.rc").write_text(f"[run]\ndata_file = {base / 'plain'}\n[paths]\nall =\n    {root}\n    /app\n")
    (base / "parts.txt").write_text("\n".join(map(str, parts)))


def main() -> None:
    """Make, or compare."""
    match sys.argv[1:]:
        case "make", folder, kind, count:
            make(Path(folder), int(count), branch=kind == "arcs")
        case "compare", one, other:
            if content_of(Path(one)) != content_of(Path(other)):
                raise SystemExit(f"{one} and {other} do not hold the same")


if __name__ == "__main__":
    main()
