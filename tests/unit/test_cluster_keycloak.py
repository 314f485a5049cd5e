"""Where Keycloak comes from; Java, Maven and Keycloak are shell scripts here, so nothing is fetched or started."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster import keycloak_binaries, keycloak_tools
from tests.cluster.errors import ControlPlaneError
from tests.cluster.keycloak_binaries import LAUNCHER, cache_folder, clean, locate, pinned
from tests.cluster.keycloak_home import make_home, start_command
from tests.cluster.keycloak_tools import KeycloakError
from tests.cluster.waiting import wait_until

BUILD = "--db=dev-file --health-enabled=true --features=client-secret-rotation"

PROGRAMS = ("chmod", "cp", "env", "mkdir", "readlink", "sh", "sleep")

FAKE_JAVA = """#!/bin/sh
echo 'openjdk version "{version}" 2025-04-15' >&2
"""
# Its third argument is the folder, as in: mvn --batch-mode --file=POM -Dfolder=FOLDER …
FAKE_MAVEN = """#!/bin/sh
echo "$*" >>"{calls}"
unpack() {{ mkdir -p "${{3#-Dfolder=}}/keycloak-1/bin" && cp "{launcher}" "${{3#-Dfolder=}}/keycloak-1/bin/kc.sh"; }}
{fetch}
"""
FAKE_LAUNCHER = """#!/bin/sh
echo "$*" >>"{calls}"
env >"{calls}.env"
{build}
"""
UNPACK = 'unpack "$@"'
NO_SPACE = "echo no space left >&2; exit 1"
UNTIL_LET_GO = 'while [ ! -e "$HOME/go-on" ]; do sleep 0.02; done'


@dataclass
class Machine:
    """A home folder and a PATH with a Java and a Maven that behave as told."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def with_java(self, version: str = "17.0.15") -> Machine:
        """Put a Java on the PATH."""
        _script(self.root / "bin" / "java", FAKE_JAVA.format(version=version))
        return self

    def with_maven(self, fetch: str = UNPACK, build: str = "") -> Machine:
        """Put a Maven on the PATH that fetches a Keycloak which is built as told."""
        launcher = _script(self.root / "launcher", FAKE_LAUNCHER.format(calls=self.root / "builds", build=build))
        maven = FAKE_MAVEN.format(calls=self.root / "fetches", launcher=launcher, fetch=fetch)
        _script(self.root / "bin" / "mvn", maven)
        return self

    def with_home(self) -> Path:
        """Make a Keycloak of the user's own."""
        home = self.root / "my keycloak"
        for name in ("bin", "conf", "data/h2", "lib/quarkus"):
            (home / name).mkdir(parents=True)
        for name in ("conf/keycloak.conf", "conf/cache.xml", "data/h2/db", "lib/quarkus/application.dat"):
            (home / name).write_text(name)
        # It is built into the folder it lies in, as by the real one.
        build = 'echo new >"${0%/bin/kc.sh}/lib/quarkus/application.dat"'
        _script(home / LAUNCHER, FAKE_LAUNCHER.format(calls=self.root / "builds", build=build))
        self.environ["KEYCLOAK_HOME"] = str(home)
        return home

    def locate(self) -> Path:
        """Ask for Keycloak, as a test does."""
        return locate(self.said.append, self.environ)

    def calls(self, what: str) -> list[str]:
        """Return the arguments of each of the `fetches` or `builds`."""
        calls = self.root / what
        return calls.read_text().splitlines() if calls.exists() else []

    @contextmanager
    def let_go_at_the_end(self) -> Iterator[None]:
        """Let go what waits for it, also when the test fails."""
        try:
            yield
        finally:
            (self.root / "go-on").touch()


def _script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    # Links to single programs: the real folders of the PATH may hold a real java.
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return Machine(tmp_path, {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)})


def test_fetches_and_builds_once(machine: Machine) -> None:
    folder = machine.with_java().with_maven().locate()
    assert folder == machine.locate()
    assert folder.parent == cache_folder(machine.environ) == machine.root / ".cache" / "coverage-hooks" / "keycloak"
    assert folder.name.startswith(f"{pinned('newest')}-")
    assert (folder / LAUNCHER).is_file()
    assert machine.calls("fetches")[0].endswith(f" -Dkeycloak.version={pinned('newest')} dependency:unpack")
    assert machine.calls("builds") == [f"build {BUILD}"]
    assert len(machine.calls("fetches")) == 1


def test_what_is_there_needs_no_maven_and_no_lock(machine: Machine) -> None:
    folder = machine.with_java().with_maven().locate()
    (machine.root / "bin" / "mvn").unlink()
    lock = folder.with_name(folder.name + ".lock")
    lock.unlink()
    lock.mkdir()  # cannot be opened, as in a cache that can only be read
    assert machine.locate() == folder


def test_without_maven_names_both_ways_out(machine: Machine) -> None:
    with pytest.raises(KeycloakError, match=r"no mvn on the PATH(.|\n)*Maven 3(.|\n)*KEYCLOAK_HOME"):
        machine.with_java().locate()


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "16", "unknown"])
def test_a_java_that_is_too_old_is_refused(machine: Machine, version: str) -> None:
    with pytest.raises(KeycloakError, match=f'"{version}".*: too old(.|\n)*OpenJDK 17 or newer'):
        machine.with_java(version).with_maven().locate()
    assert machine.calls("fetches") == []


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.2", "26-ea"])
def test_a_java_that_is_new_enough_will_do(machine: Machine, version: str) -> None:
    assert machine.with_java(version).with_maven().locate()


def test_without_java_says_so_before_anything_is_fetched(machine: Machine) -> None:
    with pytest.raises(KeycloakError, match=r"no java on the PATH(.|\n)*OpenJDK 17 or newer"):
        machine.with_maven().locate()
    assert machine.calls("fetches") == []


def test_the_java_is_the_one_that_java_home_names(machine: Machine) -> None:
    machine.with_java("11").with_maven()
    machine.environ["JAVA_HOME"] = str(machine.root / "jdk")
    with pytest.raises(KeycloakError, match=r"no java in JAVA_HOME=.*/jdk"):
        machine.locate()
    (machine.root / "jdk" / "bin").mkdir(parents=True)
    _script(machine.root / "jdk" / "bin" / "java", FAKE_JAVA.format(version="21"))
    assert keycloak_tools.java(machine.environ) == str(machine.root / "jdk" / "bin" / "java")


def test_takes_the_keycloak_of_the_user_and_leaves_it_as_it_is(machine: Machine) -> None:
    home = machine.with_java().with_home()
    folder = machine.locate()
    assert folder == machine.locate()
    assert machine.calls("builds") == [f"build {BUILD}"]
    assert (home / "lib/quarkus/application.dat").read_text() == "lib/quarkus/application.dat"
    assert (folder / "lib/quarkus/application.dat").read_text() == "new\n"


def test_neither_the_data_nor_the_settings_of_the_user_are_taken(machine: Machine) -> None:
    machine.with_java().with_home()
    folder = machine.locate()
    assert sorted(path.name for path in folder.iterdir()) == ["bin", "conf", "lib"]
    assert [path.name for path in (folder / "conf").iterdir()] == ["cache.xml"]


def test_a_keycloak_that_only_can_be_read_will_do(machine: Machine) -> None:
    home = machine.with_java().with_home()
    for path in (home, *home.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    assert all(path.stat().st_mode & stat.S_IWUSR for path in machine.locate().rglob("*"))


def test_a_changed_keycloak_of_the_user_is_taken_anew(machine: Machine) -> None:
    home = machine.with_java().with_home()
    before = machine.locate()
    (home / "data" / "h2" / "more").touch()
    assert machine.locate() == before
    (home / "lib" / "provider.jar").write_text("one")
    with_provider = machine.locate()
    (home / "lib" / "provider.jar").write_text("another")
    assert len({before, with_provider, machine.locate()}) == 3


def test_a_keycloak_home_without_launcher_is_named(machine: Machine) -> None:
    machine.with_java().with_maven().environ["KEYCLOAK_HOME"] = str(machine.root)
    with pytest.raises(KeycloakError, match=f"KEYCLOAK_HOME={machine.root} holds no bin/kc.sh; .*Maven"):
        machine.locate()
    assert machine.calls("fetches") == []


def test_a_failed_fetch_is_not_used_and_says_why(machine: Machine) -> None:
    machine.with_java().with_maven(fetch=f"{UNPACK}; {NO_SPACE}")
    with pytest.raises(KeycloakError, match=r"Maven failed with exit code 1:\nno space left\n(.|\n)*KEYCLOAK_HOME"):
        machine.locate()
    assert [path.suffix for path in cache_folder(machine.environ).iterdir()] == [".lock"]


def test_a_fetch_that_brings_nothing_is_not_used(machine: Machine) -> None:
    with pytest.raises(KeycloakError, match=r"unpacked no bin/kc\.sh"):
        machine.with_java().with_maven(fetch="exit 0").locate()


def test_a_failed_build_is_not_used_and_says_why(machine: Machine) -> None:
    with pytest.raises(KeycloakError, match=r"building it for our options failed with exit code 1:\nno space left$"):
        machine.with_java().with_maven(build=NO_SPACE).locate()
    assert [path.suffix for path in cache_folder(machine.environ).iterdir()] == [".lock"]
    machine.with_maven().locate()
    assert len(machine.calls("fetches")) == 2


def test_what_a_killed_one_left_is_not_used_but_deleted(machine: Machine) -> None:
    final = machine.with_java().with_maven().locate()
    draft = Path(final.rename(f"{final}.draft-killed"))
    (final / "lib").mkdir(parents=True)
    assert machine.locate() == final
    assert (final / LAUNCHER).is_file()
    assert not (final / "lib").exists()
    assert not draft.exists()
    assert len(machine.calls("builds")) == 2


def test_two_at_once_fetch_once(machine: Machine) -> None:
    machine.with_java().with_maven(fetch=f"{UNTIL_LET_GO}\n{UNPACK}")
    with ThreadPoolExecutor(2) as pool, machine.let_go_at_the_end():
        folders = [pool.submit(machine.locate) for _ in range(2)]
        wait_until(lambda: any("waiting for it" in line for line in machine.said), "the second one waits")
        (machine.root / "go-on").touch()
        assert folders[0].result() == folders[1].result()
    assert len(machine.calls("fetches")) == 1


def test_tells_how_it_goes_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keycloak_tools, "PERIOD", 0.02)
    machine.with_java().with_maven(build=UNTIL_LET_GO)
    with ThreadPoolExecutor(1) as pool, machine.let_go_at_the_end():
        pool.submit(machine.locate)
        wait_until(lambda: any(re.search(r"options, +\d+ s$", line) for line in machine.said), "a line of progress")
        assert list(cache_folder(machine.environ).glob(f"26*/{LAUNCHER}")) == [], (
            "it has its name only when it is built"
        )
    assert machine.said[1] == "Keycloak: fetching it through Maven, once"


def test_the_settings_of_another_keycloak_do_not_reach_ours(machine: Machine) -> None:
    machine.environ |= {"KC_DB": "postgres", "JAVA_OPTS": "-Xmx1g", "TMPDIR": str(machine.root)}
    machine.with_java().with_maven().locate()
    environ = dict(line.split("=", 1) for line in machine.calls("builds.env"))
    assert {name for name in environ if name.startswith(("KC_", "JAVA"))} == {"JAVA"}
    assert environ["TMPDIR"] == str(machine.root)


def test_another_pin_is_another_folder(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.with_java().with_maven().locate()
    pom = machine.root / "pom.xml"
    pom.write_text(keycloak_binaries.POM.read_text().replace(pinned("newest"), "99.9.9"))
    monkeypatch.setattr(keycloak_binaries, "POM", pom)
    assert machine.locate().name.startswith("99.9.9-")
    assert before.exists()


def test_fetches_the_version_that_is_asked_for(machine: Machine) -> None:
    newest = machine.with_java().with_maven().locate()
    machine.environ["SERVER_VERSIONS"] = "oldest"
    oldest = machine.locate()
    assert pinned("oldest") != pinned("newest")
    assert oldest.name.startswith(f"{pinned('oldest')}-")
    assert [call.split()[-2] for call in machine.calls("fetches")] == [
        f"-Dkeycloak.version={pinned('newest')}",
        f"-Dkeycloak.version={pinned('oldest')}",
    ]
    machine.environ["SERVER_VERSIONS"] = "newest"
    assert machine.locate() == newest


def test_says_which_it_is(machine: Machine) -> None:
    folder = machine.with_java().with_maven().locate()
    assert machine.said[0] == f"Keycloak {pinned('newest')}: {folder}"
    machine.with_home()
    assert f"Keycloak from KEYCLOAK_HOME: {machine.locate()}" in machine.said


def test_the_keycloak_of_the_user_is_of_no_version_that_is_asked_for(machine: Machine) -> None:
    machine.with_java().with_home()
    machine.environ["SERVER_VERSIONS"] = "oldest"
    with pytest.raises(ControlPlaneError, match=r"KEYCLOAK_HOME=.*SERVER_VERSIONS=oldest .*: unset one"):
        machine.locate()


def test_the_command_is_what_the_launcher_would_run(machine: Machine) -> None:
    built, home = machine.root / "built", machine.root / "a home"
    (built / "bin").mkdir(parents=True)
    (built / "lib").mkdir()
    (built / "data").mkdir()
    _script(built / LAUNCHER, '#!/bin/sh\necho noise\nexec "$JAVA" "-Dhome=$(readlink -f "$0")" "a \'b" "$@"\n')
    make_home(built, home)
    command = start_command(home, 1, 2, clean(machine.environ, "/java"))
    assert command[0] == "/java"
    assert command[command.index(f"-Dhome={home / LAUNCHER}") :][1:4] == ["a 'b", "start", "--optimized"]
    assert {"--http-port=1", "--http-management-port=2", f"-Djava.io.tmpdir={home / 'tmp'}"} < set(command)
    assert (home / "lib").resolve() == built / "lib"
    assert not (home / "data").exists()
