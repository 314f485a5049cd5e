"""The door to Keycloak: its Admin REST API over HTTP, and nothing that decides."""
