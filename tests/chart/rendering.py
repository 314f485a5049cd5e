"""Rendering the chart, and finding things in what comes out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.chart.values import CHART
from tests.cluster.waiting import WITHIN

GOLDEN = Path(__file__).parent / "golden"
#: The fast one where there is one: the definitions are long.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEFINITIONS = "templates/crds.yaml"

_SEPARATOR = "---\n# Source: keycloak-operator/"


class RefusedError(Exception):
    """Helm refused; the message is what it said."""


@dataclass(frozen=True)
class Rendered:
    """The manifests of a release, as Helm prints them."""

    text: str

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        """Return every manifest."""
        return [document for document in yaml.load_all(self.text, Loader=LOADER) if document]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return every manifest of *kind*."""
        return [document for document in self.documents if document["kind"] == kind]

    def only(self, kind: str) -> dict[str, Any]:
        """Return the one manifest of *kind*."""
        (found,) = self.all(kind)
        return found

    @property
    def pod(self) -> dict[str, Any]:
        """Return the spec of the operator's pod."""
        found: dict[str, Any] = self.only("Deployment")["spec"]["template"]["spec"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        """Return the only container of the operator's pod."""
        (found,) = self.pod["containers"]
        return dict(found)

    @property
    def environment(self) -> dict[str, Any]:
        """Return the variables of the container, each with its value or its reference."""
        return {each["name"]: each.get("value", each.get("valueFrom")) for each in self.container["env"]}

    def parts(self) -> Iterator[tuple[str, str]]:
        """Yield the template that each manifest came from, and its text."""
        before, *parts = self.text.split(_SEPARATOR)
        assert not before, before
        for part in parts:
            template, text = part.split("\n", 1)
            yield template, text

    def without_definitions(self) -> str:
        """Return all of the text that is not a custom resource definition."""
        return "".join(f"{_SEPARATOR}{template}\n{text}" for template, text in self.parts() if template != DEFINITIONS)


@dataclass(frozen=True)
class Helm:
    """The program, run without the user's settings."""

    program: Path
    home: Path

    def run(self, *arguments: str | Path) -> str:
        """Return what helm prints; raise RefusedError with what it says if it fails."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("HELM", "KUBE", "XDG"))}
        command = [str(self.program), *map(str, arguments)]
        ran = subprocess.run(
            command, env=environ | {"HOME": str(self.home)}, capture_output=True, text=True, check=False, timeout=WITHIN
        )
        if ran.returncode:
            raise RefusedError(ran.stdout + ran.stderr)
        return ran.stdout

    def template(
        self,
        values: Mapping[str, Any] | None = None,
        *options: str | Path,
        release: str = "demo",
        namespace: str = "operators",
        chart: Path = CHART,
    ) -> Rendered:
        """Return what a release with *values* consists of."""
        given = [f"--set-json={name}={json.dumps(value)}" for name, value in (values or {}).items()]
        return Rendered(self.run("template", release, chart, f"--namespace={namespace}", *given, *options))

    def overlay(self, name: str, *, options: Iterable[str] = (), **release: Any) -> Rendered:
        """Return what one of the chart's own sets of values renders to."""
        return self.template(None, f"--values={overlay(name)}", *options, **release)


def notes(helm: Helm, folder: Path, **values: Any) -> str:
    """Return what Helm tells after a release with *values* was installed; a copy of the chart is made in *folder*.

    `helm template` leaves it out, so it is made a manifest in the copy.
    """
    chart = Path(shutil.copytree(CHART, folder / "chart", dirs_exist_ok=True))
    (chart / "files" / "NOTES.txt").write_bytes((CHART / "templates" / "NOTES.txt").read_bytes())
    (chart / "templates" / "NOTES.txt").unlink()
    manifest = 'kind: Notes\ntext: {{ tpl (.Files.Get "files/NOTES.txt") . | toJson }}\n'
    (chart / "templates" / "notes.yaml").write_text(manifest)
    return str(helm.template(values, chart=chart).only("Notes")["text"])


def overlay(name: str) -> Path:
    """Return the file with the values of this name."""
    return CHART / "ci" / f"{name}-values.yaml"


def overlays() -> list[str]:
    """Return the names of the chart's own sets of values."""
    return sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
