"""What images are made of, and that each is made once; nothing is built or fetched here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cluster.images import COVERAGE, OPERATOR, ImageError, made
from tests.cluster.images.catalogue import CHECKOUT
from tests.cluster.images.systems import SYSTEMS, mirror
from tests.cluster.images.wheels import PYTHON

PACKAGE = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "coverage-hooks" / "images"


def _locked(name: str) -> dict[str, str]:
    return dict(PACKAGE.findall((CHECKOUT / f"{name}.lock").read_text()))


def _make(*parts: str, name: str = "thing", fails: bool = False) -> Path:
    def make(path: Path) -> None:
        if fails:
            raise ImageError("no space left")
        path.write_text("made of " + " and ".join(parts))

    return made.made_once(name, parts, make)


def test_is_made_once_for_the_same_parts() -> None:
    first = _make("one")
    assert _make("one", fails=True) == first
    assert _make("one", "two") != first
    assert first.read_text() == "made of one"


def test_parts_do_not_run_into_each_other() -> None:
    assert made.digest(["ab", "c"]) != made.digest(["a", "bc"])
    assert made.digest(["text"]) == made.digest([b"text"])


def test_nothing_is_left_of_what_failed(cache: Path) -> None:
    with pytest.raises(ImageError):
        _make("one", fails=True)
    assert [path.name for path in cache.iterdir()] == ["thing.lock"]
    assert _make("one").exists()


def test_what_a_killed_maker_left_is_deleted(cache: Path) -> None:
    (cache / "thing.draft-killed").mkdir(parents=True)
    _make("one")
    assert not (cache / "thing.draft-killed").exists()


def test_the_newest_few_are_kept_and_those_of_longer_names_left_alone(cache: Path) -> None:
    other = _make("one", name="thing-coverage")
    many = [_make(str(number)) for number in range(5)]
    assert [path.exists() for path in many] == [False, False, False, True, True]
    assert other.exists()


def test_a_failed_command_is_named_with_the_end_of_its_output() -> None:
    with pytest.raises(ImageError, match=r"a try: sh ended with exit code 3:\nout\nwrong"):
        made.run("a try", ["sh", "-c", "echo out; echo wrong >&2; exit 3"])


def _machine_with(sources: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "apt-get"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' {sources}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_packages_come_from_where_the_machine_gets_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine_with("'Others http://others.example/' 'Debian http://archive.example/debian/'", tmp_path, monkeypatch)
    assert mirror({}) == "http://archive.example/debian/"
    assert mirror({"DEBIAN_MIRROR": "http://mine.example/"}) == "http://mine.example/"


def test_a_machine_without_a_debian_archive_is_told_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine_with("'Others http://others.example/'", tmp_path, monkeypatch)
    with pytest.raises(ImageError, match="set DEBIAN_MIRROR"):
        mirror({})


def test_the_images_hold_the_versions_that_are_tested() -> None:
    tested = _locked("requirements")
    for name in ("requirements-operator", "requirements-operator-coverage"):
        locked = _locked(name)
        assert locked
        assert {package: tested[package] for package in locked} == locked


def test_the_product_holds_no_coverage_and_the_other_image_nothing_else_than_that() -> None:
    product, other = _locked("requirements-operator"), _locked("requirements-operator-coverage")
    assert other.keys() - product.keys() == {"coverage"}
    assert product.keys() <= other.keys()


def test_the_tag_of_the_image_that_records_is_the_one_that_the_chart_derives() -> None:
    assert COVERAGE.repository == OPERATOR.repository
    assert COVERAGE.tag == f"{OPERATOR.tag}-coverage"


def test_the_base_image_can_be_chosen_and_all_that_is_for_it_is_for_one_python() -> None:
    for name in ("Dockerfile", "Dockerfile.test"):
        assert (CHECKOUT / name).read_text().startswith(f"ARG BASE_IMAGE=python:{PYTHON}-slim\n")
    system = SYSTEMS["python"]
    assert {f"python{PYTHON}", f"python{PYTHON}-venv"} <= {*system.packages}
    assert system.links["python3"] == f"python{PYTHON}"
    [for_lock] = re.findall(
        r"^IMAGE_LOCK :=.* --python-version (\S+) ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE
    )
    assert for_lock == PYTHON
