"""The page as a document: everything is escaped, nothing is requested, and it has what the summary has."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from coverage_hooks.collect.ledger import Ledger, Loss, Note, Row
from coverage_hooks.collect.reporting import page
from coverage_hooks.collect.reporting.analysis import Report
from coverage_hooks.collect.reporting.page.data import LETTERS
from coverage_hooks.collect.reporting.worlds import KINDS
from tests.unit.collect.building import Project, pod, record
from tests.unit.collect.conftest import Run

EVIL = (
    "</script><script>alert(1)</script><!-- \"'><img src=x onerror=alert(2)> "
    "\x1b[31m\u202e\u2066\ud800 `${alert(3)}` $data"
)
#: As evil as coverage.py lets a source file's name be.
EVIL_NAME = "shop/<script>\"'`alert \x1b[31m\u202e |.py"


class Parsed(HTMLParser):
    """The elements of a page, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style", "title"}:
            self._open = tag
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open][-1] += data


def read(project: Project) -> str:
    return (project.root / "build/coverage/worlds.html").read_text()


def data_of(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Parsed(text).texts["script"][0])
    return document


def test_the_page_has_the_lines_of_the_summary(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    assert run("collect").exit_code == 0
    summary = json.loads((project.root / "build/coverage/summary.json").read_text())
    shown = {file["name"]: file for file in data_of(read(project))["files"]}
    assert set(shown) == set(summary["files"])
    for name, file in shown.items():
        lines = summary["files"][name]["worlds"]["lines"]
        assert file["counts"] == [lines[kind] for kind in (*KINDS, "excluded")]
        assert {kind: file["marks"].count(letter) for kind, letter in LETTERS.items()} == {k: lines[k] for k in KINDS}
        assert file["source"] == (project.root / name).read_text().removesuffix("\n")
        assert len(file["marks"]) == file["source"].count("\n") + 1
    assert shown["shop/cart.py"]["marks"] == "CCCC  C-"
    legend = dict(re.findall(r'<li class="(\w+)" data-count="(\d+)">', read(project)))
    assert {kind: int(count) for kind, count in legend.items()} == summary["worlds"]["lines"]


def test_partial_branches_are_at_their_line(run: Run, volume: Path, project: Project) -> None:
    project.write({".coveragerc": "[run]\nsource = shop\nbranch = True\n"})
    record(volume, measured={"shop/cart.py": {(-1, 1), (1, 7), (7, -1), (-1, 2), (2, 3), (3, 4), (4, -1)}}, branch=True)
    assert run("collect").exit_code == 0
    cart = next(file for file in data_of(read(project))["files"] if file["name"] == "shop/cart.py")
    assert cart["partial"] == {"2": [None, [1, 2], [1, 2]]}
    assert cart["branches"] == [0, 1, 0, 1]


def test_evil_names_and_sources_are_text(run: Run, volume: Path, project: Project) -> None:
    source = "x = 1  # </script><script>alert(1)</script> <!-- \u202e \x07 \u2028 \ufeff\ny = 2\x0c\r\n"
    (project.root / EVIL_NAME).write_bytes(source.encode())
    record(volume, run=EVIL, problems=[EVIL], pod=pod(EVIL), revision=EVIL)
    assert run("collect").exit_code == 0
    text = read(project)
    parsed = Parsed(text)
    assert [tag for tag, _ in parsed.elements].count("script") == 2
    assert not [tag for tag, _ in parsed.elements if tag in {"img", "iframe", "link", "object"}]
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert not set(text) & set("\x1b\x07\u202e\u2066\u2028\ufeff\ud800")
    evil = next(file for file in data_of(text)["files"] if "alert" in file["name"])
    assert evil["source"].split("\n")[0] == (
        "x = 1  # </script><script>alert(1)</script> <!-- \\u202e \\x07 \\u2028 \\ufeff"
    )
    assert html.escape("<img src=x onerror=alert(2)>") in text


def test_whatever_the_ledger_says_is_text() -> None:
    row = Row(recording=EVIL, pod=EVIL, state="damaged", note=EVIL, problems=[EVIL], forks=2)
    loss = Loss(step="verify", recording=EVIL, pod=EVIL, file=EVIL, reason=EVIL)
    ledger = Ledger(run=EVIL, rows=[row], losses=[loss], notes=[Note(step="verify", text=EVIL)], completeness=EVIL)
    report = Report(totals=dict.fromkeys(("unit", "cluster", "combined")), files={}, compared={}, paths={},
                         omitted={EVIL: EVIL}, excluded_lines=0)  # fmt: skip
    parsed = Parsed(page.render(ledger, report))
    assert [tag for tag, _ in parsed.elements].count("script") == 2
    assert "img" not in [tag for tag, _ in parsed.elements]
    assert len([a for tag, a in parsed.elements if tag == "section" and a.get("id") == "losses"]) == 1


def test_the_page_forbids_itself_every_request(run: Run, volume: Path, project: Project) -> None:
    record(volume)
    run("collect")
    text = read(project)
    parsed = Parsed(text)
    policy = next(
        attributes["content"] or ""
        for tag, attributes in parsed.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    for kind, content in (("style", parsed.texts["style"][0]), ("script", parsed.texts["script"][1])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://|@import|url\(", text)
    assert not [a for _, attributes in parsed.elements for a in attributes if a in {"src", "style"}]


def test_what_is_not_counted_is_listed(run: Run, volume: Path, project: Project) -> None:
    project.write({".coveragerc": "[run]\nsource = shop\nomit = */unused.py\n"})
    project.write({"shop/skipped.py": "def debug():  # pragma: no cover\n    return 1\n"})
    record(volume)
    result = run("collect")
    assert result.exit_code == 0
    assert "not counted  1 file, by run:omit = */unused.py: shop/unused.py" in result.output
    summary = json.loads((project.root / "build/coverage/summary.json").read_text())
    assert summary["omitted"] == {"shop/unused.py": "run:omit = */unused.py"}
    assert summary["files"]["shop/skipped.py"]["worlds"]["lines"]["excluded"] == 2
    text = read(project)
    assert '<td data-title="because of">run:omit = */unused.py</td>' in text
    assert next(f for f in data_of(text)["files"] if f["name"] == "shop/skipped.py")["marks"] == "xx"


def test_nothing_old_is_left(run: Run, volume: Path, project: Project) -> None:
    recording = record(volume)
    run("collect")
    for path in recording.path.iterdir():
        path.unlink()
    recording.path.rmdir()
    run("collect")
    assert not (project.root / "build/coverage/worlds.html").exists()


def test_sources_in_another_encoding_are_read_in_it(run: Run, volume: Path, project: Project) -> None:
    (project.root / "shop/latin.py").write_bytes("# -*- coding: latin-1 -*-\nname = 'größer'\n".encode("latin-1"))
    record(volume)
    assert run("collect").exit_code == 0
    latin = next(file for file in data_of(read(project))["files"] if file["name"] == "shop/latin.py")
    assert latin["source"].split("\n")[1] == "name = 'größer'"


def test_a_line_without_end_is_cut(run: Run, volume: Path, project: Project) -> None:
    project.write({"shop/table.py": f"TABLE = [{'1, ' * 10_000}]\nafter = 2\n"})
    record(volume)
    assert run("collect").exit_code == 0
    table = next(file for file in data_of(read(project))["files"] if file["name"] == "shop/table.py")
    assert len(table["source"].split("\n")[0]) == 2001
    assert table["marks"] == "--"
