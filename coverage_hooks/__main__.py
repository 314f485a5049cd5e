"""``python -m coverage_hooks``, the same as ``coverage-hooks``."""

from coverage_hooks.cli import main

if __name__ == "__main__":
    main()
