"""Where Keycloak comes from: a folder that is built for our options, in the user's cache.

It is filled once, from the folder that KEYCLOAK_HOME names if it is set, which stays as it is, or through Maven, in the
version that SERVER_VERSIONS chooses. A build takes twenty seconds and would be part of every start otherwise. It
happens in a folder of its own which gets its final name when it is complete: what has that name is a Keycloak. A lock
lets one build of a kind run at a time; it is the kernel's, so a killed build leaves none behind.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import binaries, keycloak_tools, pins
from tests.cluster.keycloak_tools import KeycloakError
from tests.cluster.pins import Pin

POM = Path(__file__).parent / "maven" / "pom.xml"
LAUNCHER = Path("bin", "kc.sh")

_VARIABLE = "KEYCLOAK_HOME"
# What can only be chosen when it is built. The database is a file: it must outlive a restart, and nothing else. Secret
# rotation is on by default in later versions only.
_OPTIONS = ("--db=dev-file", "--health-enabled=true", "--features=client-secret-rotation")
_DRAFT = ".draft-"

_Say = Callable[[str], None]


def locate(say: _Say, environ: Mapping[str, str] = os.environ) -> Path:
    """Return a folder that holds a built Keycloak, filling it if need be; *say* is told how that goes on, and which.

    Raises KeycloakError which names what is missing, Java included, and how to get it.
    """
    java, version = keycloak_tools.java(environ), pinned(pins.chosen(environ))
    given = pins.given(_VARIABLE, environ)
    folder = cache_folder(environ) / (_key_of_home(_home(given)) if given else _key_of_pom(version))
    say(f"Keycloak {f'from {_VARIABLE}' if given else version}: {folder}")
    if _is_there(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder, say):
        if not _is_there(folder):
            _discard_remains(folder)
            with _draft(folder) as draft:
                home = _copied(_home(given), draft) if given else _fetched(version, draft, say, environ)
                command = ["sh", str(home / LAUNCHER), "build", *_OPTIONS]
                keycloak_tools.run(command, "building it for our options", say, clean(environ, java))
                home.rename(folder)
    return folder


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder below which every built Keycloak has a folder of its own."""
    return binaries.cache_folder(environ).parent / "keycloak"


def clean(environ: Mapping[str, str], java: str) -> dict[str, str]:
    """Return what Keycloak's launcher needs of *environ*, without the settings that the user has for another one."""
    return {name: environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in environ} | {"JAVA": java}


def _is_there(folder: Path) -> bool:
    return (folder / LAUNCHER).is_file()


def _home(given: str) -> Path:
    home = Path(given).absolute()
    if not _is_there(home):
        raise KeycloakError(
            f"{_VARIABLE}={given} holds no {LAUNCHER}; "
            "set it to an unpacked Keycloak, or unset it to have one fetched through Maven"
        )
    return home


def _copied(home: Path, draft: Path) -> Path:
    # The state of the user's own server, and its settings.
    not_ours = (home / "data", home / "conf" / "keycloak.conf")
    copy = draft / "home"
    shutil.copytree(
        home, copy, ignore=lambda folder, _: [path.name for path in not_ours if path.parent == Path(folder)]
    )
    for path in (copy, *copy.rglob("*")):  # it may come from a folder that nobody may write to
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return copy


def _fetched(version: str, draft: Path, say: _Say, environ: Mapping[str, str]) -> Path:
    keycloak_tools.fetch(POM, version, draft, say, environ)
    launcher = next(draft.glob(f"*/{LAUNCHER}"), None)
    if launcher is None:
        raise KeycloakError(f"Maven ended well but unpacked no {LAUNCHER}")
    return launcher.parents[1]


def pinned(pin: Pin) -> str:
    """Return the version of *pin*."""
    found = re.search(rf"<keycloak.{pin}>(.+)</keycloak.{pin}>", POM.read_text())
    if found is None:
        raise ValueError(f"{POM} pins no {pin} Keycloak")
    return found[1]


def _key_of_pom(version: str) -> str:
    return f"{version}-{_digest([POM.read_text()])}"


def _key_of_home(home: Path) -> str:
    # Sizes and times instead of content: it is asked for at each start.
    files = ((path, path.stat()) for path in sorted(home.rglob("*")) if path.relative_to(home).parts[0] != "data")
    return f"home-{_digest(f'{path} {state.st_size} {state.st_mtime_ns}' for path, state in files)}"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join([*_OPTIONS, *parts]).encode(errors="surrogateescape")).hexdigest()[:16]


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    draft = Path(tempfile.mkdtemp(prefix=folder.name + _DRAFT, dir=folder.parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _discard_remains(folder: Path) -> None:
    """Delete what killed builds left, and a build that somebody took the launcher out of."""
    for remains in [folder, *folder.parent.glob(folder.name + _DRAFT + "*")]:
        shutil.rmtree(remains, ignore_errors=True)


@contextmanager
def _only_one(folder: Path, say: _Say) -> Iterator[None]:
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Keycloak: somebody else is getting the same one; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
