"""A Kubernetes API that has our kinds and those of other operators, with objects of each, and kubectl on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keycloak_operator.resources import API_VERSION, GROUP
from keycloak_operator.resources.crds import KINDS, definition
from tests.cluster import WITHIN, ControlPlane, wait_until
from tests.functional.keycloak_operator import other_operators
from tests.functional.keycloak_operator.documented import ROOT
from tests.unit.keycloak_operator.resources.examples import VALID

NAMESPACES = ("default", "team-a")
NAME = "ours"
OURS = [f"{kind.definition.plural}.{GROUP}" for kind in KINDS]
THEIRS = [kind.resource for kind in other_operators.KINDS]

_READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Synced",
    "message": "as declared",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
# What kubectl asks for is in its log, which goes to where warnings go, too.
_LOGGED = re.compile(r"^[IWEF]\d{4} .*\n?", re.MULTILINE)
_ASKED_FOR = re.compile(r"https://[^/\s\"]+(/[^\s\"?]*)")
_GROUP = re.compile(r"(/openapi/v3)?/apis/(?P<group>[^/]+)/(?P<version>[^/]+)(?P<rest>/.*)?")


@dataclass(frozen=True)
class Ran:
    """What came of a command; `groups` are those whose objects or fields it asked the API for."""

    code: int
    output: str
    warnings: str
    groups: frozenset[str]


@dataclass(frozen=True)
class Crowd:
    """The API, and a kubectl that nothing of this machine's user configures."""

    plane: ControlPlane
    program: Path
    home: Path

    def kubectl(self, *arguments: str, stdin: Any = None) -> Ran:
        """Run kubectl in the root of the checkout, as a reader does; *stdin* is sent as JSON."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
        ran = subprocess.run(
            [str(self.program), *arguments, "-v=6"],
            cwd=ROOT,
            env=environ | {"HOME": str(self.home), "KUBECONFIG": str(self.plane.kubeconfig), "NO_PROXY": "*"},
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN,
        )
        warnings = _LOGGED.sub("", ran.stderr)
        return Ran(ran.returncode, ran.stdout, warnings, frozenset(_groups(_ASKED_FOR.findall(ran.stderr))))

    def populate(self) -> None:
        """Install all definitions, and make an object of each kind in every namespace."""
        namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES]
        definitions = [*map(definition, KINDS), *(kind.definition() for kind in other_operators.KINDS)]
        self._apply([*namespaces, *definitions])
        wait_until(self._all_are_served, "all kinds are served")
        self._apply(each for kind in other_operators.KINDS for each in kind.objects(NAMESPACES))
        self.restore()

    def restore(self) -> None:
        """Have one object of each of our kinds in every namespace, and all that there are Ready: no operator runs."""
        self._apply(
            {
                "apiVersion": API_VERSION,
                "kind": kind.definition.kind,
                "metadata": {"name": NAME, "namespace": namespace},
                "spec": dict(VALID[kind]),
            }
            for kind in KINDS
            for namespace in NAMESPACES
        )
        listed = [each | {"status": {"conditions": [_READY]}} for each in self._list(OURS)]
        self._do("replace", "--subresource=status", "--filename=-", stdin=_listed(listed))

    def ours(self) -> set[str]:
        """Return our objects."""
        return set(_versions(self._list(OURS)))

    def theirs(self) -> dict[str, str]:
        """Return the objects of others with their versions, which change with every change of them."""
        return _versions(self._list(THEIRS))

    def _all_are_served(self) -> bool:
        """Return whether kubectl knows all kinds, and their fields: both come some time after a definition."""
        known = set(self._do("api-resources", "--output=name").split())
        fields = self._do("get", "--raw=/openapi/v3")
        groups = {f"apis/{GROUP}/", *(f"apis/{kind.group}/{kind.version}" for kind in other_operators.KINDS)}
        return known >= {*OURS, *THEIRS} and all(group in fields for group in groups)

    def _list(self, resources: Sequence[str]) -> list[dict[str, Any]]:
        listed = self._do("get", ",".join(resources), "--all-namespaces", "--output=json")
        items: list[dict[str, Any]] = json.loads(listed)["items"]
        return items

    def _apply(self, documents: Iterable[dict[str, Any]]) -> None:
        self._do(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename=-",
            stdin=_listed(documents),
        )

    def _do(self, *arguments: str, stdin: Any = None) -> str:
        ran = self.kubectl(*arguments, stdin=stdin)
        assert ran.code == 0, f"kubectl {arguments[0]}: exit code {ran.code}\n{ran.warnings}"
        return ran.output


def _listed(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(documents)}


def _versions(objects: Iterable[dict[str, Any]]) -> dict[str, str]:
    found = {}
    for each in objects:
        metadata = each["metadata"]
        name = f"{each['apiVersion']} {each['kind']} {metadata.get('namespace')}/{metadata['name']}"
        found[name] = metadata["resourceVersion"]
    return found


def _groups(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        # Without something behind the version, it is only asked which kinds a group has.
        if (found := _GROUP.fullmatch(path)) and (found["rest"] or path.startswith("/openapi")):
            yield found["group"]
