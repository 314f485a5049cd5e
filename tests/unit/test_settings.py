"""The environment as values: defaults, bounds, and never an exception."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_hooks.settings import NAMES, PodIdentity, Settings, in_pod, rivals, strangers


def read(**environment: str) -> Settings:
    return Settings.from_environment({f"COVERAGE_HOOKS_{name}": value for name, value in environment.items()})


def test_an_empty_environment_is_off_and_has_the_documented_defaults() -> None:
    settings = read()
    assert not settings.enabled
    assert (settings.interval, settings.exit_timeout, settings.run, settings.rcfile) == (1.0, 5.0, "", None)
    assert (settings.revision, settings.context, settings.pod, settings.problems) == ("", "none", None, [])
    assert settings.directory == Path.cwd() / ".coverage-hooks"


@pytest.mark.parametrize(("value", "enabled"), [("1", True), ("On", True), ("yes", True), ("0", False), ("off", False)])
def test_the_switch(value: str, enabled: bool) -> None:
    assert (read(ENABLED=value).enabled, read(ENABLED=value).problems) == (enabled, [])


@pytest.mark.parametrize(("value", "interval"), [("0.1", 0.1), ("60", 60.0), (" 2 ", 2.0)])
def test_intervals_within_bounds_are_taken(value: str, interval: float) -> None:
    assert read(INTERVAL=value) == read(INTERVAL=str(interval))


@pytest.mark.parametrize("value", ["0.09", "61", "nan", "inf", "-1", "one"])
def test_intervals_out_of_bounds_are_replaced_and_named(value: str) -> None:
    settings = read(INTERVAL=value)
    assert settings.interval == 1.0
    assert settings.problems == [f"COVERAGE_HOOKS_INTERVAL={value!r}: expected 0.1 to 60 seconds; using 1"]


#: Settings that are taken as text, whatever it is.
TEXTS = (
    "DIR",
    "RUN",
    "RCFILE",
    "REVISION",
    *(f"POD_{name}" for name in ("NAME", "NAMESPACE", "UID", "NODE", "CONTAINER")),
)


class TestPlaceholders:
    @pytest.mark.parametrize("value", ["$(RUN)", "a/$(POD_NAME)/b", "${RUN}", "x-$RUN", "$(my.run-id)"])
    @pytest.mark.parametrize("name", TEXTS)
    def test_what_was_not_filled_in_is_named(self, name: str, value: str) -> None:
        (problem,) = read(**{name: value}).problems
        assert problem.startswith(f"COVERAGE_HOOKS_{name}={value!r}: ")
        literal = value.removeprefix("a/").removesuffix("/b").removeprefix("x-")
        assert f"{literal!r} stands there as it is: nothing filled it in" in problem
        assert "Kubernetes" in problem

    @pytest.mark.parametrize("name", ["DIR", "RCFILE"])
    @pytest.mark.parametrize("value", ["~", "~/cov", "~user/cov"])
    def test_a_home_is_named(self, name: str, value: str) -> None:
        (problem,) = read(**{name: value}).problems
        assert problem.startswith(f"COVERAGE_HOOKS_{name}={value!r}: ")
        assert "write the whole path" in problem

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("RUN", "~1"),
            ("RUN", "a$"),
            ("RUN", "$5"),
            ("DIR", "/a~/b"),
            ("DIR", "/~"),
            ("RUN", "$()"),
            ("RUN", "{RUN}"),
        ],
    )
    def test_what_only_looks_like_it_is_fine(self, name: str, value: str) -> None:
        assert read(**{name: value}).problems == []

    def test_the_value_is_used_as_it_is(self) -> None:
        """A recording that lies in an odd place, under an odd name, is better than one that is not made."""
        settings = read(DIR="~/cov", RUN="$(RUN)", POD_NAME="$(POD_NAME)")
        assert (settings.directory, settings.run) == (Path.cwd() / "~/cov", "$(RUN)")
        assert settings.pod == PodIdentity(name="$(POD_NAME)")
        assert len(settings.problems) == 3


def test_the_pod_is_what_the_downward_api_passed_on() -> None:
    settings = read(POD_NAME="a", POD_NAMESPACE="b", POD_UID="c", POD_NODE="d", POD_CONTAINER="e")
    assert settings.pod == PodIdentity(name="a", namespace="b", uid="c", node="d", container="e")


def test_a_relative_folder_does_not_follow_a_later_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read(DIR="volume")
    monkeypatch.chdir("/")
    assert settings.directory == tmp_path / "volume"


@given(st.dictionaries(st.sampled_from(["ENABLED", "INTERVAL", "EXIT_TIMEOUT", "CONTEXT", "DIR"]), st.text()))
def test_no_environment_raises(environment: dict[str, str]) -> None:
    settings = read(**environment)
    assert 0.1 <= settings.interval <= 60


def test_a_working_folder_that_is_gone_is_a_problem_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    settings = read()
    assert settings.directory == Path(".coverage-hooks")
    assert len(settings.problems) == 1


class TestNames:
    def test_they_are_what_is_read(self) -> None:
        asked = set()

        class Spy(dict[str, str]):
            def get(self, name: str, *_: str) -> str:  # type: ignore[override]
                asked.add(name)
                return ""

        Settings.from_environment(Spy())
        assert asked == set(NAMES)
        assert len(NAMES) == len(set(NAMES))

    @pytest.mark.parametrize("name", NAMES)
    def test_none_of_them_is_a_stranger(self, name: str) -> None:
        assert strangers({name: "1"}) == {}

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("COVERAGE_HOOKS_ENABELD", "COVERAGE_HOOKS_ENABLED"),
            ("COVERAGE_HOOKS_DIRECTORY", ""),
            ("COVERAGE_HOOKS_INTERVALL", "COVERAGE_HOOKS_INTERVAL"),
            ("COVERAGE_HOOKS_enabled", "COVERAGE_HOOKS_ENABLED"),
            ("COVERAGE_HOOKS_FOO", ""),
            ("COVERAGE_HOOK_ENABLED", "COVERAGE_HOOKS_ENABLED"),
            ("coverage_hooks_dir", "COVERAGE_HOOKS_DIR"),
        ],
    )
    def test_a_slip_is_told_with_what_was_meant(self, name: str, meant: str) -> None:
        assert strangers({name: "1", "PATH": "/"}) == {name: meant}

    @pytest.mark.parametrize(
        "name", ["COVERAGE_RCFILE", "COVERAGE_FILE", "COVERAGE_PROCESS_START", "COVERAGE_CORE", "HOOKS"]
    )
    def test_what_belongs_to_others_is_no_slip(self, name: str) -> None:
        assert strangers({name: "1"}) == {}


def test_coverages_own_variables_count_when_they_say_something() -> None:
    assert rivals({"COVERAGE_PROCESS_START": "x", "COVERAGE_PROCESS_CONFIG": ""}) == ["COVERAGE_PROCESS_START"]


def test_a_pod_is_known_by_what_kubernetes_tells_each() -> None:
    assert in_pod({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert not in_pod({})
