"""A folder of recordings on a file system that became read-only proves nothing of a process that went silent."""

from __future__ import annotations

import sys
from pathlib import Path

from coverage_hooks.volume import layout
from tests.functional.volumes import volume

RECORDING = "operator-0-20260131T235959Z-00000000"

_LIST = f"""
import sys
from pathlib import Path
from coverage_hooks.collect.retrieve.directory import Directory
print(*Directory(Path(sys.argv[1])).files("{RECORDING}"))
"""


def test_a_marker_says_nothing_where_it_could_not_be_removed(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", "rw") as place:
        folder = place.path / RECORDING
        place.run("mkdir", str(folder))
        place.run("touch", *(str(folder / name) for name in (layout.journal_name(0), layout.COMPLETE)))
        assert place.run(sys.executable, "-c", _LIST, str(place.path)).split() == ["journal-0", "complete"]
        place.run("mount", "-o", "remount,ro", str(place.path))
        assert place.run(sys.executable, "-c", _LIST, str(place.path)).split() == ["journal-0"]
