"""The process between a test run and the control plane: it sees to it that nothing outlives the run.

Run as a script. Its standard input is a pipe from the process that started it: one line of JSON, then silence, and end
of file when that process asks to stop or is gone, however it went. Then the children are killed (all they hold is
thrown away anyway) and their folder is deleted. Should this process be killed itself, the kernel kills the children.

It answers in lines of JSON: first ``{"pids": {name: pid}}``, and ``{"died": name, "code": code, "log": tail}`` if a
child ends by itself, which stops everything.

Standard library only, and no import of its siblings: it is started with `python -I`, which is quick and undisturbed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_PR_SET_PDEATHSIG = 1
_CHECK_EVERY = 0.1
_TAIL_BYTES, _TAIL_LINES = 8000, 30


def killed_with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """Return a `preexec_fn` with which Linux sends the child *number* when the calling thread ends."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def arm() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, number)
            if os.getppid() != parent:  # it went between fork and prctl
                os._exit(1)

    return arm


def tail(log: Path) -> str:
    """Return the last lines of *log*, or nothing when there is no such file."""
    if not log.exists():
        return ""
    end = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
    return "\n".join(end.splitlines()[-_TAIL_LINES:])


def _start(name: str, command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=killed_with_parent(),  # noqa: PLW1509  # this process has one thread
        )


def _answer(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone; the end of file follows
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def _watch(children: dict[str, subprocess.Popen[bytes]], folder: Path) -> None:
    while not select.select([sys.stdin], [], [], _CHECK_EVERY)[0]:
        for name, child in children.items():
            if (code := child.poll()) is not None:
                _answer({"died": name, "code": code, "log": tail(folder / f"{name}.log")})
                return


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Start, watch, and clean up."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    order = json.loads(sys.stdin.readline() or "{}")
    if not order:
        return
    folder, children = Path(order["folder"]), {}
    try:
        for name, command in order["commands"].items():
            children[name] = _start(name, command, folder)
        _answer({"pids": {name: child.pid for name, child in children.items()}})
        _watch(children, folder)
    finally:
        for child in children.values():
            child.kill()
            child.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
