/* Sorting, columns, subsets and rows of the board; the whole state stands in the address: #sort=psnr&subset=people-3 */
(function () {
  "use strict";
  const board = document.getElementById("board");
  const cells = JSON.parse(document.getElementById("cells").textContent);
  const heads = Array.from(board.tHead.rows[0].cells);
  const bodies = Array.from(board.tBodies);
  const tools = {
    group: document.getElementById("group"), subset: document.getElementById("subset"),
    claimed: document.getElementById("claimed"), controls: document.getElementById("controls"),
  };
  const START = { sort: "aggregate", dir: "best", group: tools.group.value, subset: "all", claimed: "0", controls: "1" };

  function state() {
    const given = new URLSearchParams(location.hash.slice(1));
    const found = {};
    for (const key of Object.keys(START)) found[key] = given.get(key) || START[key];
    const head = headOf(found.sort);
    if (!head) found.sort = START.sort;
    else if (!given.get("group") && head.dataset.group) found.group = head.dataset.group;
    if (!options(tools.group).includes(found.group)) found.group = START.group;
    if (!options(tools.subset).includes(found.subset)) found.subset = START.subset;
    return found;
  }

  function options(select) { return Array.from(select.options, (option) => option.value); }

  function headOf(name) { return heads.find((head) => head.dataset.key === name || head.dataset.name === name); }

  function change(part) {
    const next = Object.assign(state(), part);
    const said = Object.entries(next).filter(([key, value]) => value !== START[key]);
    const hash = "#" + new URLSearchParams(said).toString();
    if (hash === location.hash || (hash === "#" && !location.hash)) apply();
    else location.replace(hash);
  }

  function apply() {
    const now = state();
    tools.group.value = now.group;
    tools.subset.value = now.subset;
    if (tools.claimed) tools.claimed.checked = now.claimed === "1";
    tools.controls.checked = now.controls !== "0";
    columns(now.group);
    fill(now.subset);
    rows(now);
    sort(now);
    board.dataset.state = JSON.stringify(now);
  }

  function columns(group) {
    for (const cell of board.querySelectorAll("[data-group][data-key]")) {
      cell.hidden = cell.dataset.group !== "" && cell.dataset.group !== group;
    }
  }

  function fill(subset) {
    for (const row of board.querySelectorAll("tbody tr")) {
      const own = cells[subset][row.dataset.slug];
      for (const cell of row.cells) {
        const key = cell.dataset.key;
        if (own && key in own) put(cell, own[key]);
        if (key === "group" || key === "rank") cell.classList.toggle("of-all", subset !== "all");
      }
    }
  }

  function put(cell, [order, text, span, note, bar]) {
    if (order === null) delete cell.dataset.order; else cell.dataset.order = String(order);
    cell.querySelector("b").textContent = text;
    for (const [name, said] of [[".span", span], [".note", note]]) {
      const part = cell.querySelector(name);
      if (part) part.textContent = said;
    }
    const drawing = cell.querySelector(".bar");
    if (!drawing) return;
    const [low, high, value] = bar || [0, 0, 0];
    drawing.querySelector(".fill").setAttribute("width", String(value));
    drawing.querySelector(".whisker").setAttribute("x", String(low));
    drawing.querySelector(".whisker").setAttribute("width", String(high - low));
    drawing.setAttribute("aria-label", bar ? "score " + text + " " + span : "no score");
  }

  function rows(now) {
    let shown = 0;
    let all = 0;
    for (const body of bodies) {
      body.hidden = body.dataset.kind === "control" && now.controls === "0";
      for (const row of body.rows) {
        row.hidden = row.dataset.tier === "claimed" && now.claimed !== "1";
        if (body.dataset.kind !== "submission") continue;
        all += 1;
        shown += row.hidden ? 0 : 1;
      }
    }
    document.getElementById("said").textContent = shown + " of " + all + " systems";
  }

  function sort(now) {
    const head = headOf(now.sort);
    const rising = now.dir === "worst";
    for (const each of heads) each.removeAttribute("aria-sort");
    /* The arrow tells how the numbers run; "best first" of a metric that should be low is ascending. */
    const ascending = (head.dataset.better === "lower" || head.dataset.better === "name") !== rising;
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    for (const body of bodies) {
      const ordered = Array.from(body.rows).sort((a, b) => compare(a, b, head.dataset.key, rising ? -1 : 1));
      body.append(...ordered);
      groups(ordered, now.sort === "aggregate" && now.subset === "all");
    }
  }

  function compare(a, b, key, sign) {
    const byName = a.dataset.name.localeCompare(b.dataset.name, "en");
    if (key === "name") return sign * byName;
    const [x, y] = [a, b].map((row) => orderOf(row, key));
    if (x === null || y === null) return (x === null) - (y === null) || byName;
    return sign * (y - x) || byName;
  }

  function orderOf(row, key) {
    const cell = Array.from(row.cells).find((each) => each.dataset.key === key);
    return cell && cell.dataset.order !== undefined ? Number(cell.dataset.order) : null;
  }

  /* A line between groups of ties, where the order is that of the groups. */
  function groups(ordered, meant) {
    let before = "";
    for (const row of ordered) {
      const group = row.dataset.group;
      row.classList.toggle("new-group", meant && before !== "" && group !== "" && group !== before);
      before = group || before;
    }
  }

  for (const head of heads) {
    head.querySelector("button").addEventListener("click", () => {
      const now = state();
      const again = headOf(now.sort) === head;
      change({ sort: head.dataset.name, group: now.group, dir: again && now.dir === "best" ? "worst" : "best" });
    });
  }
  tools.group.addEventListener("change", () => change({ sort: START.sort, dir: START.dir, group: tools.group.value }));
  tools.subset.addEventListener("change", () => change({ subset: tools.subset.value }));
  if (tools.claimed) tools.claimed.addEventListener("change", () => change({ claimed: tools.claimed.checked ? "1" : "0" }));
  tools.controls.addEventListener("change", () => change({ controls: tools.controls.checked ? "1" : "0" }));
  document.getElementById("tools").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", apply);
  document.getElementById("tools").hidden = false;
  apply();
})();
