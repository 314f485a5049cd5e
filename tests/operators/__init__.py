"""Operators in every shape that is met outside, recorded and compared with what plain coverage.py measures."""
