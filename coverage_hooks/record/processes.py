"""The Python programs that an operator starts and that are not recorded, so they are named.

Forked children, and what `multiprocessing` starts, are recorded (see `children`). The interpreter's audit events tell
of any other program before it starts.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

#: How many programs are named; an operator may make up one for each resource.
NAMED = 10

_PYTHON = re.compile(r"(python|pypy)[\d.]*[a-z]?")
_IN_A_SHELL = re.compile(r"(?:^|[\s;&|(])(?:\S*/)?((?:python|pypy)[\d.]*[a-z]?(?:[ \t]+[^\s;&|)]+)*)")
#: The one-letter options of the interpreter that take a value, be it the rest of the word or the next one.
_WITH_VALUE = "WXcm"
#: Those that keep it from reading the PYTHONPATH, or from importing ``sitecustomize``.
_ISOLATED = frozenset("IES")


class Processes:
    """Notices which programs written in Python this process starts, from `listen` on.

    With *recorded* those are that take the PYTHONPATH, and only others are named.
    """

    def __init__(self, *, recorded: bool = False) -> None:
        self._recorded = recorded
        self._heard: deque[tuple[object, object]] = deque(maxlen=1000)
        self._named: set[str] = set()

    def listen(self, others: Mapping[str, Callable[[tuple[Any, ...]], None]]) -> None:
        """Hear of each program that is started, and call *others* by the names of their audit events.

        It cannot be undone.
        """
        heard = self._heard.append
        # In the operator's thread, amid its call: kept for later, and nothing else.
        mine: dict[str, Callable[[tuple[Any, ...]], None]] = {
            "subprocess.Popen": lambda arguments: heard((arguments[0], arguments[1])),
            "os.posix_spawn": lambda arguments: heard((arguments[0], arguments[1])),
            "os.system": lambda arguments: heard(("sh", ("sh", "-c", arguments[0]))),
        }
        find = {**mine, **others}.get

        def hear(event: str, arguments: tuple[Any, ...]) -> None:
            if (then := find(event)) is not None:
                then(arguments)

        sys.addaudithook(hear)

    def new(self) -> Iterator[str]:
        """Yield a sentence for each program that was not named before; meant for the pulse."""
        for told in self._programs():
            if told not in self._named and len(self._named) <= NAMED:
                self._named.add(told)
                more = "; there are more, which are not named" if len(self._named) > NAMED else ""
                yield f"{told} is started, and is recorded only if it calls coverage_hooks.start() itself{more}"

    def _programs(self) -> Iterator[str]:
        while self._heard:
            executable, arguments = self._heard.popleft()
            words = list(map(_text, arguments)) if isinstance(arguments, (list, tuple)) else [_text(arguments)]
            if self._recorded and not _ISOLATED.intersection(_options(words)):
                continue
            if name := described(_text(executable) or (words[0] if words else ""), words):
                yield f"process {name!r}"


def described(executable: str, words: Sequence[str], *, is_script: Callable[[str], bool] | None = None) -> str:
    """Return what *executable* with command line *words* runs in Python, without its arguments; empty if nothing.

    Arguments may be secrets, and make each process another one.
    """
    name = os.path.basename(executable)  # noqa: PTH119 - text, no place
    if _PYTHON.fullmatch(name):
        return " ".join([name, *_program(words[1:])])
    if "-c" in words and name in {"sh", "bash", "dash", "ash", "zsh"}:
        found = _IN_A_SHELL.search(words[words.index("-c") + 1] if words.index("-c") + 1 < len(words) else "")
        return described(parts[0], parts) if found and (parts := found[1].split()) else ""
    return name if (is_script or _is_script)(executable) else ""


def _options(words: Sequence[str]) -> Iterator[str]:
    """Yield the one-letter options of the interpreter with command line *words*, up to the first that takes a value."""
    for word in words[1:]:
        if not word.startswith("-") or word.startswith("--"):
            return
        for letter in word[1:]:
            if letter in _WITH_VALUE:
                return
            yield letter


def _program(words: Sequence[str]) -> list[str]:
    """Return the words that say what an interpreter is to run: no option, no argument, and no code."""
    rest = iter(words)
    for word in rest:
        if word == "-":  # its code comes on standard input
            return ["-"]
        if not word.startswith("-"):
            return [word]
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(rest, "")
            continue
        # Options may share a word, as in -Ic and -mMODULE: all after one with a value is that value.
        letters = word[1:]
        at = next((at for at, letter in enumerate(letters) if letter in _WITH_VALUE), None)
        if at is None:
            continue
        value = letters[at + 1 :] or next(rest, "")
        if letters[at] in "cm":
            return [f"-{letters[at]}", "…" if letters[at] == "c" else value]
    return []


def _is_script(executable: str) -> bool:
    """Whether *executable* is a script that an interpreter of Python runs, such as those that pip installs."""
    path = executable if os.sep in executable else shutil.which(executable) or ""
    try:
        with Path(path).open("rb") as file:
            first = file.read(256).partition(b"\n")[0]
    except (OSError, ValueError):
        return False
    words = first.removeprefix(b"#!").decode(errors="replace").split()
    return first.startswith(b"#!") and any(_PYTHON.fullmatch(word.rpartition("/")[2]) for word in words)


def _text(value: object) -> str:
    if isinstance(value, (str, bytes, os.PathLike)):
        return os.fsdecode(value)
    return "" if value is None else str(value)
