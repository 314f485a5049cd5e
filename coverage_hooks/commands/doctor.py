"""``coverage-hooks doctor``: what would keep an operator from being recorded, or its recordings from being collected.

It is typed on the test machine, and in the operator's pod: there, where nothing but the extra ``record`` is installed,
click and the standard library are all that may be imported before it is known what there is.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from coverage_hooks import settings, shown
from coverage_hooks.commands import options, places
from coverage_hooks.commands.places import Place
from coverage_hooks.doctor import process
from coverage_hooks.doctor.findings import UNREACHABLE, Finding, Tell, note, wrong
from coverage_hooks.doctor.process import Surroundings
from coverage_hooks.errors import SourceError
from coverage_hooks.settings import Settings

#: What the extra ``collect`` brings.
_COLLECTING = ("coverage", "rich", "kubernetes_asyncio")


@click.command()
@options.where
@options.configuration
@options.patience
def doctor(
    *,
    directory: Path | None,
    namespace: str | None,
    release: str | None,
    claim: str | None,
    kubeconfig: Path | None,
    context: str | None,
    rcfile: Path | None,
    silent_after: float,
) -> None:
    """Say what would keep an operator from being recorded, and its recordings from being collected.

    In the operator's pod or environment it is about recording there; on the test machine, in the checkout, about
    collecting, with --from or --namespace also from where. No operator, no reader is started, and nothing is changed;
    a volume is written to, and cleaned of that. Each line is ok, wrong, or a note; ends with 0 when nothing is wrong.
    """
    given = (directory, namespace, release, claim, kubeconfig, context)
    place = None
    if any(each is not None for each in given):
        place = Place(directory=directory, namespace=namespace, release=release, claim=claim,
                      kubeconfig=kubeconfig, context=context)  # fmt: skip
    lacking = [name for name in _COLLECTING if importlib.util.find_spec(name) is None]
    here = Surroundings(
        settings=Settings.from_environment(),
        strangers=settings.strangers(),
        rivals=settings.rivals(),
        is_operators=settings.in_pod() and bool(lacking),
    )
    with _leaving_no_bytecode():
        codes = [
            _section("recording", process.recording(here)),
            _section("checkout", [note(_absent(lacking))] if lacking else _checkout(rcfile)),
        ]
        if place is not None:
            codes.append(_section("source", [wrong(_absent(lacking))] if lacking else _source(place, silent_after)))
    count = sum(len(each) for each in codes)
    shown.line(f"{count} wrong" if count else "nothing wrong")
    click.get_current_context().exit(max((code for each in codes for code in each), default=0))


def _absent(lacking: list[str]) -> str:
    return (
        f"nothing can be collected here, for want of {', '.join(lacking)}: on the test machine, "
        "pip install 'coverage-hooks[collect]'"
    )


def _section(title: str, work: Iterable[Finding] | Callable[[Tell], None]) -> list[int]:
    """Print the findings of *work* below *title*, each as it is made; return the codes of what is wrong."""
    codes: list[int] = []

    def tell(finding: Finding) -> None:
        shown.line(f"  {finding.level:<5}  {finding.text}")
        if finding.level == "wrong":
            codes.append(finding.code)

    shown.line(title)
    try:
        if callable(work):
            work(tell)
        else:
            for finding in work:
                tell(finding)
    except SourceError as error:
        tell(wrong(str(error), UNREACHABLE))
    return codes


def _checkout(rcfile: Path | None) -> Iterator[Finding]:
    from coverage_hooks.doctor import recorded  # noqa: PLC0415 - it needs coverage.py, which a pod may lack

    return recorded.checkout(Path.cwd(), rcfile)


def _source(place: Place, silent_after: float) -> Iterable[Finding] | Callable[[Tell], None]:
    if place.directory is not None:
        from coverage_hooks.collect.retrieve.copies import Patience  # noqa: PLC0415 - as above
        from coverage_hooks.doctor import recorded  # noqa: PLC0415 - as above

        return recorded.directory(place.directory, Patience(minimum=silent_after))
    # Imported here: the client takes a second to load, which whoever reads a folder need not wait for.
    from coverage_hooks.doctor.claim import examine  # noqa: PLC0415

    target = places.target(place)
    return lambda tell: examine(target, tell)


@contextmanager
def _leaving_no_bytecode() -> Iterator[None]:
    """Keep what is imported to see whether it can be, such as a plugin of the checkout, from leaving compiled files."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
