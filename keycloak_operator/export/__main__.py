"""``python -m keycloak_operator.export``."""

import sys

from keycloak_operator.export.command import main

if __name__ == "__main__":
    sys.exit(main())
