"""Whatever one recording is turned into, the others are reported completely, and it is named or it is sound.

`HYPOTHESIS_EFFORT=100` tries a hundred times as much.
"""

from __future__ import annotations

import hashlib
import random
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import coverage
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_hooks import collecting
from coverage_hooks.cli import commands
from coverage_hooks.collect.combine import Inputs
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.report import Configuration
from coverage_hooks.collect.retrieve import Patience
from coverage_hooks.collect.runs import Choice
from coverage_hooks.collect.sources.directory import Directory
from coverage_hooks.collecting import Request
from tests.processor import is_cheap
from tests.unit.collect.building import SOURCES, Project, Recording, examples, make_project, record
from tests.unit.collect.mutating import HONEST, MUTATIONS, SILENT

#: What the sound ones ran: some of it nobody else did.
SOUND = ({"shop/cart.py": {1, 2, 7}}, {"shop/cart.py": {1, 3}, "shop/parts/till.py": {1, 2}}, {"shop/unused.py": {1}})
BAD = {"shop/cart.py": {1, 8}, "shop/unused.py": {1, 2}, "shop/__init__.py": {0}}
ARCS = {name: {(-1, line) for line in lines if line} for name, lines in BAD.items() if lines != {0}}

NAMES: st.SearchStrategy[list[str]] = st.sampled_from([SILENT, HONEST, HONEST, (*SILENT, *HONEST)]).flatmap(
    lambda kind: st.lists(st.sampled_from([each.__name__ for each in kind]), min_size=1, max_size=3)
)

#: How many times the work of collecting the sound ones alone, and how many bytes, it may take with any others beside.
TIMES, BYTES = 20, 300 << 20


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("generated") / "checkout")


@pytest.fixture(scope="module")
def alone(checkout: Project, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], object]:
    """What collects the sound ones alone."""
    base = tmp_path_factory.mktemp("alone")
    for number, each in enumerate(SOUND):
        record(base / "volume", host=f"sound-{number}", measured=each)
    return lambda: collected(checkout, base)


def collected(checkout: Project, base: Path, *, realign: bool = True) -> Ledger:
    """Collect from the volume in *base*."""
    # By name: the newest run is whichever a manifest claims to be newer.
    request = Request(choice=Choice(run="run-1"), patience=Patience(minimum=0.05, intervals=0, poll=0.01))
    collecting.retrieve(Directory(base / "volume"), base / "out", request)
    return collecting.combine(
        base / "out", Configuration(checkout.root / ".coveragerc", checkout.root), Inputs(realign=realign)
    )


def lines_of(path: Path) -> dict[str, set[int]]:
    """Return the lines in a data file by file name, without those that have none."""
    data = coverage.CoverageData(str(path))
    data.read()
    found = {name: set(data.lines(name) or ()) for name in data.measured_files()}
    data.close(force=True)
    return {name: lines for name, lines in found.items() if lines}


def spoil(volume: Path, chance: random.Random, names: list[str], *, branch: bool) -> set[str]:
    """Write two recordings onto *volume* and let what *names* says happen to them.

    Return the names of those whose files are not what their manifests say any more.
    """
    bad, other = (
        record(volume, host=host, branch=branch, measured=ARCS if branch else BAD) for host in ("bad", "other-bad")
    )
    for name in sorted(names, key="replace_entry".__eq__):  # last of all, as reading a FIFO would take forever
        with suppress(OSError):  # an earlier one took away what this one wanted to spoil
            MUTATIONS[name](chance, bad, other)
    return {each.name for each in (bad, other) if {MUTATIONS[name] for name in names} <= {*SILENT} and changed(each)}


def changed(recording: Recording) -> bool:
    """Whether a file of *recording* is not the one of its first manifest."""
    data, sources = recording.manifest.data, recording.manifest.sources
    assert data is not None
    assert sources is not None
    for path, sha256 in ((recording.data, data.sha256), (recording.sources, sources.sha256)):
        if path.is_symlink() or not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            return True
    return False


def merged(*parts: dict[str, set[int]]) -> dict[str, set[int]]:
    """Return the union of *parts*."""
    return {name: set().union(*(part.get(name, set()) for part in parts)) for part in parts for name in part}


def in_checkout(checkout: Project, measured: dict[str, set[int]]) -> dict[str, set[int]]:
    return {str(checkout.root / name.removeprefix("/app/")): lines for name, lines in measured.items()}


def check(checkout: Project, output: Path, ledger: Ledger, sound: list[Recording], lost: set[str]) -> None:
    """Compare what was combined with what is sound, and with what those hold that nothing is said against."""
    blamed = {loss.recording for loss in ledger.losses}
    assert lost & {row.recording for row in ledger.rows} <= blamed
    assert not blamed & {each.name for each in sound}
    for each, measured in zip(sound, SOUND, strict=True):
        assert lines_of(output / f"data/.coverage.{each.name}") == in_checkout(checkout, measured)
    claims = [in_checkout(checkout, measured) for measured in SOUND]
    for row in ledger.rows:
        kept = output / f"data/.coverage.{row.recording}"
        if row.recording in blamed or row.recording in {each.name for each in sound} or not kept.exists():
            assert row.recording in blamed or row.note or kept.exists()
            continue
        raw = output / row.folder / "data-3.coverage"
        claims.append(in_checkout(checkout, lines_of(raw)))
        assert lines_of(kept) == claims[-1]
    if not blamed:
        assert lines_of(output / "cluster.coverage") == merged(*claims)
    found = lines_of(output / "cluster.coverage")
    for name, lines in merged(*claims[: len(SOUND)]).items():
        assert lines <= found[name]
    for name, lines in found.items():
        assert max(lines) <= Path(name).read_text().count("\n") + 1


@settings(max_examples=examples(30))
@given(
    seed=st.integers(0, 2**64),
    names=NAMES,
    branch=st.sampled_from([False, False, False, True]),
)
def test_the_sound_ones_stay_exact(
    checkout: Project,
    alone: Callable[[], object],
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    names: list[str],
    *,
    branch: bool,
) -> None:
    base = tmp_path_factory.mktemp("generated")
    sound = [record(base / "volume", host=f"sound-{n}", measured=each) for n, each in enumerate(SOUND)]
    lost = spoil(base / "volume", random.Random(seed), names, branch=branch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ledgers: list[Ledger] = []
    assert is_cheap(lambda: ledgers.append(collected(checkout, base, realign=seed % 2 == 0)), TIMES, alone)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < BYTES
    check(checkout, base / "out", ledgers[0], sound, lost)


@settings(max_examples=examples(3))
@given(seed=st.integers(0, 2**64), names=NAMES)
def test_every_output_copes_with_it(
    checkout: Project, tmp_path_factory: pytest.TempPathFactory, seed: int, names: list[str]
) -> None:
    base = tmp_path_factory.mktemp("outputs")
    sound = [record(base / "volume", host=f"sound-{n}", measured=each) for n, each in enumerate(SOUND)]
    lost = spoil(base / "volume", random.Random(seed), names, branch=False)
    arguments = [
        "collect",
        "--from",
        str(base / "volume"),
        "--run",
        "run-1",
        "--silent-after",
        "0.1",
        "--output",
        str(base / "out"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coverage_hooks.collect.retrieve.LONGEST_INTERVAL", 0.1)
        patch.chdir(checkout.root)
        result = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    ledger = Ledger.load(base / "out")
    assert result.exit_code == (1 if ledger.open_losses else 0)
    assert "Traceback" not in result.output
    assert not {"\x1b", "\u202e", "\0"} & set(result.output)
    for loss in ledger.losses:
        assert loss.recording in result.output
    for name in ("summary.json", "summary.md", "html/index.html", "coverage.xml"):
        assert (base / "out" / name).stat().st_size
    assert {str(checkout.root / name) for name in SOURCES} >= set(lines_of(base / "out/.coverage"))
    check(checkout, base / "out", ledger, sound, lost)
