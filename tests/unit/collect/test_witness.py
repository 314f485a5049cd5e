"""A witness misses nothing that the server still tells, and writes down what it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from coverage_hooks.collect.cluster import watch as witnessing
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.watch import ask, watching, witness
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.collect.pods.objects import Pod, keep_pod
from coverage_hooks.collect.pods.watchlog import KINDS, Gap, Header, Notebook
from coverage_hooks.errors import SourceError, UsageError
from coverage_hooks.volume.manifest import parse_timestamp
from tests.cluster import WITHIN, eventually
from tests.unit.collect.api_server import ApiServer, api_server, refuse


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watches that end soon, on a server that may be as slow as this machine."""
    monkeypatch.setattr(witnessing, "WINDOW", 0.3)
    monkeypatch.setattr(witnessing, "LAST_WINDOW", 0.1)
    monkeypatch.setattr(witnessing, "REQUEST_TIMEOUT", WITHIN)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as (running, _):
        yield running


@pytest.fixture
def target(server: ApiServer, tmp_path: Path) -> Target:
    return Target(namespace="shop", kubeconfig=tmp_path / "kubeconfig")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "build" / watchlog.NAME


def told(testimony: watchlog.Testimony | None) -> list[str]:
    """Return what *testimony* tells, as one word for each thing."""
    assert testimony is not None
    words = []
    for entry in testimony.entries:
        if isinstance(entry, Gap):
            words.append(f"gap {entry.kind}")
        elif isinstance(entry.what, Pod):
            words.append(f"{entry.change} {entry.what.name} {entry.what.phase}".strip())
        else:
            words.append(f"{entry.change} {entry.what.reason} {entry.what.name}")
    return words


def content_of(path: Path) -> str:
    return path.read_text()


def write(path: Path, content: str) -> None:
    path.write_text(content)


async def until(testimony: watchlog.Testimony, word: str) -> None:
    async def said() -> bool:
        return word in told(testimony)

    await eventually(said, word, details=lambda: str(told(testimony)))


async def confirmed(testimony: watchlog.Testimony) -> None:
    """Wait until pods have been confirmed once more."""
    before = testimony.confirmed["pods"]

    async def later() -> bool:
        return testimony.confirmed["pods"] > before

    await eventually(later, "it is confirmed again")


async def test_what_is_there_is_known_when_watching_begins_and_all_that_follows_is_told(
    server: ApiServer, target: Target, path: Path
) -> None:
    server.put("old", phase="Running")
    async with witness(target, path) as testimony:
        assert told(testimony) == ["LISTED old Running"]
        server.put("new", phase="Pending")
        server.put("new", phase="Running")
        server.happen("Killing", "new")
        server.happen("Pulled", "new")  # which says nothing of an ending
        server.delete("new")
        await until(testimony, "DELETED new Running")
    assert [word for word in told(watchlog.read(path)) if "Killing" not in word] == [
        "LISTED old Running", "ADDED new Pending", "MODIFIED new Running", "DELETED new Running",
    ]  # fmt: skip
    assert "ADDED Killing new" in told(testimony)
    assert testimony.stopped == ""
    assert testimony.header.namespace_uid == "uid-of-shop"
    assert all(query["allowWatchBookmarks"] == "True" for query in server.watches())


async def test_what_happened_just_before_it_stopped_is_told(server: ApiServer, target: Target, path: Path) -> None:
    async with witness(target, path):
        server.put("short")
        server.delete("short")
    assert told(watchlog.read(path)) == ["ADDED short", "DELETED short"]


async def test_a_broken_connection_costs_nothing(server: ApiServer, target: Target, path: Path) -> None:
    async with witness(target, path) as testimony:
        server.put("one")
        await until(testimony, "ADDED one")
        server.faults["pods"] += [refuse(503), refuse(500), refuse(429)]
        server.cut()
        server.put("two")
        server.delete("two")
        await until(testimony, "DELETED two")
    assert told(testimony) == ["ADDED one", "ADDED two", "DELETED two"]
    assert server.lists() == 1


class Pauses:
    """asyncio, as the witness has it, whose pauses are over at once and written down."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)


async def test_a_server_that_cannot_answer_is_asked_less_and_less_often(
    server: ApiServer, target: Target, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = Pauses()
    monkeypatch.setattr(witnessing, "asyncio", pauses)

    async def all_failed() -> bool:
        return not server.faults["pods"]

    async with witness(target, path) as testimony:
        for failures in (7, 1):  # the second time it begins anew
            server.faults["pods"] += [refuse(503)] * failures
            await eventually(all_failed, "each failure was met")
            await confirmed(testimony)
    assert pauses.asked == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 0.2]


async def test_a_connection_that_says_nothing_any_more_is_given_up(
    server: ApiServer, target: Target, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with witness(target, path) as testimony:
        monkeypatch.setattr(witnessing, "REQUEST_TIMEOUT", 1.0)
        server.deaf = True
        server.put("one")
        await asyncio.sleep(0)  # the watch is let go on, and tells nothing
        watches = len(server.watches())

        async def again() -> bool:
            return len(server.watches()) > watches + 1

        await eventually(again, "it watches again")
        monkeypatch.setattr(witnessing, "REQUEST_TIMEOUT", WITHIN)
        server.deaf = False
        await until(testimony, "ADDED one")
    assert told(testimony) == ["ADDED one"]


@pytest.mark.parametrize("by_status", [True, False])
async def test_history_that_was_thrown_away_is_a_gap(
    server: ApiServer, target: Target, path: Path, *, by_status: bool
) -> None:
    server.put("stays")
    server.put("goes")
    async with witness(target, path) as testimony:
        before = testimony.confirmed["pods"]
        server.faults["pods"] += [refuse(503)] * 2 + ([refuse(410, "too old")] if by_status else [])
        server.cut()
        server.delete("goes")
        server.put("came")
        server.forget()
        await until(testimony, "LISTED came")
        server.put("later")
        await until(testimony, "ADDED later")
    gap = testimony.gaps("pods")[0]
    assert "too old" in gap.reason
    assert before <= gap.since <= gap.until
    assert [word for word in told(testimony) if "events" not in word] == [
        "LISTED stays", "LISTED goes", "gap pods", "GONE goes", "LISTED stays", "LISTED came", "ADDED later",
    ]  # fmt: skip
    assert told(watchlog.read(path)) == told(testimony)


async def test_a_version_that_the_server_does_not_know_yet_is_a_gap(
    server: ApiServer, target: Target, path: Path
) -> None:
    async with witness(target, path) as testimony:
        server.faults["pods"].append(refuse(504, "Too large resource version: 17, current: 3"))
        await until(testimony, "gap pods")
    assert server.lists() == 2


async def test_a_server_that_was_restored_has_another_history(server: ApiServer, target: Target, path: Path) -> None:
    """It does not refuse a version that it has not reached; it tells nothing, which must not pass for a word."""
    server.put("goes")
    server.put("stays")
    async with witness(target, path) as testimony:
        server.delete("goes")
        await until(testimony, "DELETED goes")
        server.version -= 2
        server.history.clear()
        server.cut()
        await until(testimony, "gap pods")
    assert "its history was replaced" in testimony.gaps("pods")[0].reason


async def test_a_line_of_any_length_is_read(server: ApiServer, target: Target, path: Path) -> None:
    async with witness(target, path) as testimony:
        server.put("big", phase="Running", message="x" * 1_000_000)
        await until(testimony, "ADDED big Running")
    assert testimony.gaps("pods") == []


async def test_an_idle_watch_is_confirmed_and_moves_on(server: ApiServer, target: Target, path: Path) -> None:
    async with witness(target, path) as testimony:
        server.happen("Pulled", "other")  # moves the version of the server, and is no pod's
        await confirmed(testimony)
        await confirmed(testimony)
    assert testimony.versions["pods"] == str(server.version)
    assert testimony.entries == []


class TestRights:
    async def test_pods_must_be_watched(self, server: ApiServer, target: Target, path: Path) -> None:
        server.faults["pods"] += [refuse(403, 'User "x" cannot list resource "pods"')] * 9
        with pytest.raises(SourceError, match=r"cannot watch pods in namespace 'shop'.*403.*coverage-hooks role"):
            async with witness(target, path):
                pass

    async def test_without_events_it_watches_all_the_same(self, server: ApiServer, target: Target, path: Path) -> None:
        server.faults["events"] += [refuse(403, 'User "x" cannot list resource "events"')] * 9
        async with witness(target, path) as testimony:
            server.put("one")
            await until(testimony, "ADDED one")
        assert "cannot watch events" in testimony.gaps("events")[0].reason
        assert server.watches("events") == []

    async def test_no_server_is_an_unreachable_source(self, tmp_path: Path, path: Path) -> None:
        async with api_server(tmp_path) as (_, target):
            pass
        with pytest.raises(SourceError, match="cannot be reached"):
            async with witness(target, path):
                pass


class TestGoingOn:
    """A file that a witness left is gone on from, and nothing is lost in between."""

    async def watch(self, server: ApiServer, target: Target, path: Path) -> None:
        async with witness(target, path):
            server.put("one")

    async def test_what_happened_since_is_told_to_whoever_asks(
        self, server: ApiServer, target: Target, path: Path
    ) -> None:
        await self.watch(server, target, path)
        server.delete("one")
        testimony = await ask(target, path)
        assert told(testimony) == ["ADDED one", "DELETED one"]
        assert not testimony.asked
        assert told(watchlog.read(path)) == told(testimony)

    async def test_too_late_is_a_gap(self, server: ApiServer, target: Target, path: Path) -> None:
        await self.watch(server, target, path)
        server.delete("one")
        server.forget()
        testimony = await ask(target, path)
        assert [word for word in told(testimony) if word != "gap events"] == ["ADDED one", "gap pods", "GONE one"]

    async def test_a_watch_that_ends_early_is_no_word_that_nothing_happened(
        self, server: ApiServer, target: Target, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.watch(server, target, path)
        server.delete("one")
        monkeypatch.setattr(witnessing, "LAST_WINDOW", WITHIN)  # of which any answer that comes is early
        for faults in server.faults.values():
            faults += [lambda _: None, lambda _: web.Response()]  # it is recognised, and then shuts down
        testimony = await ask(target, path)
        assert told(testimony) == ["ADDED one"]
        assert testimony.stopped == "; ".join(f"{kind}: the API server ended the watch early" for kind in KINDS)

    async def test_a_torn_line_is_told_again(self, server: ApiServer, target: Target, path: Path) -> None:
        async with witness(target, path) as testimony:
            server.put("one")
            await until(testimony, "ADDED one")
            content = content_of(path)
        write(path, content[: content.index('"ADDED"') + 20])  # as a kill leaves it
        server.delete("one")
        assert told(watchlog.read(path)) == []
        assert told(await ask(target, path)) == ["ADDED one", "DELETED one"]
        again = watchlog.read(path)
        assert told(again) == ["ADDED one", "DELETED one"]

    async def test_another_witness_goes_on(self, server: ApiServer, target: Target, path: Path) -> None:
        await self.watch(server, target, path)
        server.delete("one")
        async with witness(target, path, resume=True) as testimony:
            assert told(testimony) == ["ADDED one", "DELETED one"]
            server.put("two")
        assert told(watchlog.read(path)) == ["ADDED one", "DELETED one", "ADDED two"]

    async def test_a_new_one_begins_anew(self, server: ApiServer, target: Target, path: Path) -> None:
        await self.watch(server, target, path)
        async with witness(target, path):
            pass
        assert told(watchlog.read(path)) == ["LISTED one"]

    async def test_another_namespace_is_not_gone_on_from(self, server: ApiServer, target: Target, path: Path) -> None:
        await self.watch(server, target, path)
        lines = content_of(path).splitlines()
        write(path, "\n".join([json.dumps({**json.loads(lines[0]), "namespace_uid": "older"}), *lines[1:], ""]))
        testimony = await ask(target, path)
        assert testimony.asked
        assert told(testimony) == ["LISTED one"]

    async def test_who_asks_while_another_watches_leaves_its_file_alone(
        self, server: ApiServer, target: Target, path: Path
    ) -> None:
        async with witness(target, path) as testimony:
            server.put("one")
            asked = await ask(target, path)
            assert told(asked) == ["ADDED one"]
            await confirmed(testimony)
        assert content_of(path).count("ADDED") == 1

    async def test_two_witnesses_do_not_write_one_file(self, target: Target, path: Path) -> None:
        async with witness(target, path):
            with pytest.raises(UsageError, match="being written by another witness"):
                async with witness(target, path):
                    pass


class TestAsking:
    async def test_without_a_witness_only_what_is_there_is_known(self, server: ApiServer, target: Target) -> None:
        server.put("one")
        server.put("gone")
        server.delete("gone")
        server.happen("Killing", "gone")
        testimony = await ask(target)
        assert sorted(told(testimony)) == ["LISTED Killing gone", "LISTED one"]
        assert testimony.asked

    async def test_refusal_is_named(self, server: ApiServer, target: Target) -> None:
        server.faults["pods"] += [refuse(403, 'User "x" cannot list resource "pods"')] * 9
        with pytest.raises(SourceError, match="cannot watch pods"):
            await ask(target)


class TestInAThread:
    async def test_it_watches_while_other_code_runs(self, server: ApiServer, target: Target, path: Path) -> None:
        def work() -> watchlog.Testimony:
            with watching(target, path) as testimony:
                assert told(testimony) == ["LISTED old"]
                asyncio.run_coroutine_threadsafe(self.change(server), loop).result(WITHIN)
            return testimony

        loop = asyncio.get_running_loop()
        server.put("old")
        assert told(await asyncio.to_thread(work)) == ["LISTED old", "ADDED new"]

    async def change(self, server: ApiServer) -> None:
        server.put("new")

    async def test_what_makes_it_impossible_is_raised(self, server: ApiServer, target: Target, path: Path) -> None:
        def work() -> None:
            with watching(target, path):
                raise AssertionError("not reached")

        server.faults["pods"] += [refuse(403, "no")] * 9
        with pytest.raises(SourceError):
            await asyncio.to_thread(work)

    async def test_an_error_in_the_block_stays_what_it_is(self, target: Target, path: Path) -> None:
        with pytest.raises(LookupError):
            async with witness(target, path):
                raise LookupError
        testimony = watchlog.read(path)
        assert testimony is not None
        assert testimony.stopped == "it was interrupted"


class TestFile:
    HEADER = Header(namespace="n", server="s", namespace_uid="", started_at=parse_timestamp("2026-01-31T23:59:59.0Z"))

    @pytest.mark.parametrize("content", ["{}\n", '{"format": 2}\n', "x\n", "[]\n", '{"format": 1, "namespace": "n"}\n'])
    def test_something_else_is_refused(self, path: Path, content: str) -> None:
        path.parent.mkdir()
        path.write_text(content)
        with pytest.raises(UsageError, match="is not what a witness writes"):
            watchlog.read(path)

    @pytest.mark.parametrize("content", ["", '{"format": 1, "names'])
    def test_one_that_was_killed_at_once_says_nothing(self, path: Path, content: str) -> None:
        assert watchlog.read(path) is None
        path.parent.mkdir()
        path.write_text(content)
        assert watchlog.read(path) is None

    def test_every_line_is_on_disk_at_once(self, path: Path) -> None:
        with Notebook(path, self.HEADER) as book:
            book.add({"confirmed": "pods", "version": "1"})
            assert path.read_text().count("\n") == 2

    def test_a_secret_is_not_kept(self) -> None:
        raw = {
            "metadata": {"name": "p", "uid": "u", "annotations": {"a": "hidden"}, "labels": {"b": "hidden"}},
            "spec": {"containers": [{"name": "c", "args": ["hidden"], "env": [
                {"name": "PASSWORD", "value": "hidden"},
                {"name": "COVERAGE_HOOKS_RUN", "value": "seven"},
                {"name": "COVERAGE_HOOKS_DIR", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "k"}}},
            ]}]},
        }  # fmt: skip
        kept = keep_pod(raw)
        assert "hidden" not in json.dumps(kept)
        assert (Pod.of(kept).containers[0].run, Pod.of(kept).containers[0].directory) == ("seven", None)

    def test_waiting_ends_when_nobody_writes(self, path: Path) -> None:
        with Notebook(path, self.HEADER) as book:
            book.add({"confirmed": "pods", "version": "1"})
        far = parse_timestamp("2999-01-31T23:59:59.0Z")
        testimony = watchlog.read_settled(path, far, within=WITHIN)
        assert testimony is not None
        assert testimony.confirmed

    def test_waiting_ends_when_all_was_told(self, path: Path) -> None:
        with Notebook(path, self.HEADER) as book:
            book.add({"confirmed": "pods", "version": "1"})
            early = parse_timestamp("2026-01-31T23:59:59.0Z")
            assert watchlog.read_settled(path, early, within=WITHIN) is not None
            assert watchlog.read_settled(path, parse_timestamp("2999-01-31T23:59:59.0Z"), within=0.2) is not None
