"""Where a command reads recordings: a folder here, or a claim in a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coverage_hooks.collect.retrieve.directory import Directory
from coverage_hooks.collect.source import Source
from coverage_hooks.errors import UsageError

if TYPE_CHECKING:
    from coverage_hooks.collect.cluster.connection import Target
    from coverage_hooks.collect.cluster.source import Wish
    from coverage_hooks.commands.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the options said; `UsageError` when that is nothing, or two things."""

    directory: Path | None = None
    namespace: str | None = None
    release: str | None = None
    claim: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    reader: str | None = None
    reader_image: str | None = None

    def __post_init__(self) -> None:
        in_cluster = self.release or self.claim or self.reader
        if self.directory is not None and (self.namespace or in_cluster):
            raise UsageError("--from and --namespace exclude each other: recordings are read from one place")
        if self.directory is not None:
            return
        if not self.namespace:
            raise UsageError(
                "say where the recordings are: --from FOLDER, or --namespace NAME with --release NAME or --claim NAME"
            )
        if not in_cluster:
            raise UsageError(f"say what to read in namespace {self.namespace!r}: --release NAME or --claim NAME")
        if self.release and self.claim:
            raise UsageError("--release and --claim exclude each other: a claim is chosen by its release or its name")
        if self.reader and self.reader_image:
            raise UsageError("--reader and --reader-image exclude each other: a reader that is there has its image")


@contextmanager
def opened(place: Place, progress: Progress) -> Iterator[Source]:
    """Give the source at *place*, and leave nothing of it."""
    if place.directory is not None:
        yield Directory(place.directory)
        return
    # Imported here: the client takes a second to load, which whoever reads a folder need not wait for.
    from coverage_hooks.collect.cluster.source import Claim  # noqa: PLC0415

    with ExitStack() as stack:
        with progress.busy(f"starting a reader in namespace {place.namespace}"):
            claim = stack.enter_context(Claim(_wish(place), say=progress.say, progress=progress.copying))
        yield claim


def reader_manifest(place: Place) -> str:
    """Return the reader for *place* as YAML, for a person to apply."""
    if place.directory is not None:
        raise UsageError("--reader-manifest is for a claim: give --namespace, and --release or --claim")
    from coverage_hooks.collect.cluster import source  # noqa: PLC0415 - as above

    return source.reader_manifest(_wish(place))


def _wish(place: Place) -> Wish:
    from coverage_hooks.collect.cluster.source import Wish  # noqa: PLC0415 - as above

    return Wish(target=target(place), image=place.reader_image, reader=place.reader)


def target(place: Place) -> Target:
    """Return which claim in which cluster *place*, which is no folder, means."""
    from coverage_hooks.collect.cluster.connection import Target  # noqa: PLC0415 - as above

    assert place.namespace is not None
    return Target(
        namespace=place.namespace,
        release=place.release,
        claim=place.claim,
        kubeconfig=place.kubeconfig,
        context=place.context,
    )
