"""Starts recording in a Python program that an operator starts, after the ``sitecustomize`` that it would have."""

import importlib
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - importing pathlib would cost each start
_own = sys.modules.pop(__name__, None)
_paths = sys.path[:]
sys.path[:] = [path for path in _paths if path != _here]
try:
    importlib.import_module(__name__)
except ImportError as error:
    if error.name != __name__:
        raise
    if _own is not None:
        sys.modules[__name__] = _own  # there is none
finally:
    try:
        from coverage_hooks.record import children
    except ImportError:  # the program runs in an environment of its own
        pass
    else:
        children.start()
