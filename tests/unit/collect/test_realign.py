"""What ``--realign`` carries over from the source that was recorded to that of the checkout, and what it never may."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import random
import shutil
from pathlib import Path
from textwrap import dedent

import coverage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_hooks.collect.data import contents
from coverage_hooks.collect.mapping import remap
from coverage_hooks.collect.mapping.realign import compare
from coverage_hooks.volume import access
from coverage_hooks.volume.journal import Name
from tests.unit.collect.building import SOURCES, Project, examples, fingerprint, point, record
from tests.unit.collect.conftest import Run
from tests.unit.collect.test_collect import lines_of, summary

CART = "shop/cart.py"
OLD = SOURCES[CART]
#: A remark above, `add` returns another thing, `clear` is as it was.
NEW = "# The cart.\n" + OLD.replace("    return items\n", "    return list(items)\n")


def carried(there: str, here: str) -> dict[int, int]:
    return dict(compare(dedent(there).encode(), dedent(here).encode(), Path("x.py")).lines)


def change_here(project: Project) -> None:
    """Let the checkout go on from what was recorded to another version."""
    project.write({CART: NEW})
    project.commit()


class TestCollect:
    def test_unchanged_lines_are_carried_and_the_rest_is_counted(
        self, run: Run, volume: Path, project: Project
    ) -> None:
        record(volume)
        change_here(project)
        assert run("collect").exit_code == 1
        result = run("collect", "--realign")
        assert result.exit_code == 0
        told = f"note  realigned {CART}: 4 of 5 lines carried, 1 dropped (changed source)"
        assert told in result.output
        assert result.output.index(told) < result.output.index("TOTAL")
        assert lines_of(project.root / "build/coverage/.coverage")[str(project.root / CART)] == {2, 3, 4, 8}
        assert summary(project)["losses"] == []

    def test_arcs_are_carried_when_both_ends_are(self, run: Run, volume: Path, project: Project) -> None:
        arcs = {(-1, 1), (1, 7), (7, -1), (-1, 2), (2, 3), (3, 4), (4, -1), (-7, 8), (8, -7)}
        project.write({".coveragerc": "[run]\nsource = shop\nbranch = True\n"})
        record(volume, measured={CART: arcs}, branch=True)
        change_here(project)
        result = run("collect", "--realign")
        assert result.exit_code == 0
        # What enters and leaves at line 1 may be the module or the first function, whose line has moved.
        assert f"realigned {CART}: 5 of 6 lines carried, 1 dropped (changed source); 4 of 9 arcs" in result.output
        data = coverage.CoverageData(str(project.root / "build/coverage/.coverage"))
        data.read()
        assert set(data.arcs(str(project.root / CART)) or ()) == {(2, 8), (3, 4), (-8, 9), (9, -8)}

    def test_replicas_are_counted_once(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, measured={CART: {1, 2}})
        record(volume, measured={CART: {1, 4, 7}}, host="other")
        change_here(project)
        result = run("collect", "--realign")
        assert f"realigned {CART}: 3 of 4 lines carried, 1 dropped" in result.output
        assert lines_of(project.root / "build/coverage/.coverage")[str(project.root / CART)] == {2, 3, 8}

    def test_a_version_that_the_repository_does_not_have_is_refused(self, run: Run, volume: Path) -> None:
        recording = record(volume, sources={CART: "# never committed\n" + OLD})
        result = run("collect", "--realign")
        assert result.exit_code == 1
        assert f"LOSS  {recording.name} /app/{CART}: differs from {CART}" in result.output
        assert "not realigned: the repository here has no blob " in result.output
        assert run("collect", "--realign", "--allow-mismatch", CART).exit_code == 0

    def test_a_blob_that_is_not_what_was_recorded_is_refused(self, run: Run, volume: Path, project: Project) -> None:
        """As with line endings that git changes: what it has is not what the process imported."""
        windows = dataclasses.replace(fingerprint(OLD.replace("\n", "\r\n")), git=fingerprint(OLD).git)
        name = Name(number=1, path=f"/app/{CART}", fingerprint=windows).to_bytes()
        record(volume).publish(name + point(1, 1))
        change_here(project)
        result = run("collect", "--realign")
        assert result.exit_code == 1
        assert "is not what was recorded: its SHA-256 is another" in result.output

    def test_without_git_nothing_can_be_compared(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        project.write({CART: NEW})
        shutil.rmtree(project.root / ".git")
        result = run("collect", "--realign")
        assert result.exit_code == 1
        assert "not realigned: the repository here has no blob " in result.output

    def test_a_module_by_itself_needs_a_history_that_knows_it(self, run: Run, volume: Path, project: Project) -> None:
        """A name in common is no proof: another `main.py` may have been recorded."""
        project.write({".coveragerc": "[run]\nsource = .\n", "main.py": "a = 1\nb = 2\n", "main.txt": "b = 2\n"})
        project.commit()
        project.write({"main.py": "b = 2\n\nc = 3\n"})
        project.commit()
        for source, code in {"a = 1\nb = 2\n": 0, "b = 2\n": 1}.items():
            shutil.rmtree(volume)
            record(volume, measured={"main.py": {1, 2} if code == 0 else {1}}, sources={"main.py": source})
            result = run("collect", "--realign")
            assert result.exit_code == code, result.output
            assert ("the history of main.py does not know the recorded version" in result.output) == bool(code)
        assert "main.py" in summary(project)["files"]

    def test_lines_beyond_the_recorded_version_are_damage(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, measured={CART: {1, 9}})
        change_here(project)
        result = run("collect", "--realign")
        assert result.exit_code == 1
        assert "damaged: line 9 of a file with 8 lines" in result.output

    def test_of_two_that_it_may_have_been_none_is_taken(self, run: Run, volume: Path, project: Project) -> None:
        record(volume, measured={CART: {1, 2}})
        project.write({".coveragerc": "[run]\nsource = .\n", f"other/{CART}": NEW})
        change_here(project)
        result = run("collect", "--realign")
        assert result.exit_code == 1
        assert f"differs from other/{CART} or {CART}: " in result.output or f"{CART} or other/{CART}: " in result.output
        assert not any(lines_of(project.root / "build/coverage/.coverage").values())

    def test_a_twin_that_a_build_has_left_is_not_taken(self, run: Run, volume: Path, project: Project) -> None:
        record(volume)
        project.write({".coveragerc": "[run]\nsource = .\n"})
        change_here(project)
        packages = ("build", "build/lib", "build/lib/shop")
        project.write(
            {f"build/lib/{CART}": OLD + "# built before\n"} | {f"{each}/__init__.py": "" for each in packages}
        )
        assert run("collect", "--realign").exit_code == 0
        assert lines_of(project.root / "build/coverage/.coverage")[str(project.root / CART)] == {2, 3, 4, 8}


CASES = {
    "nothing changed": ("a = 1\nb = 2\n", "a = 1\nb = 2\n", {1: 1, 2: 2}),
    "a remark above": ("a = 1\nb = 2\n", "# x\n\na = 1\nb = 2\n", {1: 3, 2: 4}),
    "one of four lines of a call": ("f(\n  1,\n  2,\n)\nb = 2\n", "f(\n  1,\n  3,\n)\nb = 2\n", {5: 5}),
    "a whole call": ("f(\n  1,\n)\n", "\nf(\n  1,\n)\n", {1: 2, 2: 3, 3: 4}),
    "a decorator": (
        "@one\ndef f():\n    return 1\n", "@two\ndef f():\n    return 1\n", {3: 3},
    ),
    "a default of an argument": (
        "def f(\n    a=1,\n):\n    return a\n", "def f(\n    a=2,\n):\n    return a\n", {4: 4},
    ),
    "a condition over two lines": (
        "if (a and\n        b):\n    c = 1\n", "if (a and\n        not b):\n    c = 1\n", {3: 3},
    ),
    "a remark below a header": (
        "def f():\n    # one\n    return 1\n", "def f():\n    # two\n    return 1\n", {1: 1, 3: 3},
    ),
    "a line that now is in a string": ("a = 1\nb = 2\n", '"""\na = 1\n"""\nb = 2\n', {2: 4}),
    "a line of a string that now is code": ('"""\na = 1\n"""\nb = 2\n', "a = 1\nb = 2\n", {4: 2}),
    "a line of another function": (
        "def f():\n    return 1\n", "def g():\n    return 1\n", {},
    ),
    "a line that went to another class": (
        "class A:\n    x = 1\nclass B:\n    y = 1\n", "class A:\n    y = 1\nclass B:\n    x = 1\n", {1: 1, 3: 3},
    ),
    "two functions that changed places": (
        "def f():\n    return 1\ndef g():\n    return 2\n", "def g():\n    return 2\ndef f():\n    return 1\n",
        {1: 3, 2: 4},
    ),
    "another depth": ("if a:\n    b = 1\n", "if a:\n    if c:\n        b = 1\n", {1: 1}),
    "two statements in a line": ("a = 1; b = 2\nc = 3\n", "a = 1; b = 3\nc = 3\n", {2: 2}),
    "a body beside its header": ("if a: b = 1\n", "if a: b = 2\n", {}),
    "an exception": (
        "try:\n    a()\nexcept A:\n    b()\n", "try:\n    a()\nexcept B:\n    b()\n", {1: 1, 2: 2, 4: 4},
    ),
    "a case": (
        "match a:\n    case 1:\n        b()\n    case _:\n        c()\n",
        "match a:\n    case 2:\n        b()\n    case _:\n        c()\n", {1: 1, 3: 3, 4: 4, 5: 5},
    ),
    "line endings": ("a = 1\r\nb = 2\r\n", "b = 2\n", {2: 1}),
    "a form feed, which ends no line": ("a = 1\n\x0cb = 2\n", "\x0cb = 2\n", {2: 1}),
    "nothing left": ("a = 1\n", "", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_only_whole_unchanged_statements_are_carried(case: str) -> None:
    there, here, expected = CASES[case]
    assert carried(there, here) == expected


@pytest.mark.parametrize(
    ("there", "here", "arcs"),
    [
        # A module starts at line 1, whatever stands there and wherever that went.
        ("a = 1\nb = 2\n", "# x\na = 1\nb = 2\n", {(-1, 1): (-1, 2), (1, 2): (2, 3), (2, -1): (3, -1)}),
        # As long as line 1 stays, so does what starts there, be it the module or a function.
        ("def f():\n    a()\n", "def f():\n    a()\nb()\n", {(-1, 1): (-1, 1), (1, -1): (1, -1), (2, -1): (2, -1)}),
        # When it moves, -1 could be either.
        ("def f():\n    a()\n", "x = 1\ndef f():\n    a()\n", {(-1, 1): None, (1, -1): None, (2, -1): None}),
        # Arcs of an empty module, as CPython 3.11 has them.
        ("", "a = 1\n", {(-1, 0): None, (0, -1): None}),
    ],
)
def test_where_code_starts(there: str, here: str, arcs: dict[tuple[int, int], tuple[int, int] | None]) -> None:
    realignment = compare(there.encode(), here.encode(), Path("x.py"))
    assert {arc: realignment.arc(*arc) for arc in arcs} == arcs


def test_a_long_file_takes_no_time() -> None:
    """Thousands of lines of which most are the same as a thousand others."""
    there = "".join(f"def f{n}(a):\n    if a:\n        return None\n    pass\n" for n in range(600))
    here = "".join(f"def f{n}(a):\n    if a:\n        return None\n    pass\n" for n in range(600) if n % 3)
    assert len(carried(there, here)) == here.count("\n")


@pytest.mark.parametrize("source", ["def (:\n", "\0", "# coding: nonsense\n"])
def test_what_is_no_python_is_refused_with_the_reason(run: Run, volume: Path, project: Project, source: str) -> None:
    project.write({CART: source})
    project.commit()
    project.write({CART: OLD})
    project.commit()
    record(volume, measured={CART: {1}}, sources={CART: source})
    result = run("collect", "--realign")
    assert result.exit_code == 1
    assert "not realigned: the two versions cannot be compared: " in result.output


_BASES = [inspect.getsource(module) for module in (contents, remap, access)] + [
    "".join(case[0] for case in CASES.values() if "\r" not in case[0])
]


def _edited(source: str, seed: int, edits: int) -> str:
    """Return *source* after random changes, such as people make."""
    chance = random.Random(seed)
    lines = source.splitlines(keepends=True)
    for _ in range(edits):
        at, to = chance.randrange(len(lines) + 1), chance.randrange(len(lines) + 1)
        size = chance.choice([1, 1, 2, 5, 20])
        match chance.choice(["delete", "insert", "copy", "move", "indent", "dedent", "quote", "swap words"]):
            case "delete":
                del lines[at : at + size]
            case "insert":
                lines[at:at] = [chance.choice(["# x\n", "\n", "    pass\n", "x = (\n  1)\n", "def f():\n"])]
            case "copy":
                lines[to:to] = lines[at : at + size]
            case "move":
                block = lines[at : at + size]
                del lines[at : at + size]
                lines[to:to] = block
            case "indent":
                lines[at : at + size] = [f"    {line}" for line in lines[at : at + size]]
            case "dedent":
                lines[at : at + size] = [line.removeprefix("    ") for line in lines[at : at + size]]
            case "quote":
                lines[at:at] = ['"""\n']
                lines[min(to, len(lines)) : min(to, len(lines))] = ['"""\n']
            case "swap words":
                lines[at : at + 1] = [line.replace("if ", "while ", 1) for line in lines[at : at + 1]]
    return "".join(lines)


def _owners(source: str) -> dict[int, tuple[str, ...]]:
    """Return for each line the innermost statement it belongs to, and what encloses that; by another way than ours."""
    owners: dict[int, tuple[str, ...]] = {}

    def visit(node: ast.AST, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, ast.stmt):
                decorators = [each.lineno for each in getattr(child, "decorator_list", [])]
                first = min([child.lineno, *decorators])
                for line in range(first, (child.end_lineno or 0) + 1):  # inner ones come later and take over
                    owners[line] = (*names, type(child).__name__)
                if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    inner = (*names, child.name)
            visit(child, inner)

    visit(ast.parse(source), ())
    return owners


@settings(max_examples=examples(40))
@given(base=st.sampled_from(_BASES), seed=st.integers(0, 2**32), edits=st.integers(1, 12))
def test_no_line_is_ever_attributed_wrongly(base: str, seed: int, edits: int) -> None:
    here = _edited(base, seed, edits)
    try:
        new = _owners(here)
    except (SyntaxError, ValueError):
        return
    old = _owners(base)
    lines = compare(base.encode(), here.encode(), Path("x.py")).lines
    there_text, here_text = base.split("\n"), here.split("\n")
    for before, after in lines.items():
        assert there_text[before - 1] == here_text[after - 1]
        assert old[before] == new[after]
    assert sorted(lines.values()) == list(lines.values())
    # All of a simple statement or nothing, and in one piece.
    for tree, mine in ((ast.parse(base), lines), (ast.parse(here), {b: a for a, b in lines.items()})):
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt) and not {"body", "cases"} & set(node._fields):
                moved = [mine.get(line) for line in range(node.lineno, (node.end_lineno or 0) + 1)]
                start = moved[0]
                whole = None if start is None else list(range(start, start + len(moved)))
                assert moved == whole or moved == [None] * len(moved)
