"""What all tests of one run share: the cluster, the images in it, and the name of the run."""

from __future__ import annotations

import contextlib
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster import WITHIN, images
from tests.cluster.cluster import Cluster, given
from tests.cluster.images import Image
from tests.cluster.node import load, node

CRDS = Path(__file__).parents[2] / "charts" / "keycloak-operator" / "files" / "crds"
#: What is labelled with the name of a run goes when the run ends.
RUN_LABEL = "coverage-hooks.vriesdemichael.github.io/test-run"
IMAGES = (images.OPERATOR, images.COVERAGE, images.KEYCLOAK)
_PATHS = ("kubeconfig", "kubectl_program", "volumes")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """One run of the tests, in one process or in several. `secret` is that of its Keycloak's first account."""

    cluster: Cluster
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    secret: str = field(default_factory=secrets.token_hex)

    def as_input(self) -> dict[str, Any]:
        """Return what another process makes the same session from."""
        document = asdict(self)
        paths = {name: str(document["cluster"][name] or "") for name in _PATHS}
        return document | {"cluster": document["cluster"] | paths}

    @classmethod
    def from_input(cls, document: dict[str, Any]) -> Session:
        """Return the session that `as_input` was asked of."""
        cluster = document["cluster"]
        paths = {name: Path(cluster[name]) if cluster[name] else None for name in _PATHS}
        return cls(**document | {"cluster": Cluster(**cluster | paths)})


@contextlib.contextmanager
def starting(wanted: Iterable[Image], say: Say) -> Iterator[Session]:
    """Yield a session on the cluster of E2E_KUBECONFIG, or else on a node of its own that has the *wanted* images.

    Afterwards a given cluster is as it was before.
    """
    if cluster := given():
        say(f"e2e: on the cluster of {cluster.kubeconfig}, with images {cluster.image_prefix}…")
        yield from _borrowed(Session(cluster))
        return
    for image in wanted:
        images.archive(image, say)  # before there is a node that nobody uses
    with node(say) as running:
        for image in wanted:
            load(running, image, say)
        started = Session(running.cluster)
        _install_definitions(started.cluster)
        yield started


def _borrowed(started: Session) -> Iterator[Session]:
    cluster = started.cluster
    had_definitions = cluster.kubectl("get", f"--filename={CRDS}", "--ignore-not-found", "--output=name").split()
    _install_definitions(cluster)
    try:
        yield started
    finally:
        cluster.kubectl("delete", "namespace", f"--selector={RUN_LABEL}={started.run}", "--ignore-not-found")
        if not had_definitions:
            cluster.kubectl("delete", f"--filename={CRDS}", "--ignore-not-found")


def _install_definitions(cluster: Cluster) -> None:
    # They outlive a release, and only one could bring them.
    cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRDS}")
    cluster.kubectl("wait", "--for=condition=Established", f"--timeout={WITHIN:g}s", f"--filename={CRDS}")
