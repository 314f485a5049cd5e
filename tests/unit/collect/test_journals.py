"""What journals say: to the first record that is unsound, whatever that is."""

from __future__ import annotations

import dataclasses
import itertools
import struct
from pathlib import Path

import coverage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_hooks.collect.data import journals as reading
from coverage_hooks.collect.data.arcs import unpack
from coverage_hooks.collect.data.contents import Content, read_data
from coverage_hooks.collect.data.journals import FIRST_END, LAST_LINE, Journals
from coverage_hooks.collect.data.merge import lines_of
from coverage_hooks.errors import VolumeError
from coverage_hooks.volume.journal import NAME, NAME_LIMIT, RECORD, Name
from tests.processor import is_cheap
from tests.unit.collect.building import LINES, data_bytes, fingerprint, journal_bytes, point

ARCS = {"/a.py": {(-1, 1), (1, 2), (2, -1), (-1, 5), (5, 1)}, "/empty.py": {(-1, 0), (0, -1)}}
KNOWN = fingerprint("x = 1\n")
A = Name(number=1, path="/a.py", fingerprint=KNOWN)
B = Name(number=2, path="/b.py", fingerprint=KNOWN)


def read(*contents: bytes, branch: bool = False) -> tuple[Journals, list[tuple[int, str]]]:
    journals = Journals(branch=branch)
    return journals, [journals.read(memoryview(content)) for content in contents]


def facts(content: Content) -> dict[str, set[object]]:
    """Return the lines or arcs by path."""
    found: dict[str, set[object]] = {path: set() for path in content.paths}
    for (path, _), bits in content.lines.items():
        found[path].update(lines_of(bits))
    for (path, _), arcs in (content.arcs or {}).items():
        found[path].update(arcs)
    return found


@pytest.mark.parametrize("branch", [False, True])
def test_counts_are_those_of_coverage(tmp_path: Path, *, branch: bool) -> None:
    path = tmp_path / "data"
    measured = ARCS if branch else LINES
    path.write_bytes(data_bytes(measured, branch=branch, contexts=["one", "two"]))
    journals, _ = read(journal_bytes(measured, dict.fromkeys(measured)), branch=branch)
    data = coverage.CoverageData(str(path))
    data.read()
    files = data.measured_files()
    for content in (read_data(path), journals.content()):
        assert set(content.paths) == set(content.tops) == files
        assert content.line_count == sum(len(data.lines(file) or ()) for file in files)
        assert content.arc_count == sum(len(data.arcs(file) or ()) for file in files)
        assert content.branch == branch
        assert facts(content) == {file: set(data.arcs(file) or data.lines(file) or ()) for file in files}
        for file in files:
            numbers = [abs(number) for arc in data.arcs(file) or () for number in arc] or data.lines(file) or [0]
            assert content.tops[file] == max(numbers)


def test_a_data_file_of_very_many_arcs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_bytes({"/a.py": {(line, line + 1) for line in range(200_000)}}, branch=True))
    assert read_data(path).arc_count == 200_000


def test_a_point_counts_once_and_a_template_is_as_long_as_its_lines() -> None:
    page = Name(number=3, path="/page.html", tracer="plugin.Templates")
    arcs = point(1, (-9, 1)) * 3 + page.to_bytes() + point(3, (-900, 7)) + point(1, (1, 2))
    journals, _ = read(A.to_bytes() + arcs, branch=True)
    content = journals.content()
    assert (content.arc_count, content.line_count) == (3, 3)
    assert content.tops == {"/a.py": 9, "/page.html": 7}
    assert content.tracers == {"/page.html": "plugin.Templates"}


def text(content: bytes, size: int | None = None) -> bytes:
    """Return the records of a name that is *content*."""
    size = len(content) if size is None else size
    return RECORD.pack(0, NAME, size, 0) + content.ljust(-(-len(content) // RECORD.size) * RECORD.size)


UNSOUND = {
    "zeros": (bytes(RECORD.size), "a hole"),
    "an unknown file": (point(7, 1), "a point of file 7, which has no name"),
    "a context": (RECORD.pack(1, 1, 1, 0), "a record of an unknown kind"),
    "a kind of record that is yet to come": (RECORD.pack(0, 2, 16, 0), "a record of an unknown kind"),
    "a name of no bytes": (RECORD.pack(0, NAME, 0, 0), "a name of no possible length"),
    "a name of fewer bytes than none": (RECORD.pack(0, NAME, -1, -1), "a name of no possible length"),
    "a long name": (text(b"{}", NAME_LIMIT + 1), "a name of no possible length"),
    "a name and something": (RECORD.pack(0, NAME, 16, 1) + b"{}".ljust(16), "a name of no possible length"),
    "a name that takes points for its text": (text(b"{", 5000), "a name of no possible text"),
    "a name that is no JSON": (text(b"{'id': 1}"), "a name that cannot be read"),
    "a name with something behind it": (text(A.to_bytes()[RECORD.size :].rstrip() + b" ]"), "a name that cannot be"),
    "a name that goes on behind its length": (text(b'{"id":3,"path":"/c.py"}   ', 23 - 4), "goes on behind its length"),
    "a second path": (Name(number=1, path="/b.py").to_bytes(), "a second name for file 1"),
    "a second plug-in": (Name(number=1, path="/a.py", tracer="x").to_bytes(), "a second name for file 1"),
}
OF_LINES = {
    "a negative line": (point(1, -1), "/a.py has no line (-1, 0)"),
    "a line beyond any program's": (point(1, LAST_LINE + 1), f"/a.py has no line ({LAST_LINE + 1}, 0)"),
    "an arc": (point(1, (1, 2)), "/a.py has no line (1, 2)"),
    "an arc out of a module": (point(1, (1, -1)), "/a.py has no line (1, -1)"),
    "an end below the lines that there are": (point(1, (-1, -1)), "/a.py has no line (-1, -1)"),
}
OF_ARCS = {
    "an arc from nowhere": (point(1, (LAST_LINE + 1, 1)), f"/a.py has no arc ({LAST_LINE + 1}, 1)"),
    "an arc to nowhere": (point(1, (1, FIRST_END - 1)), f"/a.py has no arc (1, {FIRST_END - 1})"),
}


@pytest.mark.parametrize("before", [b"", point(1, 3), B.to_bytes()], ids=["name", "point", "names"])
@pytest.mark.parametrize(
    ("unsound", "wrong", "branch"),
    [
        pytest.param(*case, branch, id=f"{name}, {'arcs' if branch else 'lines'}")
        for cases, branches in ((UNSOUND, (False, True)), (OF_LINES, (False,)), (OF_ARCS, (True,)))
        for (name, case), branch in itertools.product(cases.items(), branches)
    ],
)
def test_what_follows_an_unsound_record_does_not_count(
    before: bytes, unsound: bytes, wrong: str, *, branch: bool
) -> None:
    before = A.to_bytes() + point(1, 1) + before
    journals, [(sound, said)] = read(before + unsound + point(1, 2), branch=branch)
    assert sound == len(before)
    assert wrong in said
    only, _ = read(before, branch=branch)
    assert facts(journals.content()) == facts(only.content())


@pytest.mark.parametrize("branch", [False, True])
def test_what_a_line_may_be(*, branch: bool) -> None:
    ends = {(LAST_LINE, FIRST_END), (FIRST_END, LAST_LINE), (0, 0)} if branch else {0, LAST_LINE}
    journals, [(_, wrong)] = read(journal_bytes({"/a.py": ends}, {"/a.py": None}), branch=branch)
    assert not wrong
    assert facts(journals.content()) == {"/a.py": ends}


def test_a_journal_that_is_cut_anywhere_says_what_was_written_by_then() -> None:
    parts = [A.to_bytes(), point(1, 1), point(1, 2), B.to_bytes(), point(2, 9)]
    content = b"".join(parts)
    ends = list(itertools.accumulate(map(len, parts)))
    for cut in range(len(content) + 1):
        journals, [(sound, wrong)] = read(content[:cut])
        assert (sound, wrong) == (max([0, *(end for end in ends if end <= cut)]), "")
        lines = {("/a.py", 1): ends[1], ("/a.py", 2): ends[2], ("/b.py", 9): ends[4]}
        found = facts(journals.content())
        assert {(path, line) for path in found for line in found[path]} == {
            each for each, end in lines.items() if end <= cut
        }


class TestNames:
    def test_a_later_one_adds_the_fingerprint(self) -> None:
        first = Name(number=1, path="/a.py").to_bytes() + point(1, 1)
        assert read(first)[0].problems == {"/a.py": ""}
        journals, _ = read(first + A.to_bytes() + Name(number=1, path="/a.py").to_bytes() + point(1, 2))
        assert (journals.fingerprints, journals.problems) == ({"/a.py": KNOWN}, {})
        assert facts(journals.content()) == {"/a.py": {1, 2}}

    def test_two_numbers_of_a_path_are_one_file(self) -> None:
        again = dataclasses.replace(A, number=2)
        journals, _ = read(A.to_bytes() + point(1, 1) + again.to_bytes() + point(2, 2))
        assert facts(journals.content()) == {"/a.py": {1, 2}}

    def test_journals_have_numbers_of_their_own(self) -> None:
        other = dataclasses.replace(B, number=1)
        journals, [_, (_, wrong)] = read(A.to_bytes() + point(1, 1), other.to_bytes() + point(1, 2))
        assert not wrong
        assert facts(journals.content()) == {"/a.py": {1}, "/b.py": {2}}

    @pytest.mark.parametrize("each", [1, (1, 2)])
    def test_a_name_is_that_of_its_own_journal_only(self, each: int | tuple[int, int]) -> None:
        first, second = A.to_bytes() + B.to_bytes() + point(2, each), A.to_bytes() + point(2, each)
        journals, [_, (sound, wrong)] = read(first, second, branch=isinstance(each, tuple))
        assert (sound, wrong) == (len(A.to_bytes()), "a point of file 2, which has no name")
        assert facts(journals.content()) == {"/a.py": set(), "/b.py": {each}}

    @pytest.mark.parametrize("several", [False, True])
    @pytest.mark.parametrize(
        ("second", "problem"),
        [
            ({"fingerprint": fingerprint("x = 2\n")}, "it was imported in two versions"),
            ({"fingerprint": None, "problem": "changed since"}, "changed since"),
        ],
    )
    def test_without_one_fingerprint_for_all_there_is_none(
        self, second: dict[str, object], problem: str, *, several: bool
    ) -> None:
        names = [A.to_bytes(), dataclasses.replace(A, **second).to_bytes()]  # type: ignore[arg-type] # of any field
        for order in (names, names[::-1]):
            journals, _ = read(*order) if several else read(b"".join(order))
            assert (journals.fingerprints, journals.problems) == ({}, {"/a.py": problem})

    def test_a_child_that_does_not_know_what_it_ran_spoils_the_file(self) -> None:
        journals, _ = read(A.to_bytes(), Name(number=1, path="/a.py").to_bytes() + point(1, 1))
        assert (journals.fingerprints, journals.problems) == ({}, {"/a.py": ""})

    @pytest.mark.parametrize("path", ["/a\0.py", "/a\udc80.py"])
    def test_a_path_that_no_data_file_can_hold_has_no_fingerprint(self, path: str) -> None:
        journals, _ = read(Name(number=1, path=path, fingerprint=KNOWN).to_bytes())
        assert (journals.fingerprints, journals.problems) == ({}, {path: "its path is no text"})


@pytest.mark.parametrize("together", [1, 2, 3, 7])
@pytest.mark.parametrize("branch", [False, True])
def test_a_long_journal_is_read_in_parts(monkeypatch: pytest.MonkeyPatch, together: int, *, branch: bool) -> None:
    content = journal_bytes(ARCS if branch else LINES, dict.fromkeys([*ARCS, *LINES], "x = 1\n"))
    names = {"shop/long.py" * 20: [(1, 2)] if branch else [5]}
    content += journal_bytes(names, dict.fromkeys(names))  # takes the number of another
    whole = read(content, branch=branch)
    monkeypatch.setattr(reading, "_TOGETHER", together)
    parts = read(content, branch=branch)
    assert parts[1] == whole[1]
    assert parts[0].content() == whole[0].content()
    assert parts[0].fingerprints == whole[0].fingerprints


@pytest.mark.parametrize(("limit", "branch"), [("MOST_ARCS", True), ("MOST_BYTES", True), ("MOST_BYTES", False)])
def test_more_than_any_program_has_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, limit: str, *, branch: bool
) -> None:
    measured = ARCS if branch else {"/a.py": range(200, 205)}
    content = journal_bytes(measured, dict.fromkeys(measured))
    monkeypatch.setattr(reading, limit, 4)
    with pytest.raises(VolumeError, match="more than any program has"):
        read(content, branch=branch)[0].content()


def test_what_is_said_again_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ARCS", 3)
    arcs = b"".join(point(1, (1, line)) for line in (1, 2, 3))
    journals, _ = read((A.to_bytes() + arcs) * 3, A.to_bytes() + arcs, branch=True)
    assert journals.content().arc_count == 3
    with pytest.raises(VolumeError, match="more than any program has"):
        read(A.to_bytes() + arcs, A.to_bytes() + point(1, (1, 4)), branch=True)


def test_names_of_more_bytes_than_any_program_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 3 * len(A.to_bytes()))
    read(A.to_bytes() * 3)
    with pytest.raises(VolumeError, match="more than any program has"):
        read(A.to_bytes() * 4)


def test_lines_of_more_bytes_than_any_program_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = journal_bytes({"/a.py": {1, 7999}, "/b.py": {1, 7999}}, {"/a.py": None, "/b.py": None})
    assert read(content)[0].content().line_count == 4
    monkeypatch.setattr(reading, "MOST_BYTES", 15_999)
    with pytest.raises(VolumeError, match="more than any program has"):
        read(content)


def test_the_highest_lines_cost_no_more_than_their_bytes() -> None:
    lines = range(LAST_LINE - 20_000, LAST_LINE)
    content = journal_bytes({"/a.py": lines}, {"/a.py": None})
    assert read(content)[0].content().line_count == 20_000

    def act() -> Content:
        return read(content)[0].content()

    assert is_cheap(act, 1, lambda: sum(1 << line for line in lines[:2000]))


def naive(content: bytes, *, branch: bool) -> tuple[set[tuple[str, int, int]], int, bool]:  # noqa: PLR0911 - one for each end
    """Read *content* record by record: its points, how many bytes are sound, and whether what follows is not."""
    points: set[tuple[str, int, int]] = set()
    names: dict[int, str] = {}
    at = 0
    while at + RECORD.size <= len(content):
        file, context, start, end = RECORD.unpack_from(content, at)
        if (file, context) == (0, NAME):
            size = -(-start // RECORD.size) * RECORD.size
            told = content[at + RECORD.size :][: max(0, size)]
            if end or not 0 < start <= NAME_LIMIT:
                return points, at, True
            if len(told) < size:
                return points, at, b"\0" in told
            if told[start:].strip(b" "):
                return points, at, True
            try:
                name = Name.parse(told[:start])
            except VolumeError:
                return points, at, True
            if names.setdefault(name.number, name.path) != name.path:
                return points, at, True
            at += size
        else:
            ends = range(FIRST_END, LAST_LINE + 1)
            fine = start in ends and end in ends if branch else 0 <= start <= LAST_LINE and not end
            if context or file not in names or not fine:
                return points, at, True
            points.add((names[file], start, end))
        at += RECORD.size
    return points, at, False


_NUMBERS = st.integers(-3, 9) | st.sampled_from(
    [LAST_LINE, LAST_LINE + 1, FIRST_END, FIRST_END - 1, -(1 << 31), (1 << 31) - 1]
)
_PARTS = st.one_of(
    st.builds(
        lambda number, path: Name(number=number, path=path, fingerprint=KNOWN).to_bytes(),
        st.integers(1, 3),
        st.sampled_from(["/a.py", "/b.py", "/ü.py"]),
    ),
    st.builds(RECORD.pack, st.integers(0, 4), st.just(0) | st.integers(0, 2), _NUMBERS, _NUMBERS),
    st.builds(lambda file, line: RECORD.pack(file, 0, line, 0), st.integers(1, 3), st.integers(0, 5)),
    st.binary(max_size=20),
)


@given(parts=st.lists(_PARTS, max_size=12), branch=st.booleans(), cut=st.integers(0, 15))
def test_any_journal_is_read_as_record_by_record(parts: list[bytes], cut: int, *, branch: bool) -> None:
    content = A.to_bytes() + B.to_bytes() + b"".join(parts)
    content = content[: len(content) - cut]
    journals, [(sound, wrong)] = read(content, branch=branch)
    found = {
        (path, *(each if isinstance(each, tuple) else (each, 0)))
        for path, points in facts(journals.content()).items()
        for each in points
    }
    assert (found, sound, bool(wrong)) == naive(content, branch=branch)


def test_an_arc_is_the_second_half_of_its_record() -> None:
    ends = (FIRST_END, -1, 0, 1, LAST_LINE)
    for arc in itertools.product(ends, ends):
        assert unpack(struct.unpack("<qq", point(1, arc))[1]) == arc
