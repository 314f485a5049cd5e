"""``python -m keycloak_operator.export``: KeycloakRealm and KeycloakClient resources of what a Keycloak or a file has.

::

    a server ──or──> Source ──> Declared (per realm, per client) ──> Export: documents, and what was left out
    a file   ──┘

Applied beside the realm that they were made from, the resources find nothing to change; elsewhere they make an equal
one. Secrets are never written. Nothing is changed in Keycloak.
"""
