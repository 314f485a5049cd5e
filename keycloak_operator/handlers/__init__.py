"""The door to Kopf: one loop per resource, and its deletion. Importing this package registers the handlers."""

from keycloak_operator.handlers import lifecycle, resources

__all__ = ["lifecycle", "resources"]
