"""What the pytest plugin does once an option asks for it; loaded by `coverage_hooks.pytest_plugin` only then."""
