"""What the options of the plugin ask for, checked before the first test runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverage_hooks.collect.pipeline import Request
from coverage_hooks.collect.reporting.thresholds import Threshold
from coverage_hooks.collect.retrieve.copies import Patience
from coverage_hooks.collect.runs import Choice
from coverage_hooks.commands.places import Place
from coverage_hooks.errors import UsageError

if TYPE_CHECKING:
    from coverage_hooks.collect.cluster.connection import Target

OUTPUT = Path("build/coverage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Where to read and what to make of it, in `folder`, where pytest was started."""

    place: Place
    request: Request
    folder: Path
    output: Path
    units: list[Path]
    rcfile: Path | None
    allow_mismatch: list[str]
    thresholds: list[Threshold]

    @property
    def target(self) -> Target | None:
        """Whom to watch; None for a folder, whose operator no cluster knows."""
        place = self.place
        if place.namespace is None:
            return None
        # Imported here: the client takes a second to load, which whoever reads a folder need not wait for.
        from coverage_hooks.collect.cluster.connection import Target  # noqa: PLC0415

        return Target(
            namespace=place.namespace,
            release=place.release,
            claim=place.claim,
            kubeconfig=place.kubeconfig,
            context=place.context,
        )


def wish(given: Mapping[str, Any], run: str, folder: Path) -> Wish:
    """Return what *given*, options by name, asks for of *run*; paths are below *folder*.

    Raises `UsageError` when that makes no sense.
    """

    def path(name: str) -> Path | None:
        return folder / given[name] if given[name] else None

    place = Place(
        directory=path("from"),
        kubeconfig=path("kubeconfig"),
        **{name: given[name] for name in ("namespace", "release", "claim", "context", "reader")},
        reader_image=given["reader-image"],
    )
    return Wish(
        place=place,
        request=Request(
            choice=Choice(run=run),
            expect=_within("expect", given["expect"], 1),
            waivers=given["allow-missing"],
            patience=Patience(minimum=_within("silent-after", given["silent-after"], 0.1) or Patience().minimum),
        ),
        folder=folder,
        output=path("report") or folder / OUTPUT,
        units=[folder / each for each in given["unit"]],
        rcfile=path("rcfile"),
        allow_mismatch=given["allow-mismatch"],
        thresholds=[Threshold.parse(each) for each in given["fail-under"]],
    )


def _within(name: str, value: Any, low: float) -> Any:
    if value is not None and value < low:
        raise UsageError(f"--coverage-hooks-{name} {value:g}: expected at least {low:g}")
    return value
