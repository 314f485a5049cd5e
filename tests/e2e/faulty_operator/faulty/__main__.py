"""``python -m faulty``; FAULT is how it fails before its first handler, if it does."""

# ruff: noqa: E402 - recording has to start before anything that is recorded is imported

import os

if os.environ.get("FAULT") == "import":
    raise ImportError("something that this operator needs is not in its image")

import coverage_hooks

coverage_hooks.start()

import kopf

from faulty import handlers

__all__ = ["handlers"]

kopf.run(
    standalone=True,
    namespaces=[os.environ["COVERAGE_HOOKS_POD_NAMESPACE"]],
    liveness_endpoint="http://0.0.0.0:8080/healthz",
)
coverage_hooks.save()
