# One front door. `make` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than there are cores: many a test waits for a child process, or for a server.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PARALLEL := $(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal
SOURCES := coverage_hooks keycloak_operator tests examples

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test lint types test-unit test-chart test-workflows test-functional test-operators test-oldest test-pythons test-versions \
  test-browser browser-deps e2e cluster-deps cluster-up cluster-down coverage coverage-place coverage-unit \
  coverage-retrieve coverage-combine coverage-report benchmark benchmark-recording benchmark-leftovers benchmark-load format crds chart docs lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/ready ## Record a running operator, stop it, and see what its tests covered
	$(BIN)/python -m examples.demo

test: lint types test-workflows test-unit test-chart test-functional test-operators ## Everything that must pass

lint: $(VENV)/ready ## Style, and which module may import which
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile Dockerfile.test tests/cluster/images/*.Dockerfile

types: $(VENV)/ready ## Strict types, of source and tests
	$(BIN)/mypy

test-unit: $(VENV)/ready ## Pure code and real child processes; seconds, no network
	$(PARALLEL) tests/unit

test-chart: $(VENV)/ready ## The chart's renders, rights and schema, and what a real API server says of them
	$(BIN)/pytest tests/chart

test-workflows: $(VENV)/ready ## The workflows of every push and of every night, as GitHub reads them
	$(BIN)/pytest tests/workflows

test-functional: $(VENV)/ready ## Real operators against a real kube-apiserver and etcd
	$(PARALLEL) tests/functional

test-operators: $(VENV)/ready ## Operators of every shape, and Kopf's own examples, against plain coverage.py
	$(BIN)/pytest tests/operators

test-oldest: $(VENV)/ready ## The Keycloak operator on the oldest Keycloak and Kubernetes that it supports
	SERVER_VERSIONS=oldest $(PARALLEL) tests/functional/keycloak_operator tests/functional/test_crds.py \
	  tests/functional/test_keycloak_server.py

test-pythons: $(VENV)/ready ## What users install, on every Python, with the newest packages
	$(BIN)/python -m tests.environments pythons

test-versions: $(VENV)/ready ## What users install, on this Python, with the newest packages and with the oldest
	$(BIN)/python -m tests.environments versions

coverage: coverage-place coverage-unit ## Unit tests and a recorded run in one report: FROM=, or NAMESPACE= and RELEASE= or CLAIM=
	$(BIN)/coverage-hooks collect $(PLACE) --unit $(UNIT_DATA) --xml-per-world $(JUDGING)

coverage-unit: $(VENV)/ready ## Measure the operator's unit tests, into build/coverage-unit
	$(BIN)/coverage run --data-file=$(UNIT_DATA) -m pytest $(UNIT_TESTS)

coverage-retrieve: coverage-place $(VENV)/ready ## Copy what was recorded, and say who is missing: FROM= or NAMESPACE=, and RUN=
	scripts/retrieve-coverage.sh $(PLACE)

coverage-combine: $(VENV)/ready ## Verify what was copied, and combine it with the unit data
	scripts/combine-coverage.sh --unit $(UNIT_DATA)

coverage-report: $(VENV)/ready ## Report what was combined, below build/coverage; FAIL_UNDER= is the least
	$(BIN)/coverage-hooks report --xml-per-world $(JUDGING)

# Where the recordings are is asked before the unit tests run.
coverage-place:
	@: $(PLACE)

UNIT_TESTS := tests/unit/keycloak_operator
UNIT_DATA := build/coverage-unit/.coverage
PLACE = $(if $(FROM),--from '$(FROM)',$(if $(and $(NAMESPACE),$(or $(RELEASE),$(CLAIM))),$(IN_CLUSTER),$(error $(NO_PLACE)))) \
  $(if $(RUN),--run '$(RUN)')
IN_CLUSTER = --namespace '$(NAMESPACE)' $(if $(RELEASE),--release '$(RELEASE)') $(if $(CLAIM),--claim '$(CLAIM)')
NO_PLACE = say where the operator recorded: FROM=DIR, or NAMESPACE=NAME and RELEASE=NAME or CLAIM=NAME; \
  RUN=ID chooses the run, else it is the newest
JUDGING = $(if $(FAIL_UNDER),--fail-under '$(FAIL_UNDER)')

benchmark: $(VENV)/ready ## How long combining and reporting take, in turn with coverage.py's own, and that both make the same
	$(BIN)/python -m tests.benchmarks.combining lines 1000
	$(BIN)/python -m tests.benchmarks.combining arcs 300
	$(BIN)/python -m tests.benchmarks.reporting 300

benchmark-recording: $(VENV)/ready ## What recording costs beside plain coverage.py, in turn, and what is lost when a program is killed
	$(BIN)/python -m tests.benchmarks.recording 5
	$(BIN)/python -m tests.benchmarks.kills 100
	$(BIN)/python -m tests.benchmarks.bounds

benchmark-leftovers: $(VENV)/ready ## What 200 collects leave behind that are ended by SIGINT, SIGTERM, SIGHUP and SIGKILL at any moment
	$(BIN)/python -m tests.benchmarks.leftovers 50

benchmark-load: $(VENV)/ready ## What the operator asks of Keycloak with 500 resources: to create them, to look, after a start
	$(BIN)/python -m tests.benchmarks.load

format: $(VENV)/ready ## Put the code into its one format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

cluster-deps: $(VENV)/ready ## Install the system packages that a node needs
	apt-get update --quiet
	apt-get install --yes --no-install-recommends $$($(BIN)/python -m tests.cluster.node packages)

cluster-up: $(VENV)/ready ## Start a real cluster of one node; as root, on Linux
	$(BIN)/python -m tests.cluster.node up

cluster-down: $(VENV)/ready ## Stop it, and leave nothing of it
	$(BIN)/python -m tests.cluster.node down

browser-deps: ## Install the browser that the page is tried in
	apt-get update --quiet
	apt-get install --yes --no-install-recommends chromium

test-browser: $(VENV)/ready ## The page of the worlds in a real browser
	$(BIN)/pytest tests/browser

e2e: $(VENV)/ready ## Pods, images, claims and Helm on a real node, or on the cluster of E2E_KUBECONFIG
ifdef E2E_KUBECONFIG
	@echo "Left out, as E2E_KUBECONFIG names another cluster: tests of the node itself (node), and of claims whose"
	@echo "volumes have to be on this machine (mounted)."
	$(PARALLEL) --ignore=tests/e2e/node --ignore=tests/e2e/mounted tests/e2e
else
	$(BIN)/pytest tests/e2e/node
	$(PARALLEL) --ignore=tests/e2e/node tests/e2e
endif

crds: $(VENV)/ready ## Make the custom resource definitions from the models
	$(BIN)/python -m keycloak_operator.resources.crds

chart: $(VENV)/ready ## Make the chart's schema and tables from the comments of its values
	$(BIN)/python -m tests.chart.documents

docs: $(VENV)/ready ## Make the list of commands, and the table of damage, by asking and by doing
	$(BIN)/python -m tests.documents

lock: $(VENV)/ready ## Choose versions anew, for all platforms, with hashes
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --upgrade --quiet --output-file requirements.lock
	$(BIN)/uv pip compile $(IMAGE_LOCK) --extra keycloak-operator --output-file requirements-operator.lock
	$(BIN)/uv pip compile $(IMAGE_LOCK) --extra keycloak-operator --extra record \
	  --output-file requirements-operator-coverage.lock

# One platform, so no line depends on the Python that reads it; the versions are those that are tested.
IMAGE_LOCK := pyproject.toml --python-platform linux --python-version 3.14 --constraint requirements.lock \
  --generate-hashes --no-annotate --no-header --quiet

venv: $(VENV)/ready ## Make the virtual environment from the lock

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is too old: expected Python 3.11 or newer; try make PYTHON=python3.13" >&2; exit 1; }
	@echo "Installing the locked packages into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean: ## Remove what was made here; built programs stay in the user's cache folder
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
