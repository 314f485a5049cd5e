"""Where the programs of the control plane come from; `go` is a shell script here, and what is fetched a local file."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.cluster.binaries import BinariesError, archive, cache_folder, go, locate, recipe
from tests.cluster.errors import ControlPlaneError
from tests.cluster.pins import PINS, Pin
from tests.cluster.waiting import wait_until

# The folder after -o, as the real one is called: go build -o FOLDER/ …
FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo {version}; exit; fi
echo "$GOTOOLCHAIN $*" >>"{calls}"
{build}
"""
WHOLE = 'for name in server kube-apiserver; do echo "$$" >"$3$name"; chmod +x "$3$name"; done'
HALF = 'echo half >"$3kube-apiserver"; chmod +x "$3kube-apiserver"; echo "no space left" >&2; exit 1'

PUBLISHED = archive.ARCHIVES["newest"]

DOWNLOADING = "printf 'go: downloading one v1\\ngo: downloading two v1\\nexample.com/one\\n'"
UNTIL_LET_GO = 'while [ ! -e "$HOME/go-on" ]; do sleep 0.02; done'


@dataclass
class Machine:
    """A home folder and a PATH with a `go` that behaves as told."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def with_go(self, build: str = WHOLE, version: str = "go1.26.3") -> Machine:
        """Put a toolchain on the PATH."""
        program = self.root / "bin" / "go"
        program.parent.mkdir(exist_ok=True)
        program.write_text(FAKE_GO.format(version=version, calls=self.root / "calls", build=build))
        program.chmod(0o755)
        return self

    def locate(self) -> Path:
        """Ask for the programs, as the control plane does."""
        return locate(self.said.append, self.environ)

    def with_store(self, version: str = "1.37.2") -> Path:
        """Leave what setup-envtest does, and return the folder."""
        store = self.root / ".local" / "share" / "kubebuilder-envtest" / "k8s"
        return _programs(store / f"{version}-{archive.machine()}", version)

    def with_archive(self, monkeypatch: pytest.MonkeyPatch) -> Machine:
        """Publish the archive that is pinned."""
        published = self.root / "published.tar.gz"
        with tarfile.open(published, "w:gz") as tar:
            tar.add(_programs(self.root / "envtest", PUBLISHED.version), "controller-tools/envtest")
        self.environ["ENVTEST_ARCHIVE"] = published.as_uri()
        digest = hashlib.sha512(published.read_bytes()).hexdigest()
        pinned = replace(PUBLISHED, sha512={archive.machine(): digest})
        monkeypatch.setitem(archive.ARCHIVES, "newest", pinned)
        return self

    @contextmanager
    def let_go_at_the_end(self) -> Iterator[None]:
        """Let a build go on that waits for it, also when the test fails."""
        try:
            yield
        finally:
            (self.root / "go-on").touch()

    def calls(self) -> list[str]:
        """Return the builds that were asked for."""
        calls = self.root / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    # The shell's own programs come from the real PATH's folders; a real go there would be found, hence links.
    (tmp_path / "bin").mkdir()
    for name in ("chmod", "sleep"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return Machine(tmp_path, {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "ENVTEST_ARCHIVE": "off"})


def _fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def _key(pin: Pin) -> str:
    return recipe.control_plane(recipe.module(pin)).key()


def _programs(folder: Path, version: str) -> Path:
    _fill(folder, "etcd", "kube-apiserver", "kubectl")
    for path in folder.iterdir():
        path.write_text(f"#!/bin/sh\necho v{version}\n")
    return folder


def test_takes_the_first_that_there_is(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    built = machine.with_go().locate()
    assets, stored = _programs(machine.root / "assets", "1.33.3"), machine.with_store()
    machine.with_archive(monkeypatch).environ["KUBEBUILDER_ASSETS"] = str(assets)
    assert machine.locate() == assets
    del machine.environ["KUBEBUILDER_ASSETS"]
    assert machine.locate() == built
    shutil.rmtree(built)
    assert machine.locate() == stored
    shutil.rmtree(stored)
    fetched = machine.locate()
    assert recipe.missing(fetched) == []
    assert len(machine.calls()) == 1


def test_says_which_and_of_what_version(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = _programs(machine.root / "assets", "1.33.3")
    machine.environ["KUBEBUILDER_ASSETS"] = str(assets)
    machine.locate()
    del machine.environ["KUBEBUILDER_ASSETS"]
    stored = machine.with_store()
    machine.locate()
    shutil.rmtree(stored)
    fetched = machine.with_archive(monkeypatch).locate()
    assert [line for line in machine.said if "fetching" not in line] == [
        f"control plane: kube-apiserver 1.33.3, from KUBEBUILDER_ASSETS: {assets}",
        f"control plane: kube-apiserver 1.37.2, from setup-envtest: {stored}",
        f"control plane: kube-apiserver {PUBLISHED.version}, as published for envtest: {fetched}",
    ]


def test_what_was_unpacked_comes_before_what_setup_envtest_keeps(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = machine.with_archive(monkeypatch).locate()
    machine.with_store()
    (machine.root / "published.tar.gz").unlink()
    assert machine.locate() == unpacked


def test_builds_where_the_archive_cannot_be_had(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.with_go().with_archive(monkeypatch)
    (machine.root / "published.tar.gz").write_text("another file")
    assert machine.locate().name == _key("newest")
    assert len(machine.calls()) == 1
    assert ["SHA-512" in line for line in machine.said] == [False, True, False]


def test_takes_the_assets_of_the_user(machine: Machine) -> None:
    assets = _fill(machine.root / "assets", "etcd", "kube-apiserver", "kubectl")
    machine.environ["KUBEBUILDER_ASSETS"] = str(assets)
    assert machine.with_go().locate() == assets
    assert machine.calls() == []


@pytest.mark.parametrize(
    ("held", "lacking"), [(["etcd"], "no executable kube-apiserver"), ([], "etcd and no kube-api")]
)
def test_names_what_the_assets_of_the_user_lack(machine: Machine, held: list[str], lacking: str) -> None:
    machine.environ["KUBEBUILDER_ASSETS"] = str(_fill(machine.root / "assets", *held))
    with pytest.raises(BinariesError, match=f"KUBEBUILDER_ASSETS=.*{lacking}"):
        machine.with_go().locate()


def test_an_asset_must_be_executable(machine: Machine) -> None:
    assets = _fill(machine.root / "assets", "etcd", "kube-apiserver")
    (assets / "etcd").chmod(0o644)
    machine.environ["KUBEBUILDER_ASSETS"] = str(assets)
    with pytest.raises(BinariesError, match="no executable etcd;"):
        machine.locate()


@pytest.mark.parametrize("version", [None, "go1.25.9", "devel"])
def test_without_a_go_that_is_new_enough_names_both_ways_out(machine: Machine, version: str | None) -> None:
    if version:
        machine.with_go(version=version)
    with pytest.raises(BinariesError) as refusal:
        machine.locate()
    assert "KUBEBUILDER_ASSETS" in str(refusal.value)
    assert "setup-envtest" in str(refusal.value)
    assert "Go 1.26 or newer" in str(refusal.value)
    assert machine.calls() == []


@pytest.mark.parametrize("version", ["go1.26", "go1.30.1", "go2.0"])
def test_builds_once(machine: Machine, version: str) -> None:
    machine.with_go(version=version)
    assert recipe.missing(machine.locate()) == []
    assert machine.locate() == machine.locate()
    assert len(machine.calls()) == 1


def test_go_fetches_no_other_toolchain(machine: Machine) -> None:
    machine.environ["GOTOOLCHAIN"] = "auto"
    machine.with_go().locate()
    assert machine.calls()[0].startswith("local build ")


def test_a_finished_build_needs_no_go(machine: Machine) -> None:
    folder = machine.with_go().locate()
    (machine.root / "bin" / "go").unlink()
    assert machine.locate() == folder


def test_a_failed_build_is_not_used_and_says_why(machine: Machine) -> None:
    with pytest.raises(BinariesError, match=r"exit code 1:\nno space left"):
        machine.with_go(HALF).locate()
    assert recipe.missing(machine.with_go(WHOLE).locate()) == []
    assert len(machine.calls()) == 2


def test_a_build_that_makes_too_little_is_not_used(machine: Machine) -> None:
    with pytest.raises(BinariesError, match="no kube-apiserver"):
        machine.with_go('echo >"$3server"; chmod +x "$3server"').locate()
    assert [path.suffix for path in cache_folder(machine.environ).iterdir()] == [".lock"]


def test_what_a_killed_build_left_is_not_used_but_deleted(machine: Machine) -> None:
    final = cache_folder(machine.environ) / _key("newest")
    draft = _fill(final.with_name(final.name + ".draft-killed"), "etcd", "kube-apiserver")
    _fill(final, "etcd")
    assert machine.with_go().locate() == final
    assert len(machine.calls()) == 1
    assert not draft.exists()


def test_two_at_once_build_once(machine: Machine) -> None:
    machine.with_go(f"{UNTIL_LET_GO}\n{WHOLE}")
    with ThreadPoolExecutor(2) as pool, machine.let_go_at_the_end():
        folders = [pool.submit(machine.locate) for _ in range(2)]
        wait_until(lambda: any("waiting for it" in line for line in machine.said), "the second one waits")
    assert folders[0].result() == folders[1].result()
    assert len(machine.calls()) == 1


def test_tells_how_the_build_goes_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go, "PERIOD", 0.02)
    machine.with_go(f"{DOWNLOADING} >&2\n{UNTIL_LET_GO}\n{WHOLE}")
    with ThreadPoolExecutor(1) as pool, machine.let_go_at_the_end():
        pool.submit(machine.locate)
        wait_until(
            lambda: any("2 modules downloaded, 1 packages" in line for line in machine.said), "a line of progress"
        )


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_the_key_changes_with_the_modules(tmp_path: Path, name: str) -> None:
    module = Path(shutil.copytree(recipe.module("newest"), tmp_path / "module"))
    assert recipe.control_plane(module).key() == _key("newest")
    with (module / name).open("a") as file:
        file.write("// another line\n")
    assert recipe.control_plane(module).key() != _key("newest")


@pytest.mark.parametrize("pin", PINS)
def test_the_version_that_is_stamped_is_the_one_that_is_pinned(pin: Pin) -> None:
    module = recipe.module(pin)
    version = recipe.pinned("k8s.io/kubernetes", module)
    assert any(f"gitVersion={version} " in argument for argument in recipe.control_plane(module).arguments())


def test_the_oldest_is_older() -> None:
    assert recipe.minor_version(recipe.module("oldest")) < recipe.minor_version(recipe.module("newest"))


@pytest.mark.parametrize("pin", PINS)
def test_a_go_that_is_new_enough_builds_it(pin: Pin) -> None:
    found = re.search(r"^go (\d+)\.(\d+)", (recipe.module(pin) / "go.mod").read_text(), re.MULTILINE)
    assert found
    assert (int(found[1]), int(found[2])) <= recipe.GO_AT_LEAST


@pytest.mark.parametrize("pin", PINS)
def test_builds_the_versions_that_are_asked_for(machine: Machine, pin: Pin) -> None:
    machine.environ["SERVER_VERSIONS"] = pin
    assert machine.with_go().locate().name == _key(pin)


def test_what_the_caller_wants_comes_before_what_the_environment_asks_for(machine: Machine) -> None:
    machine.environ["SERVER_VERSIONS"] = "newest"
    assert locate(machine.said.append, machine.with_go().environ, pin="oldest").name == _key("oldest")


def test_the_newest_are_no_answer_to_who_asks_for_the_oldest(machine: Machine) -> None:
    newest, stored = machine.with_go().locate(), machine.with_store()
    machine.environ["SERVER_VERSIONS"] = "oldest"
    oldest = machine.locate()
    assert oldest not in {newest, stored}
    shutil.rmtree(oldest)
    old = machine.with_store("1.35.2")
    assert machine.locate() == old


def test_the_assets_of_the_user_are_of_no_version_that_is_asked_for(machine: Machine) -> None:
    assets = _fill(machine.root / "assets", "etcd", "kube-apiserver", "kubectl")
    machine.environ |= {"KUBEBUILDER_ASSETS": str(assets), "SERVER_VERSIONS": "oldest"}
    with pytest.raises(ControlPlaneError, match=r"KUBEBUILDER_ASSETS=.*SERVER_VERSIONS=oldest .*: unset one"):
        machine.locate()
    machine.environ["SERVER_VERSIONS"] = ""
    assert machine.locate() == assets


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/cache", "HOME": "/home/me"}, "/cache/coverage-hooks/control-plane"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/coverage-hooks/control-plane"),
        ({"HOME": "/home/me"}, "/home/me/.cache/coverage-hooks/control-plane"),
    ],
)
def test_the_cache_is_where_the_user_keeps_caches(environ: dict[str, str], folder: str) -> None:
    assert cache_folder(environ) == Path(folder)
