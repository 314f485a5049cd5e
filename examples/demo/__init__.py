"""The whole idea in one command: ``python -m examples.demo``, or ``make demo``."""
