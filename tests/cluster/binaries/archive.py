"""The programs as controller-tools publishes them for envtest: one archive for each pinned version.

Nothing is believed of the network: the hash is pinned here, and checked before anything is unpacked. Where the archive
cannot be had the caller is told so, and goes on without it.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from tests.cluster.binaries.download import DownloadError, download
from tests.cluster.binaries.once import made_once
from tests.cluster.binaries.recipe import absent
from tests.cluster.pins import Pin


@dataclass(frozen=True, slots=True)
class Archive:
    """A version that there are archives of, and their hashes by the kind of machine."""

    version: str
    sha512: Mapping[str, str]


# The newest patch of each pinned minor version that there is an archive of: envtest-releases.yaml of controller-tools
# lists them, with these hashes.
ARCHIVES: dict[Pin, Archive] = {
    "newest": Archive(
        "1.37.0",
        {
            "linux-amd64": (
                "1d1c453633b72c161a5d5a886cde7ac850be1a2ac796a9e1d4ffacacc6486829"
                "5bdd2d57aa66cd0c158f5ce510f5dfe3fbc61ac21bd3dcfb875bd70658aa663a"
            ),
            "linux-arm64": (
                "ae6a670502988200b0131c943758cfd3d3a58cf4e6247ef7f0e6a6467f1cd9a3"
                "33c802e86101f0446b1b92a0e327387224e1e44fe1a4693da0929c6e529cfe9a"
            ),
        },
    ),
    "oldest": Archive(
        "1.35.0",
        {
            "linux-amd64": (
                "130369c16f076e724d089189afaede960316f5f5dea6cf57be7a4fc6f09c7734"
                "2893192509790e4056e116e232dff832ed863f5bd55dcb55d38f3ab834828a11"
            ),
            "linux-arm64": (
                "e53e2b88398f5b9503e3f074d82a2dcb090c708b34940848607ce658138a5d4a"
                "25962e042ab683ccc026a8a6c90c0be7f658e42dde0887369d73c3b68e2fc86c"
            ),
        },
    ),
}
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
_VARIABLE = "ENVTEST_ARCHIVE"

_OFF = "off"
# What stands for the version in the address of a mirror, which has an archive of each.
_PLACE = "{version}"
_RELEASES = "https://github.com/kubernetes-sigs/controller-tools/releases/download"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class ArchiveError(Exception):
    """The archive is not what it should be; the message says why, in one line."""


def machine() -> str:
    """Return what envtest calls a machine like this one, such as ``linux-amd64``."""
    architecture = platform.machine()
    return f"{platform.system().lower()}-{_ARCHITECTURES.get(architecture, architecture)}"


def address(version: str) -> str:
    """Return where the archive of *version* for this machine is published."""
    return f"{_RELEASES}/envtest-v{version}/envtest-v{version}-{machine()}.tar.gz"


def folder(pin: Pin, cache: Path) -> Path:
    """Return the folder below *cache* for the programs of the archive of *pin*: it is called by the archive's hash."""
    return cache / f"{machine()}-envtest-{ARCHIVES[pin].sha512.get(machine(), 'none')[:16]}"


def missing(found: Path) -> list[str]:
    """Return the programs of the archive that the folder *found* does not hold."""
    return absent(found, PROGRAMS)


def fetched_once(pin: Pin, cache: Path, say: Callable[[str], None], environ: Mapping[str, str]) -> Path | None:
    """Return the folder that holds the programs of *pin*, after fetching them if need be.

    Return None where they cannot be had, and *say* in one line why.
    """
    pinned = ARCHIVES[pin]
    wanted = environ.get(_VARIABLE, "").replace(_PLACE, pinned.version) or address(pinned.version)
    if wanted == _OFF:
        return None
    if machine() not in pinned.sha512:
        say(f"no archive is pinned for {machine()}, only for {' and '.join(pinned.sha512)}")
        return None
    make = partial(_fetch, wanted, pinned, say=say, environ=environ)
    try:
        return made_once(folder(pin, cache), missing, make, say)
    except (ArchiveError, DownloadError) as error:
        say(f"the archive cannot be had, so they are built instead: {error}")
        return None


def _fetch(
    wanted: str, pinned: Archive, draft: Path, *, say: Callable[[str], None], environ: Mapping[str, str]
) -> None:
    say(f"fetching version {pinned.version} from {wanted}, once")
    archive = draft / "archive"
    download(wanted, archive, say, environ)
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").hexdigest()
    digest = pinned.sha512[machine()]
    if found != digest:
        raise ArchiveError(f"its SHA-512 begins with {found[:16]}, expected {digest[:16]}: it is another file")
    _unpack(archive, draft)
    archive.unlink()


def _unpack(archive: Path, draft: Path) -> None:
    """Write the programs, which are regular files, into *draft*, and nothing else of *archive*."""
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                path = PurePosixPath(member.name)
                if path.name in PROGRAMS and ".." not in path.parts and member.isfile():
                    _write(members, member, draft / path.name)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ArchiveError(f"it cannot be unpacked: {error}") from error
    if lacking := missing(draft):
        raise ArchiveError(f"it holds no {' and no '.join(lacking)}")


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, program: Path) -> None:
    content = members.extractfile(member)
    assert content is not None  # it is a regular file
    with content, program.open("wb") as file:
        shutil.copyfileobj(content, file)
    program.chmod(0o755)
