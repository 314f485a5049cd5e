"""What the chart renders to, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from keycloak_operator.resources import GROUP, crds
from tests.chart.rendering import DEFINITIONS, GOLDEN, LOADER, Helm, overlay, overlays

KEEP = "  annotations:\n    helm.sh/resource-policy: keep\n"


@pytest.mark.parametrize("name", overlays())
def test_renders_as_before(helm: Helm, name: str) -> None:
    golden = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    assert helm.overlay(name).without_definitions() == golden


def test_every_golden_file_has_its_values() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == overlays()


@pytest.mark.parametrize("keep", [True, False])
def test_the_definitions_are_the_generated_files(helm: Helm, keep: bool) -> None:
    rendered = helm.template({"crds.keep": keep})
    texts = sorted(text for template, text in rendered.parts() if template == DEFINITIONS)
    expected = [path.read_text(encoding="utf-8") for path in sorted(crds.FOLDER.iterdir())]
    if keep:
        expected = [text.replace("\nmetadata:\n", f"\nmetadata:\n{KEEP}", 1) for text in expected]
    assert sorted(text.rstrip("\n") for text in texts) == sorted(text.rstrip("\n") for text in expected)


def test_the_definitions_can_be_left_to_another_release(helm: Helm) -> None:
    rendered = helm.template({"crds.install": False})
    assert rendered.all("CustomResourceDefinition") == []
    # The Deployment says so, for the day when they are wanted after all.
    said = "  annotations:\n    keycloak.vriesdemichael.github.io/left-definitions: "
    said += ",".join(sorted(f"{kind.definition.plural}.{GROUP}" for kind in crds.KINDS)) + "\n"
    assert rendered.text.replace(said, "") == helm.template().without_definitions() != rendered.text


@pytest.mark.parametrize("name", overlays())
def test_helm_has_nothing_to_say_against_it(helm: Helm, name: str) -> None:
    helm.run("lint", "--strict", "--quiet", overlay(name).parents[1], f"--values={overlay(name)}")


@pytest.mark.parametrize("options", [(), ("--set=coverage.enabled=true",)], ids=["as it is", "with coverage"])
@pytest.mark.parametrize("name", overlays())
def test_no_key_is_there_twice(helm: Helm, name: str, options: tuple[str, ...]) -> None:
    for document in yaml.compose_all(helm.overlay(name, options=options).text, Loader=LOADER):
        assert list(_repeated(document)) == []


def _repeated(node: yaml.Node | None) -> Iterator[str]:
    """Yield every key that a map in *node* has twice: readers of YAML take one of them and say nothing."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from (key for key in set(keys) if keys.count(key) > 1)
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for each in child if isinstance(child, tuple) else (child,):
            yield from _repeated(each)


def test_two_renders_are_the_same(helm: Helm) -> None:
    assert helm.overlay("everything").text == helm.overlay("everything").text
