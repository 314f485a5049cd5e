"""The process between whoever starts a node and the node.

Its first line of standard input is JSON with `folder`, `slot`, `lock` (a descriptor) and `programs`; it answers
``{"pid": pid}``, the first process of the node, which reads and writes everything after that (`inside`).

When that process ends, by itself or because this one is asked to, nothing of the node runs any more, and this process
removes what the kernel does not: control groups and the folder. Should this process be killed, the kernel kills the
node; the next `up` or `down` removes the rest. The logs of a node that was told to stay and died are kept for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.cluster.node import cgroups, inside, namespaces
from tests.cluster.node.slots import Slot

#: Below the folder of a node that belongs to no process: the PID of its keeper.
STAYS = "keeper.pid"

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main() -> None:
    """Start the node, wait for its end, and clean up."""
    order = json.loads(sys.stdin.readline() or "{}")
    if not order:
        return
    folder, slot = Path(order["folder"]), Slot(order["slot"])
    asked: list[int] = []
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        cgroups.make(slot.name)
        node = _fork(folder, {name: Path(path) for name, path in order["programs"].items()})

        def stop(number: int, frame: FrameType | None) -> None:
            asked.append(number)
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(node, signal.SIGKILL)

        for number in _SIGNALS:
            signal.signal(number, stop)
        sys.stdout.write(json.dumps({"pid": node}) + "\n")
        sys.stdout.flush()
        inside.let_go()  # the node alone is talked to from now on
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.waitpid(node, 0)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    finally:
        cgroups.remove(slot.name)
        if asked or not (folder / STAYS).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _fork(folder: Path, programs: dict[str, Path]) -> int:
    """Return the PID of the node's first process; its own children are the only ones that it may have."""
    reading, writing = os.pipe()
    namespaces.unshare(namespaces.NEW_PROCESSES)
    if pid := os.fork():
        os.close(reading)  # the other end stays open for as long as this process lives
        return pid
    try:
        os.close(writing)
        namespaces.end_with_parent()
        if select.select([reading], [], [], 0)[0]:
            return 0  # the parent went between fork and that; in here nobody could ask for its PID
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        inside.main(folder, programs)
    except BaseException:  # noqa: BLE001  # it must not return into the code of its parent
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(0)
