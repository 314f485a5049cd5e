"""Images for a node, from package archives alone: no registry is asked, and no Docker daemon."""

from __future__ import annotations

from tests.cluster.images.catalogue import COVERAGE, KEYCLOAK, OPERATOR, SANDBOX, Image, archive
from tests.cluster.images.made import ImageError

__all__ = ["COVERAGE", "KEYCLOAK", "OPERATOR", "SANDBOX", "Image", "ImageError", "archive"]
