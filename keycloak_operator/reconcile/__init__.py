"""Desired against actual, one module per kind; knows neither Kopf nor HTTP.

Every function here is level-based: it looks at what is, and does what is missing. Run a second time it writes nothing.
"""
