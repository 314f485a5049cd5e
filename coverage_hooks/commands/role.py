"""``coverage-hooks role``: what an administrator has to allow, and no more."""

from __future__ import annotations

from pathlib import Path

import click

from coverage_hooks import shown
from coverage_hooks.collect.cluster import granting
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.role import Subject
from coverage_hooks.commands import options
from coverage_hooks.errors import UsageError


@click.command()
@options.in_cluster
@click.option("--service-account", metavar="[NAMESPACE:]NAME", help="Bind the Role to this service account.")
@click.option("--user", metavar="NAME", help="Bind the Role to this user.")
@click.option("--by-hand", is_flag=True, help="For who may use a reader that somebody applied, and make none.")
def role(
    *,
    namespace: str | None,
    release: str | None,
    claim: str | None,
    kubeconfig: Path | None,
    context: str | None,
    service_account: str | None,
    user: str | None,
    by_hand: bool,
) -> None:
    """Print the Role that is enough to collect from a claim, and to watch the pods of its namespace.

    The claim of a release is looked up in the cluster; with --claim, no cluster is asked.
    """
    if (release is None) == (claim is None):
        raise UsageError("say whose claim is to be read: exactly one of --release, --claim")
    if release is not None and namespace is None:
        raise UsageError(f"say where release {release!r} is: --namespace NAME")
    target = Target(namespace=namespace or "", release=release, claim=claim, kubeconfig=kubeconfig, context=context)
    shown.yaml(granting.role_for(target, _subject(service_account, user, namespace), by_hand=by_hand))


def _subject(service_account: str | None, user: str | None, namespace: str | None) -> Subject | None:
    if service_account and user:
        raise UsageError("--service-account and --user exclude each other: bind twice for both")
    if user:
        return Subject(kind="User", name=user)
    if not service_account:
        return None
    home, _, name = service_account.rpartition(":")
    if not (home or namespace):
        raise UsageError(f"say where service account {name!r} is: --service-account NAMESPACE:{name}, or --namespace")
    return Subject(kind="ServiceAccount", name=name, namespace=home or namespace or "")
