"""A home of its own for each Keycloak, and the command that starts it there.

The programs stay in the cache and are linked to; the database and everything else that is written is below the home.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.keycloak_binaries import LAUNCHER

# Takes the place of `java`: the launcher tells it everything that it would tell java.
_SCRIBE = '#!/bin/sh\nprintf "%s\\0" "$@" >"$0.said"\n'

_JVM = (
    # Half the time to start: nothing here runs for long enough to be worth the better compiler.
    "-XX:TieredStopAtLevel=1",
    # No file in the machine's temporary folder, which a killed process could not delete.
    "-XX:-UsePerfData",
)


def make_home(built: Path, home: Path) -> None:
    """Make *home* one for a server with the programs of *built*."""
    (home / "tmp").mkdir(parents=True)
    launcher = home / LAUNCHER
    launcher.parent.mkdir()
    shutil.copyfile(built / LAUNCHER, launcher)  # no link: it takes the folder that it lies in for the home
    for name in {path.name for path in built.iterdir()} - {LAUNCHER.parts[0], "data"}:
        (home / name).symlink_to(built / name)


def start_command(home: Path, port: int, management_port: int, environ: Mapping[str, str]) -> list[str]:
    """Return the command line with which the launcher in *home* would replace itself.

    It would rather stay, as the parent of Java, and a killed launcher leaves Java behind.
    """
    scribe = home / "tmp" / "scribe"
    scribe.write_text(_SCRIBE)
    scribe.chmod(0o700)
    options = [
        "start",
        "--optimized",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        f"--http-management-port={management_port}",
        # The address of a request decides what Keycloak calls itself: a proxy in front of it needs no setting.
        "--hostname-strict=false",
        "--cache=local",
    ]
    settings = {**environ, "JAVA": str(scribe), "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m"}
    subprocess.run(["sh", str(home / LAUNCHER), *options], env=settings, stdout=subprocess.DEVNULL, check=True)
    arguments = Path(f"{scribe}.said").read_text().split("\0")[:-1]
    return [environ["JAVA"], *_JVM, f"-Djava.io.tmpdir={home / 'tmp'}", *arguments]
