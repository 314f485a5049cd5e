"""``python -m tests.cluster.up``: a control plane to look at, until Ctrl-C or SIGTERM.

The first line of standard output is a shell assignment; everything else goes to standard error.
"""

from __future__ import annotations

import signal
import sys

from tests.cluster.errors import ControlPlaneError
from tests.cluster.plane import control_plane, to_stderr


def main() -> int:
    """Start, say where, and stay."""
    signals = {signal.SIGINT, signal.SIGTERM}
    try:
        with control_plane() as plane:
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            sys.stdout.write(f"export KUBECONFIG={plane.kubeconfig}\n")
            sys.stdout.flush()
            to_stderr(f"{plane.url} is ready; Ctrl-C ends it")
            signal.sigwait(signals)
    except ControlPlaneError as error:
        to_stderr(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
