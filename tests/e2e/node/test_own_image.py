"""The Dockerfile of docs/your-operator.md, built as it is written on an image that knows nothing of recording."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.images import catalogue
from tests.cluster.images.building import build
from tests.cluster.images.wheels import wheels
from tests.e2e.faulty import PROJECT
from tests.pages import ROOT, blocks

THEIRS = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
RUN python3 -m venv /opt/own && /opt/own/bin/pip install kopf
ENV PATH=/opt/own/bin:$PATH
WORKDIR /app
COPY theirs theirs
USER 65532:65532
ENTRYPOINT ["kopf", "run", "-m", "theirs.handlers"]
"""
#: What fails the build where the image could not record.
PROOF = """\
ENV COVERAGE_HOOKS_ENABLED=1 COVERAGE_HOOKS_DIR=/tmp/recordings
RUN mkdir /tmp/recordings && cd / && python -m coverage_hooks doctor && python -c "import theirs"
"""


# They have the base and the packages made before, which takes longer than a test may.
@pytest.mark.usefixtures("operator_image", "coverage_image")
def test_the_image_on_the_page_can_record(tmp_path: Path) -> None:
    base = catalogue._base("python", print)
    packages = wheels(ROOT / "requirements-operator-coverage.lock", print)
    shutil.copytree(PROJECT / "faulty", tmp_path / "theirs")
    (tmp_path / ".coveragerc").write_text("[run]\nsource = theirs\n")
    # As on the page, but with the packages that are here already.
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir=wheels"]
    subprocess.run([*wheel, str(ROOT)], cwd=tmp_path, check=True)
    (tmp_path / "Dockerfile").write_text(THEIRS)
    arguments = {"BASE_IMAGE": f"docker-archive:{base}"}
    archive = tmp_path / "theirs.tar"
    build("localhost/theirs", tmp_path / "Dockerfile", tmp_path, archive, arguments=arguments, wheels=packages)

    (text,) = blocks("docs/your-operator.md", "dockerfile")
    own = text.replace("FROM registry.example.com/team/operator:1.2\n", f"FROM docker-archive:{archive}\n")
    assert own != text
    # Where pip finds packages here, said right behind FROM.
    own = own.replace("USER 0\n", "USER 0\nARG PIP_NO_INDEX\nARG PIP_FIND_LINKS\n") + PROOF
    (tmp_path / "Dockerfile.coverage").write_text(own)
    build(
        "localhost/theirs:coverage",
        tmp_path / "Dockerfile.coverage",
        tmp_path,
        tmp_path / "recording.tar",
        arguments={"REVISION": "abc"},
        wheels=packages,
    )
