# One front door. `make` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := coverage_hooks keycloak_operator tests examples

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test lint types test-unit test-chart test-functional format crds lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/ready ## Record a running operator, stop it, and see what its tests covered
	$(BIN)/python -m examples.demo

test: lint types test-unit test-chart test-functional ## Everything that must pass

lint: $(VENV)/ready ## Style, and which module may import which
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports

types: $(VENV)/ready ## Strict types, of source and tests
	$(BIN)/mypy

test-unit: $(VENV)/ready ## Pure code and real child processes; seconds, no network
	$(BIN)/pytest --numprocesses=auto tests/unit

test-chart: $(VENV)/ready ## The chart's renders, rights and schema, and what a real API server says of them
	$(BIN)/pytest tests/chart

test-functional: $(VENV)/ready ## Real operators against a real kube-apiserver and etcd
	$(BIN)/pytest tests/functional

format: $(VENV)/ready ## Put the code into its one format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

crds: $(VENV)/ready ## Make the custom resource definitions from the models
	$(BIN)/python -m keycloak_operator.resources.crds

lock: $(VENV)/ready ## Choose versions anew, for all platforms, with hashes
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --upgrade --quiet --output-file requirements.lock

venv: $(VENV)/ready ## Make the virtual environment from the lock

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is too old: expected Python 3.11 or newer; try make PYTHON=python3.13" >&2; exit 1; }
	@echo "Installing the locked packages into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean: ## Remove what was made here; built programs stay in the user's cache folder
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
