#!/bin/sh
# `coverage-hooks retrieve` with its options, from any folder; copies go below build/coverage of this checkout.
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit
PATH="$here/.venv/bin:$PATH" # the one of this checkout, if it has one
exec coverage-hooks retrieve --output "$here/build/coverage" "$@"
