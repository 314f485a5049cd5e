#!/bin/sh
# `coverage-hooks combine` with its options, from any folder, of what retrieve-coverage.sh left in this checkout; the
# checkout is where it happens, so relative paths count from there.
cd -- "$(dirname -- "$0")/.." || exit
PATH="$PWD/.venv/bin:$PATH" # the one of this checkout, if it has one
exec coverage-hooks combine "$@"
