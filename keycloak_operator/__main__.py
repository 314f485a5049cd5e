"""``python -m keycloak_operator``."""

from keycloak_operator.entrypoint import prepare, save

# Called from a module that was running before recording started, and so from no function that is recorded: on Python
# 3.11 whatever function the event loop runs below collects lines of asyncio, see docs/how-it-records.md.
prepare()()
save()
