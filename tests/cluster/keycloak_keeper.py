"""The process between the supervisor and Keycloak: it can take Keycloak down and bring it back.

Run as a script in Keycloak's folder, with the name of a file there: JSON with its `command` and `environ`. SIGUSR1
takes Keycloak down in good order, so that its database has everything, and SIGUSR2 starts it again; `keycloak.pid` is
there exactly while it runs. If Keycloak ends by itself, so does this process. If this process is killed, Keycloak is
killed by the kernel: the supervisor knows no grandchildren.

Standard library only, like the supervisor.
"""

from __future__ import annotations

import json
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PID_FILE = "keycloak.pid"

_STOP, _START = signal.SIGUSR1, signal.SIGUSR2
_SIGNALS = {_STOP, _START, signal.SIGCHLD}
#: Seconds; the caller waits somewhat longer.
_GIVES_UP_AFTER = 240.0
_killed_with_parent = runpy.run_path(str(Path(__file__).with_name("supervisor.py")))["killed_with_parent"]


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    arm = _killed_with_parent()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # Java has its own use for them
        arm()

    server = subprocess.Popen(order["command"], env=order["environ"], preexec_fn=prepare)  # noqa: PLW1509  # one thread
    draft = Path(PID_FILE + ".draft")
    draft.write_text(str(server.pid))
    draft.rename(PID_FILE)
    return server


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_GIVES_UP_AFTER)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    Path(PID_FILE).unlink()


def main() -> int:
    """Keep Keycloak as it is asked for; return its exit code when it ends without being asked."""
    order = json.loads(Path(sys.argv[1]).read_text())
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    server, wanted = _start(order), True
    while True:
        number = signal.sigwait(_SIGNALS)
        if number == _STOP and wanted:
            _stop(server)
            wanted = False
        elif number == _START and not wanted:
            server, wanted = _start(order), True
        elif wanted and (code := server.poll()) is not None:
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
