"""The door to the Kubernetes API: our resources, Secrets, statuses and the Lease of who leads."""

from keycloak_operator.cluster.client import ClusterClient
from keycloak_operator.cluster.election import Election
from keycloak_operator.cluster.lease import Lease

__all__ = ["ClusterClient", "Election", "Lease"]
