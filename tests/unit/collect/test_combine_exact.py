"""What is combined is what ``coverage combine`` makes of the same files: every line, every arc, in every context."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import coverage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_hooks.collect import pipeline
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.configuration import Configuration
from coverage_hooks.collect.data.merge import Union
from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.retrieve.directory import Directory
from tests.unit.collect.building import SOURCES, Project, data_bytes, examples, make_project, record

Content = set[tuple[Any, ...]]

_CONTEXTS = st.lists(st.sampled_from(["", "create", "delete|a/b"]), min_size=1, max_size=3, unique=True)
_LINES = st.frozensets(st.integers(1, 8), min_size=1)
_ARCS = st.frozensets(st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=1)
_NAMES = [name for name in SOURCES if not name.endswith("__init__.py")]


def content_of(path: Path) -> Content:
    """Return every fact in data file *path*; what was measured and has none is one too."""
    data = coverage.CoverageData(str(path))
    data.read()
    facts: Content = {(name,) for name in data.measured_files()}
    for context in data.measured_contexts():
        data.set_query_context(context)
        for name in data.measured_files():
            found = data.arcs(name) if data.has_arcs() else data.lines(name)
            facts |= {(name, context, each) for each in found or ()}
    data.close(force=True)
    return facts


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("exact") / "checkout")
    project.write(dict.fromkeys(_NAMES, "pass\n" * 8))
    project.commit()
    return project


@settings(max_examples=examples(12))
@given(data=st.data(), branch=st.booleans())
def test_the_union_is_that_of_coverage(
    checkout: Project, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, *, branch: bool
) -> None:
    base, root = tmp_path_factory.mktemp("union"), checkout.root
    measured = st.dictionaries(st.sampled_from(_NAMES), _ARCS if branch else _LINES, min_size=1)
    raw: list[str] = []
    for number, ran in enumerate(data.draw(st.lists(measured, min_size=1, max_size=4))):
        record(
            base / "volume", host=str(number), branch=branch, measured=ran, sources=dict.fromkeys(_NAMES, "pass\n" * 8)
        )
        raw.append(str(base / f"raw-{number}"))
        Path(raw[-1]).write_bytes(data_bytes({f"/app/{name}": found for name, found in ran.items()}, branch=branch))
    unit = {str(root / name): found for name, found in data.draw(measured).items()}
    (base / "unit").write_bytes(data_bytes(unit, branch=branch, contexts=data.draw(_CONTEXTS)))
    configuration = Configuration(root / ".coveragerc", root)
    pipeline.retrieve(Directory(base / "volume"), base / "out", Request())
    ledger = pipeline.combine(base / "out", configuration, Inputs(units=[base / "unit"]))
    assert not ledger.open_losses

    (base / "rc").write_text(f"[paths]\nall =\n    {root}\n    /app\n")
    for name, parts in {"cluster.coverage": raw, ".coverage": [*raw, str(base / "unit")]}.items():
        plain = coverage.Coverage(data_file=str(base / f"plain{name}"), config_file=str(base / "rc"))
        plain.combine(parts, keep=True)
        plain.save()
        plain.get_data().close(force=True)
        found = content_of(base / "out" / name)
        assert found == content_of(base / f"plain{name}") | {(str(root / each),) for each in SOURCES}
        with closing(sqlite3.connect(base / "out" / name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_two_paths_of_one_file_are_joined(checkout: Project, tmp_path: Path) -> None:
    """A process may import a file under two names, such as through a link to its folder."""
    source = "pass\n" * 8
    twice = record(
        tmp_path / "volume",
        prefix="",
        measured={"/app/shop/cart.py": {1}, "/link/shop/cart.py": {2}},
        sources={"/app/shop/cart.py": source, "/link/shop/cart.py": source},
    )
    pipeline.retrieve(Directory(tmp_path / "volume"), tmp_path / "out", Request())
    configuration = Configuration(checkout.root / ".coveragerc", checkout.root)
    ledger = pipeline.combine(tmp_path / "out", configuration, Inputs())
    assert not ledger.open_losses
    for name in ("cluster.coverage", f"data/.coverage.{twice.name}"):
        lines = {line for name, *rest in content_of(tmp_path / "out" / name) if rest for line in rest[1:]}
        assert lines == {1, 2}


def test_replicas_have_files_of_their_own(checkout: Project, tmp_path: Path) -> None:
    """Where one ran what the one before did, too, and imported one file more."""
    sources = dict.fromkeys([*_NAMES, "shop/hooks/more.py"], "pass\n" * 8)
    checkout.write(sources)  # coverage.py does not look into a folder without an `__init__.py`
    ran = {"shop/cart.py": [3, 1], "shop/parts/till.py": [2]}
    same = [
        record(tmp_path / "volume", measured=each, sources=sources, host=str(number))
        for number, each in enumerate(
            ({**ran, "shop/cart.py": [1]}, ran, {**ran, "shop/cart.py": [1, 3]}, {**ran, "shop/hooks/more.py": []})
        )
    ]
    pipeline.retrieve(Directory(tmp_path / "volume"), tmp_path / "out", Request())
    pipeline.combine(tmp_path / "out", Configuration(checkout.root / ".coveragerc", checkout.root), Inputs())
    first, second, third, last = (content_of(tmp_path / f"out/data/.coverage.{each.name}") for each in same)
    cart, more = str(checkout.root / "shop/cart.py"), (str(checkout.root / "shop/hooks/more.py"),)
    assert second - first == {(cart, "", 3)}
    assert third == second
    assert last - third == {more}


@pytest.mark.parametrize("branch", [False, True])
def test_what_is_joined_stays_as_it_was(*, branch: bool) -> None:
    def proven(*lines: int) -> Union:
        union = Union()
        union.add_proven("a.py", set(lines), branch=branch)
        return union

    one, other, joined = proven(1), proven(2), Union()
    for each in (one, other):
        joined.update(each)
    assert (joined, one, other) == (proven(1, 2), proven(1), proven(2))
