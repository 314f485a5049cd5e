"""The door to the Kubernetes API: our resources, Secrets and statuses, and nothing that decides."""

from keycloak_operator.cluster.client import ClusterClient

__all__ = ["ClusterClient"]
