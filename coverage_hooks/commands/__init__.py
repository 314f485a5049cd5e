"""The commands of ``coverage-hooks``: what they ask for, and what they print."""
