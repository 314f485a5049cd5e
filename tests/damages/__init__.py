"""Every damage there is, done to a recorded volume: what docs/damage.md says, and what its test does again.

::

    recorded    real processes record; every case starts from a copy of what they left
    catalogue   what is done, in words and in code, and what has to come of it
    collected   one case: copy, damage, collect, and what was printed, fit to be compared
    document    the page
"""
