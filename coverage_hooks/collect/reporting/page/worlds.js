
"use strict";
(() => {
  const KINDS = ["unit_only", "cluster_only", "both", "neither"];
  const WORDS = ["unit only", "cluster only", "both", "neither", "excluded"];
  const LETTERS = ["U", "C", "B", "-", "x"];
  // What stands in a class attribute cannot be a dash.
  const CLASSES = { U: "U", C: "C", B: "B", "-": "M", x: "X" };
  const MEANING = { U: "unit only", C: "cluster only", B: "both", "-": "neither", x: "excluded" };
  const WORLDS = ["unit", "cluster", "combined"];
  // From left to right: what unit tests ran, what the operator ran, what nobody ran; `both` between the two.
  const ORDER = [0, 2, 1, 3];

  const files = JSON.parse(document.getElementById("data").textContent).files;
  const byName = new Map(files.map((file) => [file.name, file]));
  const at = (id) => document.getElementById(id);
  let listed = files;
  let sort = { key: "name", down: false };
  let current = null;
  let stops = [];
  let stop = -1;
  let scrolled = 0;

  // Text only ever becomes text: nothing here parses markup.
  function make(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  // Like the terminal: nothing is rounded up to everything.
  function percent(value) {
    return value === null ? "-" : (value < 100 ? Math.min(value, 99.9) : value).toFixed(1) + " %";
  }

  function bar(counts) {
    const made = make("div", "bar");
    for (const kind of ORDER) {
      if (!counts[kind]) continue;
      const part = make("i", KINDS[kind]);
      part.style.flexGrow = counts[kind];
      made.append(part);
    }
    return made;
  }

  function describe(counts) {
    return counts.map((count, kind) => `${count} ${WORDS[kind]}`).join(", ");
  }

  function legend(counts) {
    return counts.map((count, kind) => {
      const letter = make("span", "letter", LETTERS[kind]);
      letter.setAttribute("aria-hidden", "true");
      return make("li", KINDS[kind] || "excluded", letter, make("b", "", String(count)), make("span", "word", " " + WORDS[kind]));
    });
  }

  const COLUMNS = [
    ["file", "name"], ["lines", null], ["unit", "unit"], ["cluster", "cluster"], ["together", "combined"],
    ["U", 0], ["C", 1], ["B", 2], ["-", 3], ["x", 4],
  ];

  function value(file, key) {
    if (typeof key === "number") return file.counts[key];
    return file.percent[key] === null ? -1 : file.percent[key];
  }

  function compare(one, other) {
    const key = sort.key === "name" ? 0 : value(one, sort.key) - value(other, sort.key);
    const byText = one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
    return (key || (sort.key === "name" ? byText : 0)) * (sort.down ? -1 : 1) || byText;
  }

  function row(file) {
    const link = make("a", "", file.name);
    link.href = address(file);
    const stack = bar(file.counts);
    stack.setAttribute("role", "img");
    stack.setAttribute("aria-label", describe(file.counts));
    const made = make("tr", "", make("td", "name", link), make("td", "stack", stack));
    for (const world of WORLDS) made.append(make("td", world, percent(file.percent[world])));
    file.counts.forEach((count, kind) => {
      made.append(make("td", `number-of ${count ? KINDS[kind] || "" : "zero"}`, String(count)));
    });
    return made;
  }

  function heading([title, key]) {
    if (key === null) return make("th", "", title);
    const button = make("button", "", title);
    button.type = "button";
    button.dataset.key = key;
    if (typeof key === "number") button.setAttribute("aria-label", WORDS[key]);
    if (typeof key === "number") button.title = WORDS[key];
    const made = make("th", "", button);
    made.scope = "col";
    if (sort.key === key) {
      made.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      button.append(sort.down ? " ↓" : " ↑");
    }
    return made;
  }

  function list() {
    const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const having = at("having").value;
    listed = files.filter((file) => {
      const name = file.name.toLowerCase();
      return words.every((word) => name.includes(word)) && (having === "" || file.counts[Number(having)]);
    });
    listed.sort(compare);
    at("shown").textContent = listed.length === files.length ? `${files.length}` : `${listed.length} of ${files.length}`;
    if (!listed.length) {
      at("files").replaceChildren(make("p", "none quiet", "No file has such a name and such lines."));
      return;
    }
    const body = make("tbody", "");
    for (const file of listed) body.append(row(file));
    at("files").replaceChildren(
      make("table", "files", make("thead", "", make("tr", "", ...COLUMNS.map(heading))), body));
  }

  function sortBy(key) {
    // What one looks for is at the top: the least covered files, and the most lines of a kind.
    sort = sort.key === key ? { key, down: !sort.down } : { key, down: typeof key === "number" };
    at("sort").value = String(key);
    list();
  }

  function address(file, line) {
    return `#file=${encodeURIComponent(file.name)}${line ? `&line=${line}` : ""}`;
  }

  function branches(counts) {
    const parts = WORLDS.map((world, i) => counts[i] && `${world === "combined" ? "together" : world} ${counts[i][0]}/${counts[i][1]}`);
    return "branches " + parts.filter(Boolean).join(" · ");
  }

  function line(file, text, index) {
    const number = index + 1;
    const mark = file.marks[index];
    const link = make("a", "", String(number));
    link.href = address(file, number);
    link.tabIndex = -1;
    const letter = make("span", "", mark === " " ? "" : mark);
    const kind = make("td", "k", letter);
    if (mark !== " ") {
      letter.setAttribute("aria-hidden", "true");
      kind.append(make("span", "aside", MEANING[mark]));
      kind.title = MEANING[mark];
    }
    const code = make("td", "c", make("span", "", text));
    if (file.partial[number]) code.append(make("span", "p", branches(file.partial[number])));
    const made = make("tr", CLASSES[mark] || "", make("td", "n", link), kind, code);
    made.id = `L${number}`;
    made.tabIndex = -1;
    return made;
  }

  // Where uncovered lines start: comments and blank lines between them do not part them.
  function starts(marks) {
    const found = [];
    let open = false;
    for (let i = 0; i < marks.length; i++) {
      if (marks[i] === "-" && !open) found.push(i + 1);
      if (marks[i] !== " " && marks[i] !== "x") open = marks[i] === "-";
    }
    return found;
  }

  function drawMap(marks) {
    const made = [];
    for (let i = 0; i < marks.length; ) {
      let end = i + 1;
      while (end < marks.length && marks[end] === marks[i]) end++;
      if ("UC-".includes(marks[i])) {
        const part = make("i", CLASSES[marks[i]]);
        part.style.top = `${(100 * i) / marks.length}%`;
        part.style.height = `${(100 * (end - i)) / marks.length}%`;
        made.push(part);
      }
      i = end;
    }
    at("map").replaceChildren(...made);
  }

  function open(file, number) {
    if (current !== file) {
      if (!current) scrolled = window.scrollY;
      current = file;
      stops = starts(file.marks);
      stop = -1;
      at("name").textContent = file.name;
      at("file-legend").replaceChildren(...legend(file.counts));
      const body = make("tbody", "");
      file.source.split("\n").forEach((text, index) => body.append(line(file, text, index)));
      const table = make("table", "code", body);
      table.setAttribute("aria-label", `Source of ${file.name}`);
      at("source").replaceChildren(table);
      drawMap(file.marks);
      at("overview").hidden = true;
      at("file").hidden = false;
      window.scrollTo({ top: 0, behavior: "instant" });
      at("name").focus({ preventScroll: true });
    }
    const place = listed.indexOf(file);
    at("previous-file").disabled = place <= 0;
    at("next-file").disabled = place < 0 ? !listed.length : place + 1 >= listed.length;
    at("previous-line").disabled = at("next-line").disabled = !stops.length;
    say();
    if (number) show(number);
  }

  function say() {
    if (!stops.length) at("position").textContent = "nothing uncovered";
    else at("position").textContent = stop < 0 ? `${stops.length} uncovered ${stops.length === 1 ? "place" : "places"}` : `uncovered ${stop + 1} of ${stops.length}`;
  }

  function show(number) {
    const found = at(`L${number}`);
    if (!found) return;
    found.scrollIntoView({ block: "center", behavior: "instant" });
    found.focus({ preventScroll: true });
  }

  function close() {
    if (!current) return;
    const left = current;
    current = null;
    at("file").hidden = true;
    at("overview").hidden = false;
    window.scrollTo({ top: scrolled, behavior: "instant" });
    const link = links()[listed.indexOf(left)];
    if (link) link.focus({ preventScroll: true });
  }

  function links() {
    return [...at("files").querySelectorAll("td.name a")];
  }

  function step(by) {
    if (current) {
      const next = listed[listed.indexOf(current) + by];
      if (next) location.hash = address(next);
      return;
    }
    const all = links();
    const place = all.indexOf(document.activeElement);
    const next = all[place < 0 ? (by > 0 ? 0 : all.length - 1) : place + by];
    if (next) next.focus();
  }

  function jump(by) {
    if (!current) {
      const next = listed.find((file) => file.counts[3]);
      if (next) location.hash = address(next, starts(next.marks)[0]);
      return;
    }
    if (!stops.length) return;
    stop = Math.max(0, Math.min(stops.length - 1, stop < 0 && by < 0 ? stops.length - 1 : stop + by));
    // Not through the address: forty steps back would be forty steps of history.
    history.replaceState(null, "", address(current, stops[stop]));
    say();
    show(stops[stop]);
  }

  function follow() {
    if (location.hash === "#losses" && at("losses")) at("losses").querySelector("details").open = true;
    const asked = new URLSearchParams();
    for (const part of location.hash.slice(1).split("&")) {
      const [key, ...rest] = part.split("=");
      try {
        asked.set(key, decodeURIComponent(rest.join("=")));
      } catch {
        // An address that somebody mistyped is that of the list.
      }
    }
    const file = byName.get(asked.get("file"));
    const number = Number(asked.get("line"));
    if (!file) {
      close();
      return;
    }
    open(file, number);
    stop = stops.indexOf(number);
    say();
  }

  function leave() {
    if (current) location.hash = "";
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (at("help").open) return;
    if (event.key === "Escape") {
      if (typing) typing.blur();
      else leave();
      return;
    }
    if (typing) return;
    const onList = !current && links().includes(document.activeElement);
    const actions = {
      j: () => step(1), k: () => step(-1), n: () => jump(1), p: () => jump(-1),
      "?": () => at("help").showModal(),
      "/": () => { leave(); close(); at("filter").focus(); at("filter").select(); },
      ...(onList ? { ArrowDown: () => step(1), ArrowUp: () => step(-1) } : {}),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  }

  const totals = [0, 0, 0, 0, 0];
  for (const file of files) file.counts.forEach((count, kind) => { totals[kind] += count; });
  at("bar").append(...bar(totals).childNodes);
  at("filter").addEventListener("input", list);
  at("having").addEventListener("change", list);
  at("sort").addEventListener("change", (event) => {
    const key = /^\d$/.test(event.target.value) ? Number(event.target.value) : event.target.value;
    sort = { key, down: typeof key === "number" };
    list();
  });
  at("files").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sortBy(/^\d$/.test(button.dataset.key) ? Number(button.dataset.key) : button.dataset.key);
  });
  at("keys").addEventListener("click", () => at("help").showModal());
  at("back").addEventListener("click", leave);
  at("previous-file").addEventListener("click", () => step(-1));
  at("next-file").addEventListener("click", () => step(1));
  at("previous-line").addEventListener("click", () => jump(-1));
  at("next-line").addEventListener("click", () => jump(1));
  document.addEventListener("keydown", keys);
  window.addEventListener("hashchange", follow);
  list();
  follow();
})();
