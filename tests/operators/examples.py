"""Kopf's own examples, of the Kopf that is installed, as its source distribution has them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cluster.binaries.once import made_once
from tests.cluster.images.made import cache_folder

#: Those that need nothing but Kopf and an API server, and what their logs say when they have done all that they do.
EXAMPLES = {
    "01-minimal": ["Creation is processed"],
    "03-exceptions": ["Creation is processed"],
    "04-events": ["Creation is processed"],
    "05-handlers": ["Creation is processed", "FIELD CHANGED: value -> changed"],
    "06-peering": ["Creation is processed"],
    "07-subhandlers": ["Creation is processed"],
    "08-events": ["Event received"],
    "09-testing": ["Creation is processed"],
    "11-filtering-handlers": ["Creation is processed"],
    "14-daemons": ["Ping from a sync daemon", "Ping from an async daemon"],
    "15-timers": ["Ping from a sync timer", "Ping from an async timer"],
    "16-indexing": ["Timer 'intervalled' succeeded"],
}


def fetch() -> Path:
    """Return the folder with the examples, fetched once from the package index."""
    version = metadata.version("kopf")
    folder = cache_folder().parent / f"kopf-{version}"

    def make(draft: Path) -> None:
        with TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*command, "--no-binary=:all:", f"--dest={scratch}", f"kopf=={version}"], check=True)
            (archive,) = Path(scratch).glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(draft, filter="data")

    def missing(place: Path) -> list[str]:
        return [name for name in EXAMPLES if not list(place.glob(f"*/examples/{name}/example.py"))]

    (examples,) = made_once(folder, missing, make, print).glob("*/examples")
    return examples
