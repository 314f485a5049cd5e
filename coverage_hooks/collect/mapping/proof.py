"""Which lines of a module must have run before recording started: proven by its syntax tree, never guessed.

A module that has ended ran every statement that nothing could pass over. One that stood at a line ran those without
which that line is not reached. Of a statement that may skip some of its body, what is certain counts: the header of a
loop, the first statement of a ``try``. What calls of functions ran by then is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence


def proven(source: bytes, stood: Iterable[int]) -> set[int]:
    """Return the lines of *source* that must have run when its frames stood at the lines *stood*; none if it had ended.

    `SyntaxError` or `ValueError` if this Python cannot read it.
    """
    module = ast.parse(source)
    functions = [node for node in ast.walk(module) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lines: set[int] = set()
    ended = True
    for line in stood:
        inside = [each for each in functions if _holds(each.body, line) and line > _last_of_head(each)]
        if inside:
            lines.update(_before(max(inside, key=lambda each: each.lineno).body, line))
        else:
            ended = False
            lines.update(_before(module.body, line))
    if ended:
        lines.update(_ran(module.body))
    return lines


def _holds(body: Sequence[ast.AST], line: int) -> bool:
    return bool(body) and _first(body[0]) <= line <= _last(body[-1])


def _last_of_head(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the last line of the head of *function*, at which its module may stand while it defines it."""
    parts = [*ast.walk(function.args), *([function.returns] if function.returns else [])]
    return max([function.lineno, *(_last(part) for part in parts if hasattr(part, "end_lineno"))])


def _first(node: ast.AST) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min(int(each.lineno) for each in (node, *decorators))


def _last(node: ast.AST) -> int:
    return int(node.end_lineno)  # type: ignore[attr-defined] # as above


def _ran(body: Iterable[ast.stmt]) -> Iterator[int]:
    """Yield the lines that *body* must have run that was gone through to its end."""
    for statement in body:
        yield from _begun(statement)
        yield from _headed(statement)
        match statement:
            case ast.ClassDef():
                yield from _ran(statement.body)
            case ast.With() | ast.AsyncWith() if _enters(statement):
                yield from _begun(statement.body[0])  # and no more: what it raises may be swallowed
            case ast.Try() | ast.TryStar():
                yield from _ran(statement.finalbody)


def _enters(statement: ast.With | ast.AsyncWith) -> bool:
    """Whether *statement* gets to its body if it ends: of several managers, one may swallow what the next raises."""
    first, *others = statement.items
    return not others and (first.optional_vars is None or isinstance(first.optional_vars, ast.Name))


def _begun(statement: ast.stmt) -> Iterator[int]:
    """Yield the lines that *statement* must have run that was begun: its first, and what that leads to in any case."""
    if decorators := getattr(statement, "decorator_list", ()):
        yield decorators[0].lineno  # which may raise
        return
    if isinstance(statement, (ast.Try, ast.TryStar)):
        yield from _begun(statement.body[0])  # ``try:`` itself is nothing that runs
    yield statement.lineno


def _headed(statement: ast.stmt) -> Iterator[int]:
    """Yield the lines of the head of *statement*, a function or a class, that must have run when it had ended."""
    if decorators := getattr(statement, "decorator_list", ()):
        yield from (each.lineno for each in decorators)
        yield statement.lineno


def _before(body: Sequence[ast.stmt], line: int) -> Iterator[int]:
    """Yield the lines that *body* must have run to get to *line*, which is in it."""
    at = next((number for number, each in enumerate(body) if _first(each) <= line <= _last(each)), None)
    if at is None:  # between statements: nothing stands there
        return
    statement = body[at]
    yield from _ran(body[:at])
    is_inside = any(_holds(block, line) for block in _blocks(statement))
    # Of several decorators, those below have not been asked for yet.
    yield from (each for each in (*_begun(statement), *_headed(statement)) if is_inside or each <= line)
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return  # its body runs in a frame of its own
    if isinstance(statement, (ast.Try, ast.TryStar)) and _holds(statement.orelse, line):
        yield from _ran(statement.body)
    for block in _blocks(statement):
        if _holds(block, line):
            yield from _before(block, line)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of *statement*."""
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield part.body
