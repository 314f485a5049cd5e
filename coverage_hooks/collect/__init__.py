"""On the test machine: recordings in, one report out, and every loss by name.

::

    sources ──> retrieve ──> ledger <── verify ──> remap ──> combine ──> report
"""
