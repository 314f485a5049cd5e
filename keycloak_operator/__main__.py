"""``python -m keycloak_operator``."""

from keycloak_operator.entrypoint import main

main()
