"""Root file systems made of a distribution's packages: images begin with them, and a Python runs in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.images.made import ImageError, Say, made_once, run

_VARIABLE = "DEBIAN_MIRROR"


@dataclass(frozen=True, slots=True)
class System:
    """A minimal system: packages, the release that they come from, and more names for programs in `/usr/bin`."""

    release: str
    packages: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)


#: What there is. The stable release has one Python, and the unstable one the newer ones.
SYSTEMS = {
    # The Python of the project's own Dockerfile, whichever one that release calls python3.
    "python": System("sid", ("ca-certificates", "python3.14", "python3.14-venv"), links={"python3": "python3.14"}),
    "java": System("trixie", ("ca-certificates", "openjdk-21-jre-headless")),
    "older-pythons": System("trixie", ("git", "python3.13")),
    "newer-pythons": System("sid", ("git", "python3.14", "python3.15")),
}
_NOT_NEEDED = ("/usr/share/doc/*", "/usr/share/locale/*")


def root_file_system(name: str, say: Say) -> Path:
    """Return an archive of the system *name*."""
    return made_once(f"system-{name}", _parts(name), lambda path: _make(name, path, say))


def unpacked(name: str, say: Say) -> Path:
    """Return a folder with the system *name*, for chroot: all files in it are the user's, and `/dev` is empty."""

    def make(path: Path) -> None:
        archive = path.with_suffix(".tar")
        _make(name, archive, say)
        path.mkdir()
        command = ["tar", "--extract", f"--file={archive}", f"--directory={path}", "--no-same-owner"]
        run("a minimal system", [*command, "--exclude=./dev/*"])

    return made_once(f"unpacked-{name}", _parts(name), make)


def _parts(name: str) -> list[str]:
    return [SYSTEMS[name].release, *_options(name)]


def _options(name: str) -> list[str]:
    system = SYSTEMS[name]
    return [
        f"--include={','.join(system.packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_NEEDED),
        # A mirror that lags behind is no danger to a test, and signatures are checked all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *(f'--customize-hook=ln --symbolic {program} "$1/usr/bin/{name}"' for name, program in system.links.items()),
    ]


def _make(name: str, path: Path, say: Say) -> None:
    system = SYSTEMS[name]
    say(f"images: making a minimal system with {', '.join(system.packages)}, once")
    command = ["mmdebstrap", "--quiet", "--format=tar", "--variant=minbase", *_options(name)]
    command += [system.release, str(path), mirror()]
    if os.geteuid() == 0:
        # What it mounts goes with its mount namespace, and what it writes with the folder, however it ends.
        run("a minimal system", ["unshare", "--mount", *command], TMPDIR=str(path.parent))
    else:  # it makes namespaces by itself, of users who may not enter the cache folder
        run("a minimal system", command)


def mirror(environ: Mapping[str, str] = os.environ) -> str:
    """Return what DEBIAN_MIRROR says, or where this machine gets its packages; raise ImageError if there is neither."""
    if given := environ.get(_VARIABLE):
        return given
    listed = run("this machine's package sources", ["apt-get", "indextargets", "--format=$(ORIGIN) $(REPO_URI)"])
    found = next((line.split(" ", 1)[1] for line in listed.splitlines() if line.startswith("Debian ")), None)
    if found is None:
        releases = " and ".join(sorted({system.release for system in SYSTEMS.values()}))
        raise ImageError(
            "apt knows of no Debian archive: run `apt-get update`, "
            f"or set {_VARIABLE} to the URL of an archive that has {releases}"
        )
    return found
