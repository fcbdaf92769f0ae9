"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const time = (us) => us >= 1e6 ? (us / 1e6).toFixed(2) + " s" : us >= 1e3 ? (us / 1e3).toFixed(2) + " ms" : us.toFixed(0) + " us";
  const part = (some, all) => (all ? 100 * some / all : 0).toFixed(1) + " %";
  const size = (bytes) => {
    const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    while (bytes >= 1024 && at < units.length - 1) { bytes /= 1024; at += 1; }
    return (at ? bytes.toFixed(1) : bytes) + " " + units[at];
  };

  // -- over time: a cursor that reads the charts aloud ------------------------------------------------------------

  const { width, used, memory, read, written, categories } = data.slices;
  if (used.length) {
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    cursor.tabIndex = 0;
    cursor.setAttribute("role", "slider");
    cursor.setAttribute("aria-label", "Moment of the run");
    cursor.setAttribute("aria-valuemin", "0");
    cursor.setAttribute("aria-valuemax", String(used.length - 1));
    byId("charts").append(cursor);
    const go = (to) => {
      const at = Math.max(0, Math.min(used.length - 1, to));
      const parts = categories.map((name, kind) => used[at][kind] ? name + " " + part(used[at][kind], width) : "").filter(Boolean);
      const text = [time(at * width) + ": " + (parts.join(", ") || "not running"), "memory " + size(memory[at]),
        "read " + size(read[at]), "written " + size(written[at])].join("; ");
      cursor.style.setProperty("--at", String(100 * (at + 0.5) / used.length));
      cursor.setAttribute("aria-valuenow", String(at));
      cursor.setAttribute("aria-valuetext", text);
      byId("slice").textContent = text;
    };
    const now = () => Number(cursor.getAttribute("aria-valuenow"));
    cursor.addEventListener("mousemove", (event) => {
      const box = cursor.getBoundingClientRect();
      go(Math.floor((event.clientX - box.left) / box.width * used.length));
    });
    cursor.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.round(used.length / 10));
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      event.preventDefault();
      go(now() + steps[event.key]);
    });
    go(0);
  }

  // -- the flame graph: boxes made anew for each zoom, of which one has the keyboard ------------------------------

  const { names, nodes } = data.tree;  // of each node: name, 1 for a function of the host, us, parent
  const children = nodes.map(() => []);
  nodes.forEach((node, number) => { if (number) children[node[3]].push(number); });
  const flame = byId("flame"), boxes = new Map();
  const ROW = 20, LEAST = 0.0008;
  let zoomed = 0, current = 0;
  const nameOf = (number) => names[nodes[number][0]];
  const hue = (number) => {
    let hash = 7;
    for (const one of nameOf(number)) hash = (hash * 31 + one.codePointAt(0)) >>> 0;
    return nodes[number][1] ? 18 + hash % 30 : 170 + hash % 70;
  };
  const describe = (number) => nameOf(number) + ", " + time(nodes[number][2]) + ", " + part(nodes[number][2], nodes[0][2]);

  const select = (number, focus) => {
    if (boxes.has(current)) boxes.get(current).tabIndex = -1;
    current = number;
    const box = boxes.get(number);
    box.tabIndex = 0;
    byId("frame").textContent = describe(number);
    if (focus) box.focus();
  };

  const place = (number, left, wide, depth, above, at, among) => {
    const box = document.createElement("div");
    box.setAttribute("role", "treeitem");
    box.setAttribute("aria-level", String(depth + 1));
    box.setAttribute("aria-posinset", String(at + 1));
    box.setAttribute("aria-setsize", String(among));
    box.setAttribute("aria-label", describe(number));
    box.title = describe(number);
    box.textContent = nameOf(number);
    box.tabIndex = -1;
    box.dataset.node = String(number);
    box.style.left = 100 * left + "%";
    box.style.width = 100 * wide + "%";
    box.style.top = ROW * depth + "px";
    box.style.setProperty("--hue", String(hue(number)));
    if (above) box.className = "above";
    boxes.set(number, box);
    flame.append(box);
  };

  const show = (number, focus) => {
    zoomed = number;
    flame.textContent = "";
    boxes.clear();
    const line = [];
    for (let at = number; at > 0; at = nodes[at][3]) line.unshift(nodes[at][3]);
    line.forEach((one, depth) => place(one, 0, 1, depth, true, 0, 1));
    let deepest = line.length;
    const todo = [[number, 0, 1, line.length, 0, 1]];
    while (todo.length) {
      const [one, left, wide, depth, at, among] = todo.pop();
      place(one, left, wide, depth, false, at, among);
      deepest = Math.max(deepest, depth);
      let from = left;
      const below = children[one];
      below.forEach((child, position) => {
        const part = nodes[one][2] ? wide * nodes[child][2] / nodes[one][2] : 0;
        if (part >= LEAST) todo.push([child, from, part, depth + 1, position, below.length]);
        from += part;
      });
    }
    flame.style.height = ROW * (deepest + 1) + 2 + "px";
    find();
    select(boxes.has(current) ? current : number, focus);
  };

  const find = () => {
    const wanted = byId("find").value.trim().toLowerCase();
    const matches = (number) => wanted !== "" && nameOf(number).toLowerCase().includes(wanted);
    boxes.forEach((box, number) => box.classList.toggle("match", matches(number)));
    let count = 0, sum = 0;
    const todo = nodes.length ? [[0, false]] : [];
    while (todo.length) {
      const [number, inside] = todo.pop(), match = matches(number);
      count += match;
      if (match && !inside) sum += nodes[number][2];
      children[number].forEach((child) => todo.push([child, inside || match]));
    }
    byId("found").textContent = wanted === "" ? "" : count + (count === 1 ? " box matches, " : " boxes match, ") + part(sum, nodes[0][2]) + " of the time";
  };

  const besides = (number, step) => {
    if (!number) return number;
    const row = children[nodes[number][3]].filter((one) => boxes.has(one));
    return row[row.indexOf(number) + step] ?? number;
  };
  const moves = {
    ArrowDown: (number) => children[number].find((one) => boxes.has(one)) ?? number,
    ArrowUp: (number) => number ? nodes[number][3] : 0,
    ArrowRight: (number) => besides(number, 1),
    ArrowLeft: (number) => besides(number, -1),
    Home: () => 0,
  };

  if (nodes.length) {
    byId("tools").hidden = byId("keys").hidden = flame.hidden = false;
    flame.addEventListener("click", (event) => {
      const box = event.target.closest("[data-node]");
      if (box) { current = Number(box.dataset.node); show(current, true); }
    });
    flame.addEventListener("mouseover", (event) => {
      const box = event.target.closest("[data-node]");
      if (box) byId("frame").textContent = describe(Number(box.dataset.node));
    });
    flame.addEventListener("keydown", (event) => {
      if (event.key in moves) select(moves[event.key](current), true);
      else if (event.key === "Enter" || event.key === " ") show(current, true);
      else if (event.key === "Escape") show(0, true);
      else return;
      event.preventDefault();
    });
    byId("find").addEventListener("input", find);
    byId("whole").addEventListener("click", () => show(0, false));
    show(0, false);
  }

  // -- the tables: sorted by a column -----------------------------------------------------------------------------

  document.querySelectorAll("table").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button"), number = head.classList.contains("num");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "descending" ? false : head.getAttribute("aria-sort") === "ascending" || number;
        const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
        const rows = [...body.rows].sort((one, other) => number ? key(one) - key(other) : key(one) < key(other) ? -1 : key(one) > key(other) ? 1 : 0);
        body.append(...(down ? rows.reverse() : rows));
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
      });
    });
  });
})();
