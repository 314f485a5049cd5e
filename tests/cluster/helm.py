"""Where helm comes from.

The program that HELM names, if it is set; otherwise the one on the PATH, if it is new enough; otherwise the user's
cache, which is filled once from the Go modules that ``helm-binaries/go.mod`` pins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.binaries import build, cache_folder
from tests.cluster.binaries.recipe import GO_AT_LEAST, Recipe, pinned
from tests.cluster.own_program import OwnProgram

MODULE = Path(__file__).parent / "helm-binaries"
AT_LEAST = (3, 14)

_REMEDY = f"""The tests of the chart need helm {AT_LEAST[0]}.{AT_LEAST[1]} or newer. Either
  - put it on the PATH, or set HELM to it;
  - or install Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer: it is then built once, in a few minutes."""
_OWN = OwnProgram(
    name="helm", variable="HELM", at_least=AT_LEAST, ask=["version", "--template", "{{.Version}}"], remedy=_REMEDY
)


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Return the program, building it if need be; *say* is told how the build goes on."""
    if found := _OWN.named(environ) or _OWN.on_the_path(say, environ):
        return found
    return build.built_once(recipe(), cache_folder(environ).parent / "helm", say, environ) / "helm"


def recipe(module: Path = MODULE) -> Recipe:
    """Return what helm is built from."""
    # Without the stamps it calls itself v3.20, and renders for Kubernetes 1.20, which the chart refuses.
    major, minor, _ = pinned("k8s.io/client-go", module).removeprefix("v").split(".", 2)
    kubernetes = {"k8sVersionMajor": str(int(major) + 1), "k8sVersionMinor": minor}
    helm = "helm.sh/helm/v3"
    stamps = {f"{helm}/internal/version.version": pinned(helm, module)}
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        stamps |= {f"{helm}/{package}.{name}": value for name, value in kubernetes.items()}
    return Recipe(purpose="helm", module=module, packages={"helm": f"{helm}/cmd/helm"}, stamps=stamps, remedy=_REMEDY)
