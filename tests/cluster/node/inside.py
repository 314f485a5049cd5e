"""The first process of a node's process namespace: when it ends, the kernel ends everything else of the node.

Mounts, network and processes of the node are its own: none of them needs to be undone. Inside, its folder is at ROOT
and the folders with programs below it, whatever they are called outside: socket paths stay short, and the folders of
the machine that kubelet and containerd insist on are hidden behind some of the node's own.

It reads orders from standard input, one line of JSON each, ``{"start": {name: command}}``, ``{"restart": name}`` or
``{"stay": true}``, and ends when there are no more and it was not told to stay. On standard output it answers each with
``{"understood": true}``, and says ``{"died": name, "code": code, "log": tail}`` and ends when a process that it started
does.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.node import namespaces
from tests.cluster.supervisor import tail

ROOT = Path("/run/node")
PROGRAMS = ROOT / "programs"
LOGS = "logs"
#: Volumes whose names start so hold this much and no more: too little for two states of one recording.
SMALL, SMALL_BYTES = "small", 4 << 10

_CHECK_EVERY = 0.1
_SYSCTLS = {
    "ip_forward": "1",
    # Connections of processes that are killed keep the network namespace alive: with these, for a second or two.
    "tcp_orphan_retries": "1",
    "tcp_fin_timeout": "1",
}
# Where kubelet and the network plugins write although nobody asks them to.
_HIDDEN = ("/var/lib", "/var/log")


def main(folder: Path, programs: Mapping[str, Path]) -> None:
    """Move into new namespaces, start what is ordered, and watch over it."""
    _move_in(folder, programs)
    _answer({"understood": True})  # before that, what is done to the network of this process is done to the machine's
    children: dict[int, str] = {}
    commands: dict[str, list[str]] = {}
    while True:
        if select.select([sys.stdin], [], [], _CHECK_EVERY)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            order = json.loads(line)
            commands |= order.get("start", {})
            if again := order.get("restart"):
                _kill(again, children)
            for name in (*order.get("start", ()), *([again] if again else [])):
                children[_start(name, commands[name])] = name
            _answer({"understood": True})
            if order.get("stay"):
                break
        if _report(children):
            return
    let_go()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while not _report(children):
        signal.sigtimedwait({signal.SIGCHLD}, 1)


def _move_in(folder: Path, programs: Mapping[str, Path]) -> None:
    """Leave the namespaces of the machine. What is mounted over hides no folder that was opened before."""
    places = {ROOT: folder} | {PROGRAMS / name: path for name, path in programs.items()}
    places |= {Path(hidden): folder / hidden.strip("/").replace("/", "-") for hidden in _HIDDEN}
    for name in ("tmp", LOGS, *(path.name for place, path in places.items() if str(place) in _HIDDEN)):
        (folder / name).mkdir()
    namespaces.unshare(namespaces.NEW_MOUNTS | namespaces.NEW_NETWORK)
    namespaces.hide_mounts()
    opened = {place: os.open(path, os.O_PATH | os.O_DIRECTORY) for place, path in places.items()}
    namespaces.mount("proc", Path("/proc"))
    namespaces.mount("tmpfs", ROOT.parent)
    for place, descriptor in opened.items():
        namespaces.bind(descriptor, place)
        os.close(descriptor)
    for name in ("kubelet", "cni"):
        Path("/var/lib", name).mkdir()
    for small in (ROOT / "volumes").glob(f"{SMALL}-*"):
        namespaces.mount("tmpfs", small, f"size={SMALL_BYTES},mode=755")
    for name, value in _SYSCTLS.items():
        Path("/proc/sys/net/ipv4", name).write_text(value)


def _start(name: str, command: list[str]) -> int:
    with (ROOT / LOGS / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(ROOT / "tmp")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ).pid


def _kill(name: str, children: dict[int, str]) -> None:
    pid = next(pid for pid, known in children.items() if known == name)
    del children[pid]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _report(children: Mapping[int, str]) -> bool:
    """Return whether one of *children* has ended, after saying so. Orphans of theirs are this process's to bury."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if not pid:
            return False
        if name := children.get(pid):
            log = tail(ROOT / LOGS / f"{name}.log")
            _answer({"died": name, "code": os.waitstatus_to_exitcode(status), "log": log})
            return True


def _answer(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def let_go() -> None:
    """Let go of standard input and output."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    os.close(nowhere)
