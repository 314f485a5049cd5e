"""The page as a person meets it: seen, typed at, narrowed, in the dark, and with evil in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from coverage_hooks.collect.ledger import Ledger, Row
from coverage_hooks.collect.reporting import page
from coverage_hooks.collect.reporting.analysis import Report, World
from coverage_hooks.collect.reporting.page.data import LETTERS
from coverage_hooks.collect.reporting.worlds import KINDS, Compared, Split
from coverage_hooks.shown import plain
from tests.browser import chromium
from tests.browser.chromium import BrowserMissingError, Tab
from tests.browser.conftest import EVIL_NAME, Collected
from tests.browser.pictures import terminal

FOCUSED = "document.activeElement.textContent"
SHOWN = "[...document.querySelectorAll('#files td.name')].map(each => each.textContent)"
UNCOVERED = "Number(document.activeElement.id.slice(1))"
OPENED = "document.getElementById('file').hidden ? '' : document.getElementById('name').textContent"

#: Tries three things that the page's policy forbids, and returns the rules that forbade them.
ASKING = """new Promise((done) => {
  const found = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    found.push(event.effectiveDirective);
    if (found.length === 3) done(found.sort());
  });
  document.body.append(Object.assign(document.createElement("img"), {src: "%(place)sx.png"}));
  document.body.append(Object.assign(document.createElement("script"), {textContent: "window.evil = 1"}));
  fetch("%(place)s").catch(() => 0);
})"""

#: The least contrast of any text that can be seen, with what is least readable.
CONTRAST = """(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parse(color).map((each) => each / 255).map(
      (each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (parse(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  let worst = [99, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (!text.textContent.trim() || !element.checkVisibility() || element.closest("script, noscript, .aside")) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < worst[0]) worst = [contrast, `${element.tagName}.${element.className}: ${text.textContent}`];
  }
  return worst;
})()"""


def address(collected: Collected, name: str) -> str:
    return f"{collected.page}#file={quote(plain(name))}"


async def set_value(tab: Tab, name: str, value: str, event: str) -> None:
    field = f"document.getElementById({json.dumps(name)})"
    await tab.evaluate(f"{field}.value = {json.dumps(value)}, {field}.dispatchEvent(new Event({json.dumps(event)}))")


async def type_text(tab: Tab, text: str) -> None:
    await tab.press(*text)


async def test_it_asks_for_nothing_and_complains_of_nothing(tab: Tab, collected: Collected) -> None:
    for name in collected.summary["files"]:
        await tab.open(collected.page, f"#file={quote(plain(name))}")
        assert await tab.evaluate(OPENED) == plain(name)
    assert set(tab.requests) <= {"about:blank", collected.page}
    assert tab.complaints == []


async def test_it_could_not_ask_if_it_wanted_to(blank: Tab, collected: Collected) -> None:
    await blank.open(collected.page)
    met: list[str] = []
    async with await asyncio.start_server(lambda *_: met.append("somebody came"), "127.0.0.1", 0) as server:
        place = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        refused = await blank.evaluate(ASKING % {"place": place})
    complaints = list(blank.complaints)
    blank.complaints.clear()  # wanted, here
    assert refused == ["connect-src", "img-src", "script-src-elem"]
    assert len(complaints) >= 3
    assert await blank.evaluate("window.evil") is None
    assert met == []


async def test_numbers_are_those_of_the_summary(tab: Tab, collected: Collected) -> None:
    summary = collected.summary
    legend = await tab.evaluate(
        "[...document.querySelectorAll('#overview .legend li')]"
        ".map(e => [e.className, Number(e.querySelector('b').textContent)])"
    )
    assert dict(legend) == summary["worlds"]["lines"]
    assert min(dict(legend).values()) > 0
    bar = await tab.evaluate(
        "[...document.querySelectorAll('#bar i')].map(e => [e.className, Number(e.style.flexGrow)])"
    )
    assert {**dict(bar), "excluded": summary["excluded_lines"]} == summary["worlds"]["lines"]
    rows = await tab.evaluate(
        "[...document.querySelectorAll('#files tbody tr')].map(r => [r.cells[0].textContent, "
        "[...r.cells].slice(5).map(c => Number(c.textContent))])"
    )
    expected = {
        plain(name): [file["worlds"]["lines"][kind] for kind in (*KINDS, "excluded")]
        for name, file in summary["files"].items()
    }
    assert dict(rows) == expected
    for name, counts in expected.items():
        await tab.open(collected.page, f"#file={quote(name)}")
        letters = await tab.evaluate(
            "[...document.querySelectorAll('.code .k span:first-child')].map(e => e.textContent)"
        )
        assert [letters.count(letter) for letter in (*LETTERS.values(), "x")] == counts


async def test_a_missed_threshold_is_seen_at_once_and_leads_to_its_reason(tab: Tab, collected: Collected) -> None:
    state = "document.querySelector('header .state')"
    assert await tab.evaluate(f"{state}.textContent") == "✗ 1 loss, and 1 missed threshold"
    await tab.evaluate(f"{state}.click()")
    said = "[...document.querySelectorAll('#losses li')].filter(e => e.checkVisibility()).map(e => e.innerText)"
    (reason,) = [loss["reason"] for loss in collected.summary["losses"] if loss["kind"] == "threshold"]
    assert "is under the 100 % of --fail-under by" in reason
    assert reason in [text.strip() for text in await tab.evaluate(said)]


async def test_letters_and_words_say_what_colours_say(tab: Tab, collected: Collected) -> None:
    await tab.open(address(collected, "shop/cart.py"))
    words = await tab.evaluate("[...document.querySelectorAll('.code .k')].map(e => e.textContent)")
    assert words[:4] == ["Bboth", "Bboth", "Ccluster only", "Bboth"]
    bars = await tab.evaluate(
        "[...document.querySelectorAll('.stack [role=img]')].map(e => e.getAttribute('aria-label'))"
    )
    assert "1 unit only, 1 cluster only, 4 both, 0 neither, 0 excluded" in bars
    shown = await tab.evaluate("document.querySelector('#L2 .p').textContent")
    assert shown == "branches unit 1/2 · cluster 1/2 · together 2/2"
    unnamed = await tab.evaluate(
        "[...document.querySelectorAll('button, input, select, a')]"
        ".filter(e => !(e.textContent.trim() || e.ariaLabel)).map(e => e.outerHTML)"
    )
    assert unnamed == []


async def test_files_are_filtered_by_name_and_world(tab: Tab, collected: Collected) -> None:
    every = await tab.evaluate(SHOWN)
    assert every == sorted(map(plain, collected.summary["files"]))
    await tab.press("/")
    assert await tab.evaluate("document.activeElement.id") == "filter"
    await type_text(tab, "CART sho")
    assert await tab.evaluate(SHOWN) == ["shop/cart.py"]
    assert await tab.evaluate("document.getElementById('shown').textContent") == f"1 of {len(every)}"
    await type_text(tab, "zz?/jn")  # letters, while one types
    assert await tab.evaluate("document.getElementById('help').open") is False
    assert await tab.evaluate(SHOWN) == []
    assert "No file" in await tab.evaluate("document.getElementById('files').textContent")
    await set_value(tab, "filter", "", "input")
    await set_value(tab, "having", "1", "change")
    cluster = {name for name, file in collected.summary["files"].items() if file["worlds"]["lines"]["cluster_only"]}
    assert set(await tab.evaluate(SHOWN)) == set(map(plain, cluster))


async def test_files_are_sorted(tab: Tab, collected: Collected) -> None:
    await set_value(tab, "sort", "3", "change")
    assert (await tab.evaluate(SHOWN))[0] == "shop/gaps.py"
    assert await tab.evaluate("document.querySelector('th[aria-sort]').ariaSort") == "descending"
    await set_value(tab, "sort", "combined", "change")
    percents = {plain(name): file["combined"]["percent"] for name, file in collected.summary["files"].items()}
    shown = await tab.evaluate(SHOWN)
    assert [percents[name] for name in shown] == sorted(percents.values())
    await tab.evaluate("document.querySelector('th button[data-key=name]').click()")
    await tab.evaluate("document.querySelector('th button[data-key=name]').click()")
    assert await tab.evaluate(SHOWN) == sorted(shown, reverse=True)


async def test_everything_can_be_done_with_keys(tab: Tab) -> None:
    names = await tab.evaluate(SHOWN)
    await tab.press("j", "j", "j", "k")
    assert await tab.evaluate(FOCUSED) == names[1]
    await tab.press("ArrowDown", "ArrowDown", "ArrowUp")
    assert await tab.evaluate(FOCUSED) == names[2]
    assert "solid" in await tab.evaluate("getComputedStyle(document.activeElement).outline")
    place = names.index("shop/gaps.py")
    await tab.press(*"j" * (place - 2), "Enter")
    assert await tab.evaluate(OPENED) == "shop/gaps.py"
    await tab.press("n")
    first = await tab.evaluate(UNCOVERED)
    assert await tab.evaluate("document.activeElement.className") == "M"
    await tab.press("n", "n")
    third = await tab.evaluate(UNCOVERED)
    assert third > first
    assert "solid" in await tab.evaluate("getComputedStyle(document.activeElement).outline")
    seen = await tab.evaluate("document.activeElement.getBoundingClientRect().top")
    assert 0 < seen < 860
    await tab.press("p", "p")
    assert await tab.evaluate(UNCOVERED) == first
    assert await tab.evaluate("document.getElementById('position').textContent") == "uncovered 1 of 39"
    await tab.press("j")
    assert await tab.evaluate(OPENED) == names[place + 1]
    await tab.press("k", "Escape")
    assert await tab.evaluate(OPENED) == ""
    assert await tab.evaluate(FOCUSED) == "shop/gaps.py"
    await tab.press("?")
    assert await tab.evaluate("document.getElementById('help').open") is True
    await tab.press("Escape")
    assert await tab.evaluate("document.getElementById('help').open") is False


async def test_an_address_opens_a_file_at_a_line(tab: Tab, collected: Collected) -> None:
    await tab.open(address(collected, "shop/gaps.py") + "&line=50")
    assert await tab.evaluate(UNCOVERED) == 50
    for nonsense in ("#file=absent.py", "#file=%E0%A4%A", "#line=3", "#"):
        await tab.open(collected.page, nonsense)
        assert await tab.evaluate(OPENED) == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_is_readable(tab: Tab, collected: Collected, scheme: str) -> None:
    await tab.prefer(scheme)
    background = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(background[4:].partition(",")[0]) < 128) == (scheme == "dark")
    for fragment in ("", *(f"#file={quote(plain(name))}" for name in collected.summary["files"])):
        await tab.open(collected.page, fragment)
        worst, where = await tab.evaluate(CONTRAST)
        assert worst >= 4.5, where
    await tab.open(collected.page)
    await tab.press("?")
    worst, where = await tab.evaluate(CONTRAST)
    assert worst >= 4.5, where


async def test_a_narrow_screen_needs_no_sideways_scrolling(tab: Tab, collected: Collected) -> None:
    await tab.resize(360, 740, mobile=True)
    for fragment in ("", *(f"#file={quote(plain(name))}" for name in collected.summary["files"])):
        await tab.open(collected.page, fragment)
        assert await tab.evaluate("document.documentElement.scrollWidth") == 360, fragment
        assert await tab.evaluate("window.innerWidth") == 360
        beyond = await tab.evaluate(
            "[...document.querySelectorAll('main:not([hidden]) *')].filter(e => e.checkVisibility() && "
            "!e.closest('.aside, .word') && e.getBoundingClientRect().right > 361).map(e => e.outerHTML.slice(0, 80))"
        )
        assert beyond == []


def crowded(tmp_path: Path, *, rows: int) -> str:
    """Return the address of a page with so many processes of long names: every second one killed, the last missing."""
    name = "my-operator-controller-manager-7d9c6b5f4d"
    made = [
        Row(
            recording=f"{name}-{number:05d}-20260131T235959Z-{number:08x}" if number + 1 < rows else "",
            pod=f"production/{name}-{number:05d}",
            state="killed" if number % 2 else "finished",
            mode="immediate",
            files=120,
            lines=12_000 + number,
            lost_seconds=1.1,
            ending="killed, out of memory (OOMKilled)",
            note="lost is what ran in its last 1.1 s at most",
        )
        for number in range(rows)
    ]
    ledger = Ledger(run="crowded", rows=made)
    for row in made[1::2]:
        ledger.lose("retrieve", row, row.note)
    source = tmp_path / "source.py"
    source.write_text("x = 1\n")
    world = World(lines=100, branches=None, percent=100)
    worlds: dict[str, World | None] = {"unit": world, "cluster": world, "combined": world}
    one = Compared(lines=Split.of({1}, {1}, {1}), branches=None, excluded=[])
    report = Report(
        totals=worlds, files={"one.py": worlds}, compared={"one.py": one}, paths={"one.py": source}, omitted={},
        excluded_lines=0,
    )  # fmt: skip
    (tmp_path / "crowded.html").write_text(page.render(ledger, report))
    return (tmp_path / "crowded.html").as_uri()


@pytest.mark.parametrize("width", [390, 1024, 1280])
async def test_states_and_numbers_of_the_ledger_are_read_whole(blank: Tab, tmp_path: Path, width: int) -> None:
    await blank.resize(width, 860, mobile=width == 390)
    await blank.open(crowded(tmp_path, rows=6))
    assert await blank.evaluate("document.documentElement.scrollWidth") == width
    broken = await blank.evaluate(
        "[...document.querySelectorAll('td[data-title=state], td[data-title=journal], td[data-title=files], "
        "td[data-title=lines], "
        "td[data-title=lost]')].filter((cell) => { const text = document.createRange(); "
        "text.selectNodeContents(cell); const tops = [...text.getClientRects()].map((part) => part.top); "
        "return Math.max(...tops) - Math.min(...tops) > 8; }).map((cell) => cell.textContent)"
    )
    assert broken == []
    assert "5 recordings, 1 missing" in await blank.evaluate("document.getElementById('overview').textContent")


async def test_many_losses_are_a_line_until_they_are_asked_for(blank: Tab, tmp_path: Path) -> None:
    await blank.open(crowded(tmp_path, rows=300))
    is_open = "document.querySelector('#losses details').open"
    assert await blank.evaluate(is_open) is False
    assert await blank.evaluate("document.getElementById('files').getBoundingClientRect().top") < 860
    assert "150" in await blank.evaluate("document.querySelector('#losses summary').textContent")
    await blank.evaluate("document.querySelector('a.state').focus()")
    await blank.press("Enter")
    assert await blank.evaluate(is_open) is True
    await blank.open(crowded(tmp_path, rows=4))
    assert await blank.evaluate(is_open) is True


def test_the_picture_of_a_terminal_asks_nobody_for_anything() -> None:
    files = "".join(f"shop/{number}.py  10.0 %  1\r\n" for number in range(40))
    printed = f"2 recordings\r\nfile  unit  cluster only\r\n{files}all lines  10.0 %\r\n\x1b[1;31mLOSS  it\x1b[0m\r\n"
    drawing = terminal(printed).replace("&#160;", " ")
    assert "… and 34 more" in drawing
    assert "shop/5.py" in drawing
    assert "shop/6.py" not in drawing
    assert "LOSS  it" in drawing
    assert "url(http" not in drawing
    assert "@font-face" not in drawing


async def test_evil_texts_are_texts(tab: Tab, collected: Collected) -> None:
    ledger = await tab.evaluate("document.getElementById('overview').textContent")
    assert "<img src=x onerror=alert(2)>" in ledger
    assert "✗ 1 loss" in ledger
    await tab.open(address(collected, EVIL_NAME))
    assert await tab.evaluate(OPENED) == plain(EVIL_NAME)
    source = await tab.evaluate("document.querySelector('#L1 .c span').textContent")
    assert source == "x = 1  # </script><script>alert(1)</script> \\u202e <b>bold</b>"
    assert await tab.evaluate("document.querySelectorAll('img, b:has(b), script').length") == 2
    assert tab.complaints == []


def with_files(folder: Path, count: int) -> Path:
    """Return a page of so many files, which are alike."""
    source = folder / "source.py"
    source.write_text("".join(f"    some_name_{n} = another_name_{n} + {n}\n" for n in range(100)))
    lines = Split.of(range(1, 101), set(range(1, 50)), set(range(30, 90)))
    names = [f"operator/package_{n // 50}/module_{n}.py" for n in range(count)]
    world = World(lines=89, branches=None, percent=89)
    worlds: dict[str, World | None] = {"unit": world, "cluster": world, "combined": world}
    report = Report(
        totals=worlds,
        files=dict.fromkeys(names, worlds),
        compared={name: Compared(lines=lines, branches=None, excluded=[]) for name in names},
        paths=dict.fromkeys(names, source),
        omitted={},
        excluded_lines=0,
    )
    made = folder / f"{count}.html"
    made.write_text(page.render(Ledger(run="large"), report))
    return made


async def test_ten_times_as_many_files_are_not_much_more_work_than_that(blank: Tab, tmp_path: Path) -> None:
    few, many = (with_files(tmp_path, count) for count in (200, 2000))
    assert many.stat().st_size < 16_000_000

    async def loaded(opened: Path, count: int) -> float:
        """Open a page, and return how long it took from then on to have all of it."""
        await blank.open(opened.as_uri())
        assert await blank.evaluate("document.querySelectorAll('#files tbody tr').length") == count
        return float(await blank.evaluate("performance.getEntriesByType('navigation')[0].duration"))

    both = [(await loaded(few, 200), await loaded(many, 2000)) for _ in range(3)]  # in turn
    one, other = (min(each) for each in zip(*both, strict=True))
    assert other < 30 * one


def test_without_a_browser_the_way_to_get_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrowserMissingError, match="make browser-deps"), chromium.running(tmp_path / "profile"):
        pass


def test_the_browser_leaves_no_process(tmp_path: Path) -> None:
    def left() -> list[Any]:
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.exists()]
        return [command for command in commands if str(tmp_path).encode() in command]

    with chromium.running(tmp_path / "profile"):
        assert left()
    assert left() == []
