"""What setup-envtest left on a machine; its programs are shell scripts here."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster.binaries import archive, store

WANTED = (1, 35)


@dataclass
class Machine:
    """A home folder with a store, and what was said of it."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def with_store(self, *versions: str, below: str = ".local/share") -> Machine:
        """Leave programs of these versions, as setup-envtest does."""
        for version in versions:
            self.leave(f"{version}-{archive.machine()}", version, below)
        return self

    def leave(self, name: str, version: str, below: str = ".local/share") -> Path:
        """Leave programs that call themselves *version* in a folder *name*; nothing of it can be written to."""
        folder = self.home / below / "kubebuilder-envtest" / "k8s" / name
        folder.mkdir(parents=True)
        for program, line in (("kube-apiserver", f"Kubernetes v{version}"), ("etcd", "etcd Version: 3.6.6")):
            (folder / program).write_text(f"#!/bin/sh\necho '{line}'\n")
        (folder / "kubectl").touch()
        for path in (*folder.iterdir(), folder):
            path.chmod(0o555)
        return folder

    def newest(self, *, or_later: bool = True) -> str | None:
        """Return the name of the folder that is used, without the kind of machine."""
        found = store.newest(WANTED, self.said.append, self.environ, or_later=or_later)
        return found.name.removesuffix(f"-{archive.machine()}") if found else None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    yield Machine(tmp_path, {"PATH": "/bin", "HOME": str(tmp_path)})
    for folder in tmp_path.rglob("k8s/*"):
        folder.chmod(stat.S_IRWXU)  # so that pytest can delete it


@pytest.mark.parametrize(
    ("left", "used"),
    [
        ([], None),
        (["1.35.0"], "1.35.0"),
        (["1.35.2", "1.35.10", "1.35.9"], "1.35.10"),
        (["1.35.0", "1.36.2"], "1.35.0"),
        (["1.36.2", "1.37.1", "1.37.0"], "1.37.1"),
        (["1.34.9", "1.4.100", "0.36.0"], None),
        (["1.35.0-alpha.3", "1.36.0-rc.0"], None),
    ],
    ids=str,
)
def test_the_newest_of_the_pinned_minor_version_else_of_all_later_ones(
    machine: Machine, left: list[str], used: str | None
) -> None:
    assert machine.with_store(*left).newest() == used
    assert machine.said == []


def test_nothing_later_than_the_minor_version_that_alone_is_wanted(machine: Machine) -> None:
    machine.with_store("1.36.2")
    assert machine.newest(or_later=False) is None
    machine.with_store("1.35.0", "1.35.1")
    assert machine.newest(or_later=False) == "1.35.1"


@pytest.mark.parametrize("name", ["1.35.0-plan9-mips", f"1.35.0-{archive.machine()}.old", "1.35.0"])
def test_what_has_another_name_is_not_used(machine: Machine, name: str) -> None:
    machine.leave(name, "1.35.0")
    assert machine.newest() is None


@pytest.mark.parametrize("lacking", archive.PROGRAMS)
def test_what_lacks_a_program_is_passed_over(machine: Machine, lacking: str) -> None:
    whole = machine.with_store("1.35.0").leave(f"1.35.1-{archive.machine()}", "1.35.1")
    whole.chmod(stat.S_IRWXU)
    (whole / lacking).chmod(0o444)
    assert machine.newest() == "1.35.0"
    assert [f"no executable {lacking}" in line for line in machine.said] == [True]


@pytest.mark.parametrize("half", ["etcd", "kube-apiserver"])
def test_what_cannot_be_run_is_passed_over(machine: Machine, half: str) -> None:
    folder = machine.with_store("1.36.0").leave(f"1.35.1-{archive.machine()}", "1.35.1")
    (folder / half).chmod(0o755)
    (folder / half).write_bytes(b"\x7fELF")
    assert machine.newest() == "1.36.0"
    assert [half in line for line in machine.said] == [True]


@pytest.mark.parametrize("version", ["1.34.0", "1.35.0-beta.0"])
def test_what_is_another_version_than_its_folder_says_is_passed_over(machine: Machine, version: str) -> None:
    machine.leave(f"1.35.0-{archive.machine()}", version)
    assert machine.newest() is None
    assert [f"is {version}, expected 1.35.0" in line for line in machine.said] == [True]


def test_a_program_that_ends_badly_is_of_no_version(machine: Machine) -> None:
    folder = machine.leave(f"1.35.0-{archive.machine()}", "1.35.0")
    (folder / "etcd").chmod(0o755)
    (folder / "etcd").write_text("#!/bin/sh\necho 3.6.6\nexit 1\n")
    assert machine.newest() is None


def test_the_store_is_where_the_user_keeps_data(machine: Machine) -> None:
    machine.with_store("1.35.0").with_store("1.35.1", below="data")
    assert machine.newest() == "1.35.0"
    machine.environ["XDG_DATA_HOME"] = str(machine.home / "data")
    assert machine.newest() == "1.35.1"


def test_files_beside_the_folders_do_not_matter(machine: Machine) -> None:
    machine.with_store("1.35.0")
    (machine.home / ".local/share/kubebuilder-envtest/k8s" / f"1.35.7-{archive.machine()}").touch()
    assert machine.newest() == "1.35.0"
