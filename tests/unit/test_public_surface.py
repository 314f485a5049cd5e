"""What users import is what is promised, in order."""

from __future__ import annotations

import coverage_hooks
from coverage_hooks import errors


def test_all_is_sorted_and_there() -> None:
    assert coverage_hooks.__all__ == sorted(coverage_hooks.__all__)
    assert all(hasattr(coverage_hooks, name) for name in coverage_hooks.__all__)


def test_every_error_is_public_and_of_one_family() -> None:
    assert set(errors.__all__) <= set(coverage_hooks.__all__)
    defined = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(defined) == set(errors.__all__)
    assert all(issubclass(error, errors.CoverageHooksError) for error in defined.values())
