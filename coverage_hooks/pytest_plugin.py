"""The door to pytest: the options, the id of the test run, and nothing else until an option asks for more.

pytest loads this before pytest-cov starts to measure: what is imported here was imported too early for anybody who
measures it. So it is this module and the top of the package, whose own import is all that can be hidden; whatever the
options need is in `coverage_hooks.testing` and imported once they are given.
"""

from __future__ import annotations

import importlib
import os
import time
from types import ModuleType
from typing import Any

import pytest

from coverage_hooks.settings import PREFIX, Settings
from coverage_hooks.shown import plain

_RUN = pytest.StashKey[str]()

#: What a worker is told; as xdist names it, it becomes `workerinput` over there.
_TOLD = "coverage_hooks_run"

#: Where to read, what to make of it, and when to be content: as ``coverage-hooks collect`` names them.
_OPTIONS: dict[str, dict[str, Any]] = {
    "from": {"metavar": "DIR", "help": "Collect from this folder: COVERAGE_HOOKS_DIR of the operator."},
    "namespace": {"metavar": "NAME", "help": "Collect from a claim in this namespace, and watch how its pods end."},
    "release": {"metavar": "NAME", "help": "The Helm release whose claim holds the recordings."},
    "claim": {"metavar": "NAME", "help": "The claim that holds the recordings."},
    "kubeconfig": {"metavar": "FILE", "help": "The kubeconfig; default: KUBECONFIG, then ~/.kube/config."},
    "context": {"metavar": "NAME", "help": "The context in the kubeconfig; default: the current one."},
    "reader": {"metavar": "NAME", "help": "Read through this pod, which somebody applied, and make none."},
    "reader-image": {"metavar": "IMAGE", "help": "The image that reads the claim; default: as the claim says."},
    "report": {"metavar": "DIR", "help": "Where everything is written; default: build/coverage."},
    "unit": {"metavar": "FILE", "action": "append", "default": [],
             "help": "Unit data; may be repeated. Default: that of pytest-cov, when it measures in this run."},
    "rcfile": {"metavar": "FILE", "help": "The coverage configuration; default: coverage.py's own search."},
    "fail-under": {"metavar": "[WORLD[.PART]=]PERCENT", "action": "append", "default": [],
                   "help": "The least combined coverage, or that of a world, as --fail-under says; may be repeated."},
    "expect": {"metavar": "N", "type": int, "help": "How many processes must have recorded."},
    "allow-missing": {"metavar": "NAME", "action": "append", "default": [],
                      "help": "A recording or pod whose losses are no failure; may be repeated."},
    "allow-mismatch": {"metavar": "FILE", "action": "append", "default": [],
                       "help": "A source file that may differ from the operator's; may be repeated."},
    "silent-after": {"metavar": "SECONDS", "type": float,
                     "help": "How long a running recording's beat may stand still; default: 10."},
}  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, none of which does anything by itself."""
    group = parser.getgroup("coverage-hooks", "coverage of an operator that runs as a process of its own")
    for name, settings in _OPTIONS.items():
        group.addoption(f"--coverage-hooks-{name}", **settings)
    group.addoption(
        "--coverage-hooks-run", metavar="ID", help="The id of this test run; default: COVERAGE_HOOKS_RUN, or a new one."
    )
    group.addoption("--no-coverage-hooks", action="store_true", help="Collect nothing, whatever else is said.")
    parser.addini("coverage_hooks_run", "The id of this test run, where --coverage-hooks-run does not say it.")


def pytest_configure(config: pytest.Config) -> None:
    """Have the recordings collected at the end, when an option says where they are."""
    given = {name: config.getoption(f"coverage_hooks_{name.replace('-', '_')}") for name in _OPTIONS}
    if config.getoption("no_coverage_hooks") or not any(value not in (None, []) for value in given.values()):
        return
    # Asked before it is exported: what is in the environment then counts as given.
    is_given, run = bool(_given_run(config)), run_of(config)
    # Operators that are started as processes of this one belong to the run by themselves.
    patch = pytest.MonkeyPatch()
    patch.setenv(f"{PREFIX}RUN", run)
    config.add_cleanup(patch.undo)
    if not hasattr(config, "workerinput"):
        plugin = _testing().collecting(config, given, run=run, is_given=is_given)
        config.pluginmanager.register(plugin, "coverage_hooks_collecting")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let a worker of xdist know the run that it is a part of."""
    node.workerinput[_TOLD] = run_of(node.config)


@pytest.fixture(scope="session")
def coverage_hooks_run(pytestconfig: pytest.Config) -> str:
    """The id of this test run, equal on all workers: COVERAGE_HOOKS_RUN of the operators that it starts."""
    return run_of(pytestconfig)


def run_of(config: pytest.Config) -> str:
    """Return the id of the test run: as it was given, else a new one."""
    if _RUN not in config.stash:
        told = getattr(config, "workerinput", {}).get(_TOLD)
        config.stash[_RUN] = told or _given_run(config) or _new_run()
    return config.stash[_RUN]


def _given_run(config: pytest.Config) -> str:
    given = config.getoption("coverage_hooks_run") or config.getini("coverage_hooks_run")
    return str(given or Settings.from_environment().run)


def _new_run() -> str:
    return f"pytest-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(4).hex()}"


def _testing() -> ModuleType:
    try:
        # By name, not at the top, for the reason that the docstring above gives.
        return importlib.import_module("coverage_hooks.testing.session")
    except ModuleNotFoundError as error:
        text = f"coverage-hooks needs package {error.name!r} to collect, and it is not installed: "
        raise pytest.UsageError(plain(f"{text}pip install 'coverage-hooks[collect]'")) from None
