"""Lines that are called proven did run, wherever a module stood; and what is certain is not left out."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner

from coverage_hooks.cli import commands
from coverage_hooks.collect.mapping.proof import proven
from tests.unit.record.children import Program, opened

PROGRAM = textwrap.dedent(
    '''\
    """A module."""
    import contextlib
    import os as system, \\
        sys
    stop = 1
    if stop > 2:
        never = 1
    elif stop:
        here()
    else:
        never = 2
    for each in range(2):
        if each:
            continue
        here()
    else:
        here()
    while stop:
        stop -= 1
        here()
    with contextlib.suppress(KeyError):
        here()
        {}["no"]
        never = 3
    try:
        here()
        {}["no"]
        never = 4
    except ValueError:
        never = 5
    except KeyError:
        here()
    else:
        never = 6
    finally:
        here()
    try:
        fine = 1
    except KeyError:
        never = 7
    else:
        here()

    def decorate(argument):
        here()
        return lambda function: function

    @decorate(
        1
    )
    @decorate(2)
    def function(default=here()):
        before = 1
        if default:
            never = 8
        here()
        return before

    class Kind:
        """A class."""
        value = here()
        def method(self):
            never = 9
        with contextlib.nullcontext() as x, \\
            contextlib.nullcontext():
            here()

    match stop:
        case 1:
            never = 10
        case _:
            here()
    function()
    value = [
        here() for _ in
        range(1)
    ]
    lambdas = (
        lambda:
        here()
    )
    lambdas()
    raise_late = 1
    here()
    '''
)


class _Ran:
    """Runs `PROGRAM` up to the stop with number *stop*, and knows what had run by then and where frames stood."""

    def __init__(self, stop: int) -> None:
        self.lines: set[int] = set()
        self.stood: list[int] | None = None
        self._stop = stop
        self._count = 0

    def here(self) -> int:
        if self._count == self._stop:
            self.stood = list(self._stack(sys._getframe(1)))
            self._ran = set(self.lines)
        self._count += 1
        return 0

    def _stack(self, frame: FrameType | None) -> Iterator[int]:
        while frame is not None:
            if frame.f_code.co_filename == "<program>":
                yield frame.f_lineno
            frame = frame.f_back

    def run(self) -> None:
        def trace(frame: FrameType, event: str, _argument: Any) -> Any:
            if frame.f_code.co_filename != "<program>":
                return None
            if event == "line":
                self.lines.add(frame.f_lineno)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            exec(compile(PROGRAM, "<program>", "exec"), {"here": self.here, "__name__": "program"})
        finally:
            sys.settrace(before)
        if self.stood is not None:
            self.lines = self._ran


def stops() -> Iterator[_Ran]:
    stop = 0
    while True:
        ran = _Ran(stop)
        ran.run()
        if ran.stood is None:
            return
        yield ran
        stop += 1


def test_wherever_it_stands_what_is_proven_has_run() -> None:
    every = list(stops())
    assert len(every) >= 17
    for ran in every:
        found = proven(PROGRAM.encode(), ran.stood or ())
        assert found <= ran.lines | {1}, (ran.stood, sorted(found - ran.lines))
        assert ran.stood is not None
        # Within a statement of several lines, it is the statement's first that counts.
        assert {line for line in (*ran.stood, min(ran.stood) - 1) if line in found}, (ran.stood, sorted(found))


def test_a_module_that_has_ended_ran_what_nothing_passes_over() -> None:
    ran = _Ran(-1)
    ran.run()
    found = proven(PROGRAM.encode(), ())
    assert found <= ran.lines | {1}
    by_text = {PROGRAM.splitlines()[line - 1].strip() for line in found}
    certain = {
        "import contextlib", "stop = 1", "if stop > 2:", "for each in range(2):", "while stop:", "fine = 1",
        "with contextlib.suppress(KeyError):", "@decorate(2)", "class Kind:", "value = here()", "match stop:",
        "function()", "def method(self):", "raise_late = 1",
    }  # fmt: skip
    assert certain <= by_text
    assert not {text for text in by_text if text.startswith("never")}


@pytest.mark.parametrize(
    ("source", "stood", "expected"),
    [
        ("", (), set()),
        ("x = 1\n", (), {1}),
        ("x = 1\ny = 2\nz = 3\n", (2,), {1, 2}),
        ("def f():\n    a = 1\n    b = 2\nf()\n", (3, 4), {1, 2, 3, 4}),
        ("def f():\n    a = 1\n    b = 2\nf()\n", (3,), {1, 2, 3, 4}),  # the module has ended: a thread of it started
        ("def f(): g()\nf()\n", (1, 2), {1, 2}),
        ("def f(x=start()): pass\ny = 1\n", (1,), {1}),
        ("with suppress(X), open() as f:\n    a = 1\nb = 2\n", (), {1, 3}),
        ("with s as (a, b):\n    a = 1\nb = 2\n", (), {1, 3}),
        ("with s as a:\n    a = 1\nb = 2\n", (), {1, 2, 3}),
        ("try:\n    @d\n    @e\n    def f(): pass\nexcept X:\n    pass\n", (), {1, 2}),
        ("@d\n@e\nclass A:\n    x = 1\n", (), {1, 2, 3, 4}),
        ("try:\n    a = 1\nfinally:\n    b = 2\n    c = 3\n", (5,), {1, 2, 4, 5}),
        ("try:\n    a = 1\n    b = 2\nexcept X:\n    c = 3\n", (5,), {1, 2, 5}),
        ("try:\n    a = 1\n    b = 2\nexcept X:\n    pass\nelse:\n    d = 4\n", (7,), {1, 2, 3, 7}),
        ("if __name__ == '__main__':\n    main()\n", (), {1}),
        ("if __name__ == '__main__':\n    main()\n", (2,), {1, 2}),
        ("async def f():\n    async with a:\n        b()\n        c()\n", (4,), {1, 2, 3, 4}),
    ],
)
def test_shapes(source: str, stood: tuple[int, ...], expected: set[int]) -> None:
    assert proven(source.encode(), stood) == expected


def test_what_this_python_cannot_read_proves_nothing() -> None:
    for source in (b"this is no Python", b"x = '\0'"):
        with pytest.raises((SyntaxError, ValueError)):
            proven(source, ())


BEGUN = '''\
"""An entrypoint."""

import sys


def main() -> None:
    begun = True
    if begun:
        import coverage_hooks

        coverage_hooks.start()
    import program.work

    program.work.run()


if __name__ == "__main__":
    main()
else:
    sys.exit(1)
'''


@pytest.mark.parametrize("branch", [True, False])
def test_an_entrypoint_is_reported_with_what_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, branch: bool
) -> None:
    made = Program(tmp_path, branch, __main__=BEGUN, __init__="VERSION = 1\n", work="def run():\n    return 1\n")
    assert made.run().returncode == 0
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(commands, ["collect", "--from", str(made.volume)])
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "build/coverage/summary.json").read_text())
    assert summary["files"]["program/__init__.py"]["cluster"]["lines"] == 100
    (told,) = (note for note in summary["notes"] if "program/__main__.py began before" in note)
    assert told.endswith("proven by its syntax tree to have run by then, and counted as run: 1, 3, 6-9, 11, 17-18")
    with opened(tmp_path / "build/coverage/cluster.coverage") as data:
        lines = set(data.lines(str(tmp_path / "program/__main__.py")) or ())
    proven_lines, recorded = {3, 6, 7, 8, 9, 11, 17, 18}, {12, 14} if sys.version_info >= (3, 12) else set()
    assert lines - {1} == proven_lines | recorded
