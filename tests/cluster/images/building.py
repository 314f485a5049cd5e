"""Building an image from a Dockerfile, as root, without a daemon and without a network."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.images.made import run

_WHEELS = "/wheels"
# Nothing is fetched, so there is nobody to trust.
_POLICY = {"default": [{"type": "insecureAcceptAnything"}]}


def build(
    name: str,
    dockerfile: Path,
    context: Path,
    archive: Path,
    *,
    arguments: Mapping[str, str],
    wheels: Path | None = None,
) -> None:
    """Build *dockerfile* in *context*, and write the image to *archive*.

    Its ``FROM`` may name an archive that was written here, as ``docker-archive:PATH``. With *wheels*, pip finds
    packages in that folder and nowhere else.
    """
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        policy = Path(folder, "policy.json")
        policy.write_text(json.dumps(_POLICY))
        storage = [f"--root={folder}/storage", f"--runroot={folder}/run", "--storage-driver=overlay"]
        # In a network namespace of its own there is nothing, which is how it is known that nothing is asked for; what a
        # killed build mounted goes with its mount namespace.
        buildah = ["unshare", "--net", "--mount", "buildah", *storage]
        options = ["--isolation=chroot", f"--signature-policy={policy}", f"--file={dockerfile}", f"--tag={name}"]
        if wheels:
            options += [f"--volume={wheels}:{_WHEELS}:ro"]
            arguments = {**arguments, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": _WHEELS}
        options += [f"--build-arg={key}={value}" for key, value in arguments.items()]
        run(f"building {name}", [*buildah, "bud", *options, str(context)], TMPDIR=folder)
        push = ["push", "--quiet", f"--signature-policy={policy}", name, f"docker-archive:{archive}:{name}"]
        run(f"writing {name}", [*buildah, *push], TMPDIR=folder)
