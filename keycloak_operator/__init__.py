"""A Kopf operator for Keycloak: instances, realms and clients as custom resources."""
