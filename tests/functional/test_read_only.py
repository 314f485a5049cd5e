"""A folder of recordings on a file system that became read-only proves nothing of a process that went silent."""

from __future__ import annotations

import sys
from pathlib import Path

from coverage_hooks.volume import machine
from tests.functional.volumes import Volume, volume

_ASK = """
import sys
from pathlib import Path
from coverage_hooks.collect.sources.directory import Directory
print(Directory(Path(sys.argv[1])).boot())
"""


def boot(place: Volume) -> str:
    return place.run(sys.executable, "-c", _ASK, str(place.path)).strip()


def test_the_machine_is_known_while_the_folder_can_be_written(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", "rw") as place:
        assert boot(place) == machine.boot_id() != ""
        place.run("mount", "-o", "remount,ro", str(place.path))
        assert boot(place) == ""
