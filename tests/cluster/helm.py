"""Where helm comes from.

The program that HELM names, if it is set; otherwise the one on the PATH, if it is new enough; otherwise the user's
cache, which is filled once from the Go modules that ``helm-binaries/go.mod`` pins.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.binaries import build, cache_folder
from tests.cluster.binaries.recipe import GO_AT_LEAST, Recipe, pinned
from tests.cluster.errors import BinariesError
from tests.cluster.waiting import WITHIN

MODULE = Path(__file__).parent / "helm-binaries"
AT_LEAST = (3, 14)

_VARIABLE = "HELM"
_WANTED = f"{AT_LEAST[0]}.{AT_LEAST[1]} or newer"
_REMEDY = f"""The tests of the chart need helm {_WANTED}. Either
  - put it on the PATH, or set {_VARIABLE} to it;
  - or install Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer: it is then built once, in a few minutes."""


def locate(say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Return the program, building it if need be; *say* is told how the build goes on."""
    if given := environ.get(_VARIABLE):
        return _named(given, environ)
    if found := shutil.which("helm", path=environ.get("PATH", "")):
        version = _version(found, environ)
        if _is_new_enough(version):
            return Path(found).absolute()
        say(f"helm: {found} is {version or 'of no known version'}: too old, expected {_WANTED}")
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


def _named(given: str, environ: Mapping[str, str]) -> Path:
    program = shutil.which(given, path=environ.get("PATH", ""))
    if program is None:
        raise BinariesError(f"{_VARIABLE}={given} is no program.\n{_REMEDY}")
    if not _is_new_enough(version := _version(program, environ)):
        raise BinariesError(f"{_VARIABLE}={given} is {version or 'of no known version'}: too old.\n{_REMEDY}")
    return Path(program).absolute()


def _version(program: str, environ: Mapping[str, str]) -> str:
    command = [program, "version", "--template", "{{.Version}}"]
    try:
        asked = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False, timeout=WITHIN)
    except OSError:  # a program for another kind of machine
        return ""
    return asked.stdout.strip()


def _is_new_enough(version: str) -> bool:
    found = re.match(r"v(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= AT_LEAST
