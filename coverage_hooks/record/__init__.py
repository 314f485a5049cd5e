"""Inside the operator's process: record, journal, publish, all the time.

::

    recorder (coverage.py) ──> journal (what grew) ──> publisher (the volume), once per beat of the pulse
"""
