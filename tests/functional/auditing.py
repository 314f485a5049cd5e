"""What the API server of the functional tests writes down, for the scan for secrets."""

from __future__ import annotations

#: Which requests the API server has to write down. The last group is the Keycloak operator's own, by its name: other
#: operators are tested where it is not installed.
AUDITED = (
    {
        "level": "Request",
        "verbs": ["create", "update", "patch"],
        "resources": [
            {"group": "", "resources": ["secrets", "events"]},
            {"group": "events.k8s.io"},
            {"group": "keycloak.vriesdemichael.github.io"},
        ],
    },
)
