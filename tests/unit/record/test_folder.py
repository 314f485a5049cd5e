"""Nothing that is put in place of a recording's folder, or of what is in it, leads its writes elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coverage_hooks.record.folder import Folder
from coverage_hooks.record.journal import File, Journal
from tests.cluster.waiting import WITHIN
from tests.unit.record.children import Program, usual_mode

WORK = "def early():\n    return 1\ndef late():\n    return 2\n"

#: The program asks another process for what somebody on the same volume can do, beside it.
MAIN = """
import coverage_hooks
coverage_hooks.start()
import os, pacing, shutil
from pathlib import Path
from program import work
work.early()
assert coverage_hooks.save()
(folder,) = Path(os.environ["COVERAGE_HOOKS_DIR"]).iterdir()
elsewhere = Path("elsewhere")
elsewhere.mkdir()
{deed}
work.late()
coverage_hooks.save()
coverage_hooks.save()
"""

LINKS = {
    "the folder": "folder.rename('away'); folder.symlink_to(elsewhere.absolute())",
    "the journal": "(folder / 'journal-0').unlink(); (folder / 'journal-0').symlink_to((elsewhere / 'x').absolute())",
    "the manifest": "(folder / 'recording.json').unlink()\n"
    "(folder / 'recording.json').symlink_to((elsewhere / 'x').absolute())",
    "the marker": "(folder / 'complete').unlink(missing_ok=True)\n"
    "(folder / 'complete').symlink_to((elsewhere / 'x').absolute())",
}


@pytest.mark.parametrize("what", LINKS)
@pytest.mark.parametrize("branch", [True, False])
def test_a_link_is_not_written_through(tmp_path: Path, what: str, branch: bool) -> None:
    made = Program(tmp_path, branch, __main__="", work=WORK)
    (tmp_path / "program/__main__.py").write_text(MAIN.format(deed=LINKS[what]))
    result = made.run()
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []
    if what == "the folder":
        assert "Too many levels of symbolic links" in result.stderr or "Not a directory" in result.stderr
    else:
        assert not (made.left_one().folder / "recording.json").is_symlink()
        for link in filter(Path.is_symlink, made.left_one().folder.iterdir()):
            link.unlink()  # a reader refuses it
        left = made.left_one()
        assert (left.manifest.state, left.lines()["work.py"]) == ("finished", {1, 2, 3, 4})


@pytest.mark.parametrize("branch", [True, False])
def test_what_runs_after_a_chroot_is_recorded_on(tmp_path: Path, branch: bool) -> None:
    made = Program(tmp_path, branch, __main__="", work=WORK)
    (tmp_path / "program/__main__.py").write_text(MAIN.format(deed="os.chroot(elsewhere)\nos.chdir('/')"))
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ["unshare", *as_root, "--mount", sys.executable, "-m", "program"]
    subprocess.run(command, cwd=tmp_path, env=made.environment(), check=True, capture_output=True, timeout=WITHIN)
    left = made.left_one()
    assert (left.manifest.state, left.lines()["work.py"], left.mode) == (
        "finished",
        {1, 2, 3, 4},
        usual_mode(branch=branch),
    )
    assert left.is_on_the_disk()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_marker_is_not_made_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "complete").symlink_to(tmp_path / "elsewhere")
    journal = Journal(Folder(folder), lambda file: file.path, immediate=True)
    journal.put(File("/a.py"), 1, 0)
    journal.close()
    assert (folder / "journal-0").stat().st_size
    assert not (tmp_path / "elsewhere").exists()
