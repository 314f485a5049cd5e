"""What a recording, a file name and an API server say, in every output: it is shown, and does nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import coverage.misc
import pytest

from coverage_hooks.collect import outputs
from coverage_hooks.collect.ledger import Ledger
from coverage_hooks.collect.pods import watchlog
from coverage_hooks.errors import SourceError
from coverage_hooks.testing.outcome import Outcome
from tests.unit.collect.building import Project, pod, record
from tests.unit.collect.conftest import Run

#: Escape codes, a tag that ends a script, Markdown's and rich's markup, text direction, half a letter, and lines.
EVIL = (
    "\x1b[31mred\x9b1m\x07 [bold]x[/bold] --></script><img src=x onerror=alert(1)> | `a` [b](c) \u202e\u2066\ud800 "
    "\u2028\r\n# title\nLOSS  forged\n| a | b |"
)

#: As much of it as the name of a module can have.
EVIL_NAME = "shop/a\x1b[31m<script><img src>|`b`[c]\u202e\u2066.py"

SOURCE = "x = '</script><img src=x>'  # \u202e\u2066\n"


@pytest.fixture
def output(run: Run, volume: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output folder of a collect in which everything that can be said is hostile; its terminal is `terminal`."""

    def refuse(*_: object) -> None:
        raise SourceError(EVIL)

    monkeypatch.setattr(watchlog.Written, "testify", refuse)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.root / "step.md"))
    project.write({EVIL_NAME: SOURCE})
    lost = f"{EVIL[:80]}.py"
    record(
        volume, run=EVIL, problems=[EVIL], pod=pod(EVIL), revision=EVIL, measured={EVIL_NAME: {1}, lost: {1}},
        sources={EVIL_NAME: SOURCE, lost: "y = 1\n"},
    )  # fmt: skip
    record(volume, host="announced", run=EVIL, problems=[EVIL], measured={}, pod=pod(EVIL))
    result = run("collect", "--xml-per-world", "--expect", "3")
    assert result.exit_code == 1, result.output
    folder = project.root / "build/coverage"
    (folder / "terminal").write_text(result.output)
    return folder


def lines(text: str) -> list[str]:
    """Return the lines of *text*, each of which is printable and none of which is forged."""
    found = text.split("\n")
    assert all(line.isprintable() for line in found), [line for line in found if not line.isprintable()]
    assert not [line for line in found if line.startswith(("LOSS  forged", "# title", "| a |"))]
    return found


def check_terminal(output: Path) -> None:
    said = (output / "terminal").read_text()
    assert "\\x1b[31mred\\x9b1m\\x07 [bold]x[/bold]" in "\n".join(lines(said))


def check_markdown(output: Path) -> None:
    for path in (output / outputs.SUMMARY_MARKDOWN, output.parents[1] / "step.md"):
        rows: list[int] = []
        for line in lines(path.read_text()):
            bare = re.sub(r"\\.", "", line)
            assert not re.search("[<>`\\[\\]]", bare), line
            if not line.startswith("|"):
                rows.clear()
                continue
            rows.append(bare.count("|"))
            assert set(rows) == {rows[0]}, line


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not [name for name, _ in attrs if name == "onerror"]


def _tags(page: str) -> list[str]:
    tags = _Tags()
    tags.feed(page)
    return tags.found


def check_page(output: Path) -> None:
    page = (output / outputs.WORLDS).read_text()
    assert not set(page) & set("\x1b\x07\x9b\u202e\u2066\u2028\ud800")
    tags = _tags(page)
    assert "img" not in tags
    assert tags.count("script") == 2  # its own, and what that reads


def check_coverages_pages(output: Path) -> None:
    for path in (output / outputs.HTML).glob("*.html"):
        assert not re.search("<img src(=x)?>", path.read_text())


def check_json(output: Path) -> None:
    for name in (outputs.SUMMARY_JSON, outputs.LEDGER):
        text = (output / name).read_text(encoding="ascii")
        lines(text)
        assert json.loads(text)["run"] == EVIL


def check_xml(output: Path) -> None:
    for name in (outputs.XML, *(set(outputs.XML_OF.values()) - {"unit.xml"})):
        names = [each.get("filename", "") for each in ET.fromstring((output / name).read_text()).iter("class")]
        assert [each for each in names if "<img src>" in each]


def check_lcov(output: Path) -> None:
    text = (output / outputs.LCOV).read_text()
    assert all(re.match(r"(TN|SF|DA|LF|LH|FN\w*|BR\w*|end_of_record)\b", line) for line in text.split("\n") if line)


def check_pytest(output: Path) -> None:
    done = Outcome(output=output, ledger=Ledger.load(output), losses=[EVIL], hints=[EVIL])
    lines(done.text(width=0, color=False))
    lines(re.sub(r"\x1b\[[0-9;]*m", "", done.text(width=100, color=True)))


CHECKS: dict[str, Callable[[Path], None]] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}


if not hasattr(coverage.misc, "neutralize_control"):  # what such a coverage.py writes by itself, it writes raw
    del CHECKS["xml"], CHECKS["lcov"]


@pytest.mark.parametrize("where", CHECKS)
def test_a_hostile_text_is_a_text(output: Path, where: str) -> None:
    CHECKS[where](output)


@pytest.mark.usefixtures("output")
def test_it_is_one_to_whoever_looks_at_the_volume(run: Run) -> None:
    for said in _looks(run):
        lines(said)


def _looks(run: Run) -> Iterator[str]:
    yield run("status").output
    yield run("doctor").output
    yield run("retrieve").output
    typed = EVIL.replace("\ud800", "")  # which no command can be given
    yield run("collect", "--allow-missing", typed, "--allow-mismatch", typed).output
    yield run("prune", "--all", "--yes").output
