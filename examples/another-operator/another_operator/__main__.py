"""``python -m another_operator``: the operator without Kopf's command line."""

from __future__ import annotations

import kopf

from another_operator import handlers  # noqa: F401  # importing them registers them

kopf.run(standalone=True, clusterwide=True)
