"""Copies what recordings hold, from wherever they are, and says who is missing."""
