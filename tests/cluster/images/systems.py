"""Root file systems that images begin with, made of a distribution's packages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.images.made import ImageError, Say, made_once, run

#: The one whose Python is that of the project's own Dockerfile.
RELEASE = "trixie"

_VARIABLE = "DEBIAN_MIRROR"
_PACKAGES = {
    "python": ["ca-certificates", "python3", "python3-venv"],
    "java": ["ca-certificates", "openjdk-21-jre-headless"],
}
_NOT_NEEDED = ("/usr/share/doc/*", "/usr/share/locale/*")


def root_file_system(name: str, say: Say) -> Path:
    """Return an archive of a minimal system in which *name* runs."""
    packages = ",".join(_PACKAGES[name])
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_NEEDED]

    def make(path: Path) -> None:
        say(f"images: making a minimal system with {packages}, once")
        # What it mounts goes with its mount namespace, and what it writes with the folder, however it ends.
        command = ["unshare", "--mount", "mmdebstrap", "--quiet", "--format=tar", "--variant=minbase"]
        command += [f"--include={packages}", *options, RELEASE, str(path), mirror()]
        run("a minimal system", command, TMPDIR=str(path.parent))

    return made_once(f"system-{name}", [RELEASE, packages, *options], make)


def mirror(environ: Mapping[str, str] = os.environ) -> str:
    """Return what DEBIAN_MIRROR says, or where this machine gets its packages; raise ImageError if there is neither."""
    if given := environ.get(_VARIABLE):
        return given
    listed = run("this machine's package sources", ["apt-get", "indextargets", "--format=$(ORIGIN) $(REPO_URI)"])
    found = next((line.split(" ", 1)[1] for line in listed.splitlines() if line.startswith("Debian ")), None)
    if found is None:
        raise ImageError(
            "apt knows of no Debian archive: run `apt-get update`, "
            f"or set {_VARIABLE} to the URL of an archive that has {RELEASE}"
        )
    return found
