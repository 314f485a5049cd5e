"""Volumes that fail for real: too small, or read-only. Made in a mount namespace, so nobody has to be root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.waiting import WITHIN


@dataclass(frozen=True)
class Volume:
    """A tmpfs that only processes started with `enter` see."""

    path: Path
    enter: Sequence[str]

    def run(self, *command: str) -> str:
        """Run *command* where the volume is seen, and return its output."""
        return subprocess.run([*self.enter, *command], check=True, capture_output=True, text=True).stdout


@contextmanager
def volume(path: Path, options: str) -> Iterator[Volume]:
    """Yield a tmpfs mounted at *path* with mount *options*; it is gone at the end, also if this process is killed."""
    for tool in ("unshare", "nsenter", "mount"):
        assert shutil.which(tool), f"{tool} is not there; it comes with util-linux (apt-get install util-linux mount)"
    path.mkdir(parents=True)
    # Lives until its standard input ends, so it cannot outlive us.
    script = f"mount -t tmpfs -o {options} none '{path}' && echo mounted && read -r _"
    holder = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin
    assert holder.stdout
    assert holder.stderr
    try:
        if holder.stdout.readline() != "mounted\n":
            why = holder.stderr.read()
            raise AssertionError(f"cannot mount a tmpfs in a user namespace (sysctl user.max_user_namespaces?): {why}")
        target = ["nsenter", "--preserve-credentials", "--user", "--mount", f"--target={holder.pid}"]
        # Entering a mount namespace leaves the working folder; env goes back to it.
        yield Volume(path, [*target, "env", f"--chdir={path.parent}"])
    finally:
        holder.stdin.close()
        holder.wait(timeout=WITHIN)
        holder.stdout.close()
        holder.stderr.close()
