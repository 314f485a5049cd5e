"""``python -m tests.cluster.node up | down | load IMAGE… | packages``: a node to work with, until it is told to go.

The standard output of `up` is a shell assignment, that of `packages` a list; everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import sys

from tests.cluster import images
from tests.cluster.errors import ControlPlaneError
from tests.cluster.images import Image
from tests.cluster.node import leftovers, programs
from tests.cluster.node.running import Node, load, starting_node, to_stderr

_IMAGES: dict[str, Image] = {"operator": images.OPERATOR, "coverage": images.COVERAGE, "keycloak": images.KEYCLOAK}


def main() -> int:
    """Do what is asked for; return 1 with a message if that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.node", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start a node, or say where the one is that runs")
    verbs.add_parser("down", help="end it, and remove all of it")
    verbs.add_parser("load", help="give it images").add_argument("images", nargs="+", choices=_IMAGES)
    verbs.add_parser("packages", help="print the Debian packages that a node needs")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "up":
            _up()
        elif arguments.verb == "down":
            leftovers.end_all(to_stderr)
        elif arguments.verb == "load":
            for name in arguments.images:
                load(_running(), _IMAGES[name], to_stderr)
        else:
            sys.stdout.write("\n".join(programs.packages()) + "\n")
    except (ControlPlaneError, TimeoutError, OSError) as error:
        to_stderr(str(error))
        return 1
    return 0


def _up() -> None:
    if leftovers.standing():
        running = _running()
        to_stderr(f"node: {running.url} runs already")
    else:
        with starting_node(to_stderr) as (running, keeper):
            keeper.stay(running.folder)
    sys.stdout.write(f"export KUBECONFIG={running.kubeconfig}\n")
    to_stderr(f"kubectl for it is {running.programs.kubectl}; `make cluster-down` ends it")


def _running() -> Node:
    slot = leftovers.standing()
    if slot is None:
        raise programs.NodeError("no node runs; `make cluster-up` starts one")
    return Node(slot, leftovers.folder_of(slot), programs.locate(to_stderr))


if __name__ == "__main__":
    sys.exit(main())
