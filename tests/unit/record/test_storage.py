"""Lines are written before they run where that ends in this machine's memory, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from coverage_hooks.record import storage

ROOT = Path(__file__).parents[3]

#: Mounts one file system of each kind, and asks of each.
EACH = """\
set -e
export PATH="$PATH:/usr/sbin:/sbin"
mount -t tmpfs none "$1"
cd "$1"
mkdir lower upper work overlay ramfs
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none overlay
mount -t ramfs none ramfs
exec "$0" -c 'import sys; from pathlib import Path; from coverage_hooks.record.storage import is_local
for name in sys.argv[1:]: print(name, is_local(Path(name)))' . overlay ramfs /proc missing
"""


def test_it_is_told_by_the_file_system(tmp_path: Path) -> None:
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    told = subprocess.run(
        ["unshare", *users, "--mount", "sh", "-c", EACH, sys.executable, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    local = dict(line.split() for line in told.splitlines())
    assert local == {
        ".": "True",
        "overlay": "True",
        "ramfs": "False",  # none of those that are known, as one over a network
        "/proc": "False",
        "missing": "False",
    }


def test_a_disk_of_this_machine_is_local(tmp_path: Path) -> None:
    kinds = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kinds[before.split()[4]] = after.split()[0]
    place = next(str(place) for place in (tmp_path, *tmp_path.parents) if str(place) in kinds)
    known = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay"}
    assert storage.is_local(tmp_path) == (kinds[place] in known)
