"""Java and Maven: finding them, and running a long command that tells how it goes on."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.errors import ControlPlaneError

PERIOD = 5.0
JAVA_AT_LEAST = 17

_TAIL_LINES = 30
_JAVA_REMEDY = f"""The Keycloak of the tests needs OpenJDK {JAVA_AT_LEAST} or newer: install it,
and put its `java` on the PATH or set JAVA_HOME to its folder."""
_MAVEN_REMEDY = """Keycloak is fetched through Maven, once. Either
  - install Maven 3.6.3 or newer, and see that it can fetch artifacts,
  - or set KEYCLOAK_HOME to an unpacked Keycloak, the folder that holds bin/kc.sh."""


class KeycloakError(ControlPlaneError):
    """There is no Keycloak to start, or it did not become ready; the message says why or how to get one."""


def java(environ: Mapping[str, str]) -> str:
    """Return the `java` that Keycloak's own launcher would take; raise KeycloakError if it is missing or too old."""
    home = environ.get("JAVA_HOME")
    program = shutil.which(f"{home}/bin/java" if home else "java", path=environ.get("PATH", ""))
    if program is None:
        place = f"in JAVA_HOME={home}" if home else "on the PATH"
        raise KeycloakError(f"There is no java {place}.\n{_JAVA_REMEDY}")
    answer = subprocess.run([program, "-version"], env=dict(environ), capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', answer.stderr)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        version = answer.stderr.partition("\n")[0] or "of no known version"
        raise KeycloakError(f"{program} is {version}: too old.\n{_JAVA_REMEDY}")
    return program


def maven(environ: Mapping[str, str]) -> str:
    """Return the `mvn` on the PATH of *environ*; raise KeycloakError if there is none."""
    program = shutil.which("mvn", path=environ.get("PATH", ""))
    if program is None:
        raise KeycloakError(f"There is no mvn on the PATH.\n{_MAVEN_REMEDY}")
    return program


def fetch(pom: Path, version: str, folder: Path, say: Callable[[str], None], environ: Mapping[str, str]) -> None:
    """Unpack what *pom* names, in *version*, into *folder*, with the settings that the user's Maven has anyway."""
    command = [maven(environ), "--batch-mode", f"--file={pom}", f"-Dfolder={folder}"]
    command += [f"-Dkeycloak.version={version}", "dependency:unpack"]
    try:
        run(command, "fetching it through Maven", say, environ)
    except KeycloakError as error:
        raise KeycloakError(f"{error}\n{_MAVEN_REMEDY}") from error


def run(command: list[str], what: str, say: Callable[[str], None], environ: Mapping[str, str]) -> None:
    """Run *command*, and say every few seconds for how long; raise KeycloakError with the end of its output."""
    output: deque[str] = deque(maxlen=_TAIL_LINES)
    with subprocess.Popen(
        command,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=output.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            code = _wait(process, what, say)
        finally:
            process.terminate()
        reader.join()
    if code:
        raise KeycloakError(f"Keycloak: {what} failed with exit code {code}:\n{''.join(output)}".rstrip())


def _wait(process: subprocess.Popen[str], what: str, say: Callable[[str], None]) -> int:
    start = time.monotonic()
    say(f"Keycloak: {what}, once")
    while True:
        try:
            return process.wait(PERIOD)
        except subprocess.TimeoutExpired:
            say(f"Keycloak: {what}, {time.monotonic() - start:3.0f} s")
