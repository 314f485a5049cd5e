"""Where the kubectl of tests without a node comes from; the first of these that there is::

    the program that KUBECTL names
    the one beside the API server of the tests, as in the archive that is published for envtest
    the one on the PATH, if it is new enough
    the Go modules that ``node-binaries/go.mod`` pins, from which it is built once

A node has its own, which is built together with the rest of the node.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.binaries import build
from tests.cluster.binaries.recipe import GO_AT_LEAST, Recipe, absent, kubernetes_stamps
from tests.cluster.own_program import OwnProgram

MODULE = Path(__file__).parent / "node-binaries"
#: The first that asks for the columns and fields of a kind, and for all kinds, as those of today do.
AT_LEAST = (1, 30)

_REMEDY = f"""The tests of documented commands need kubectl {AT_LEAST[0]}.{AT_LEAST[1]} or newer. Either
  - put it on the PATH, or set KUBECTL to it;
  - or install Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer: it is then built once, in two minutes."""


def _called(printed: str) -> str:
    found = re.search(r'"gitVersion":\s*"(v[^"]+)"', printed)
    return found[1] if found else ""


_OWN = OwnProgram(
    name="kubectl",
    variable="KUBECTL",
    at_least=AT_LEAST,
    ask=["version", "--client", "--output=json"],
    called=_called,
    remedy=_REMEDY,
)


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Return the program, building it if need be; *say* is told how the build goes on."""
    found = _OWN.named(environ) or _beside_the_server(say, environ) or _OWN.on_the_path(say, environ)
    return (
        found or build.built_once(recipe(), binaries.cache_folder(environ).parent / "kubectl", say, environ) / "kubectl"
    )


def recipe(module: Path = MODULE) -> Recipe:
    """Return what kubectl is built from."""
    return Recipe(
        purpose="kubectl",
        module=module,
        packages={"kubectl": "k8s.io/kubernetes/cmd/kubectl"},
        tags="providerless",  # as the control plane and the node: most of it is compiled already
        stamps=kubernetes_stamps(module),
        remedy=_REMEDY,
    )


def _beside_the_server(say: Callable[[str], None], environ: Mapping[str, str]) -> Path | None:
    folder = binaries.locate(say, environ)
    return None if absent(folder, ["kubectl"]) else folder / "kubectl"
