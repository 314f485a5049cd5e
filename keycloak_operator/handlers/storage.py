"""What Kopf keeps of a spec in order to know later that it has changed: a digest, in an annotation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import kopf


class DigestStorage(kopf.AnnotationsDiffBaseStorage):
    """Keeps a digest of the spec in the place where Kopf would keep all of it.

    All annotations of an object together hold 256 KiB. A spec may be larger, and a patch with a copy of it would be
    refused, together with everything else in that patch: the removal of the finalizer, above all.

    So handlers get no use out of `old`, `new` and `diff`, and the parameter `field` chooses nothing: that something has
    changed is all that is known.
    """

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        """Return what stands for *body*."""
        spec = json.dumps(body.get("spec"), sort_keys=True)
        return kopf.BodyEssence(spec={"digest": f"sha256:{hashlib.sha256(spec.encode()).hexdigest()}"})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Return what was kept; something else in its place counts as nothing, as anyone may write annotations."""
        try:
            found = super().fetch(body=body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
