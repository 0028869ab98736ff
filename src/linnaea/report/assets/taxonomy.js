// The taxonomy as a sunburst or a treemap, and as a list that can be searched, sorted and walked by keyboard.

const CATEGORIES = DATA.categories;
const COUNT = CATEGORIES.id.length;
const LISTED = 1500; // rows of the list at once
const SCALE = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]; // viridis: read alike with any colour vision
const PRINTED = 100; // of these on paper
const BAR = 30; // height of the bar above a treemap
const children = CATEGORIES.id.map(() => []);
CATEGORIES.parent.forEach((above, column) => {
  if (above >= 0) children[above].push(column);
});

// As a tree is read: each category followed by what is below it.
const READING = [];
(function walk(columns) {
  for (const column of columns) {
    READING.push(column);
    walk(children[column]);
  }
})(CATEGORIES.id.map((_, column) => column).filter((column) => CATEGORIES.parent[column] < 0));

const fact = (key, column) => (CATEGORIES[key] ? CATEGORIES[key][column] : null);
const tested = (column) => fact("test", column) > 0;

function way(column) {
  const found = [];
  for (let at = column; at >= 0; at = CATEGORIES.parent[at]) found.unshift(at);
  return found;
}
const pathOf = (column) =>
  way(column)
    .map((at) => CATEGORIES.name[at])
    .join(DATA.taxonomy.separator);

function shade(value) {
  const place = Math.min(Math.max(value, 0), 1) * (SCALE.length - 1);
  const below = Math.min(Math.floor(place), SCALE.length - 2);
  const parts = [1, 3, 5].map((i) => {
    const [a, b] = [SCALE[below], SCALE[below + 1]].map((colour) => parseInt(colour.slice(i, i + 2), 16));
    return Math.round(a + (b - a) * (place - below));
  });
  return `rgb(${parts.join(",")})`;
}
// What is read on a shade: dark on its light half.
const inkOn = (value) => (value > 0.42 ? "#111" : "#fff");
const colourOf = (column, none) => (tested(column) ? shade(fact("f1", column)) : none);

// A category is as large as its documents, and at least as large as its children together.
function sizes(measure) {
  const total = CATEGORIES.id.map((_, column) =>
    measure === "equal" ? (children[column].length ? 0 : 1) : fact(measure, column) || 0,
  );
  for (let column = COUNT - 1; column >= 0; column--) {
    total[column] = Math.max(
      total[column],
      children[column].reduce((sum, child) => sum + total[child], 0),
    );
  }
  return total;
}

// Long names stand on several lines in a ring: more of them fit.
function wrapped(name) {
  const lines = [""];
  for (const word of name.split(" ")) {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length > 13) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines.map(plain).join("<br>");
}

function taxonomyChart(node, shape, measure, choose) {
  const bar = shape === "treemap" ? BAR + 4 : 0; // plotly draws it in the margin
  const total = sizes(measure);
  const top = CATEGORIES.parent.reduce((sum, above, column) => sum + (above < 0 ? total[column] : 0), 0);
  const hover = CATEGORIES.id.map((_, c) =>
    [
      `<b>${plain(pathOf(c))}</b>`,
      tested(c) ? `F1 ${score(fact("f1", c))}` : "no documents here to measure it on",
      `${count(fact("test", c))} measured, ${count(fact("train", c))} in train`,
    ].join("<br>"),
  );
  chart(node, `Taxonomy as a ${shape}, coloured by F1; the list of categories holds the same`, (c) => ({
    traces: [
      {
        type: shape,
        branchvalues: "total",
        sort: false,
        maxdepth: COUNT > 1500 ? 3 : 5,
        leaf: { opacity: 1 },
        ids: ["root", ...CATEGORIES.id.map((_, column) => String(column))],
        labels: [plain(DATA.taxonomy.root), ...CATEGORIES.name.map(shape === "sunburst" ? wrapped : plain)],
        parents: ["", ...CATEGORIES.parent.map((above) => (above < 0 ? "root" : String(above)))],
        values: [top, ...total],
        customdata: [`${count(COUNT)} categories`, ...hover],
        hovertemplate: "%{customdata}<extra></extra>",
        marker: {
          colors: [c.card, ...CATEGORIES.id.map((_, column) => colourOf(column, c.none))],
          line: { color: c.bg, width: COUNT > 300 ? 0.4 : 1 },
        },
        insidetextfont: { color: [c.fg, ...CATEGORIES.id.map((_, column) => (tested(column) ? inkOn(fact("f1", column)) : c.fg))] },
        insidetextorientation: "auto",
        tiling: shape === "treemap" ? { packing: "squarify", pad: 2 } : undefined,
        pathbar: shape === "treemap" ? { visible: true, thickness: BAR, textfont: { color: c.fg, size: 14 } } : undefined,
      },
    ],
    layout: {
      height: Math.min(520, Math.max(320, node.clientWidth)) + bar,
      margin: { l: 4, r: 4, t: 4 + bar, b: 4 },
      uniformtext: { minsize: 9, mode: "hide" },
    },
  }));
  for (const name of ["plotly_sunburstclick", "plotly_treemapclick"]) {
    node.removeAllListeners(name);
    node.on(name, (event) => {
      const column = Number(event.points[0].id);
      if (!Number.isInteger(column)) return true;
      choose(column);
      return children[column].length > 0; // a leaf is opened in the panel, not in the picture
    });
  }
}

// Whether a part of the taxonomy fills the picture.
const zoomed = (node) => !["", "root", undefined].includes(node.data && node.data[0].level);

function legend(node) {
  node.replaceChildren(
    el("span", {}, "F1 0"),
    el("i", { style: `background: linear-gradient(to right, ${SCALE.join(", ")})` }),
    el("span", {}, "1"),
    el("span", { class: "cell" }, el("i", { class: "one", style: "background: var(--none)" }), "no documents here to measure it on"),
  );
}

// The list: typing filters, headers sort, arrow keys walk, Enter opens. A column is [header, class, value(category), shown(value, category)];
// the first one shows the name.
class CategoryList {
  constructor(node, search, status, choose, columns, swatch) {
    Object.assign(this, { node, search, status, choose, columns, swatch, sorted: null, rising: true, chosen: null });
    search.addEventListener("input", () => this.show());
    search.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") {
        event.preventDefault();
        this.focus(0);
      }
    });
    this.columns = [["Category", null, (c) => pathOf(c).toLowerCase()], ...columns];
    this.show();
  }

  order() {
    const wanted = this.search.value.trim().toLowerCase();
    const found = READING.filter((c) => !wanted || `${pathOf(c)} ${CATEGORIES.id[c]}`.toLowerCase().includes(wanted));
    if (this.sorted === null) return found;
    const value = this.columns[this.sorted][2];
    const sign = this.rising ? 1 : -1;
    return found.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (x < y ? -1 : x > y ? 1 : 0) || a - b;
    });
  }

  show() {
    const order = this.order();
    const head = this.columns.map(([name, kind], i) =>
      el(
        "th",
        {
          scope: "col",
          class: kind,
          "aria-sort": this.sorted === i ? (this.rising ? "ascending" : "descending") : "none",
        },
        el(
          "button",
          { type: "button", onclick: () => this.sort(i) },
          name + (this.sorted === i ? (this.rising ? " ▲" : " ▼") : ""),
        ),
      ),
    );
    const rows = order.slice(0, LISTED).map((c) => this.row(c));
    this.buttons = rows.map((row) => row.querySelector("button"));
    this.node.replaceChildren(
      el(
        "table",
        {},
        el("caption", { class: "hidden" }, "Categories"),
        el("thead", {}, el("tr", {}, head)),
        el("tbody", {}, rows),
      ),
      rows.length > PRINTED ? el("p", { class: "small soft paper" }, `The first ${PRINTED} of ${count(order.length)} are printed.`) : "",
    );
    const more = order.length > LISTED ? `, the first ${count(LISTED)} are listed: search for others` : "";
    this.status.textContent = `${count(order.length)} of ${plural(COUNT, "category", "categories")}${more}`;
    this.mark(this.chosen);
  }

  row(c) {
    const open = el(
      "button",
      {
        type: "button",
        class: "link",
        "data-column": c,
        tabindex: "-1",
        title: pathOf(c),
        onclick: (event) => this.choose(c, event.detail === 0),
        onkeydown: (event) => this.walk(event),
      },
      CATEGORIES.name[c],
    );
    const indent = this.sorted === null ? `padding-left: ${(way(c).length - 1) * 0.9 + 0.5}rem` : null;
    const swatch = el("span", { class: "swatch", style: `background: ${this.swatch(c)}` });
    const cells = this.columns.slice(1).map(([, kind, value, shown]) => el("td", { class: kind }, shown(value(c), c)));
    return el("tr", { "data-column": c }, el("td", { style: indent }, el("span", { class: "cell" }, swatch, open)), cells);
  }

  sort(i) {
    this.rising = this.sorted === i ? !this.rising : i === 0;
    this.sorted = i;
    this.show();
    this.node.querySelectorAll("thead button")[i].focus();
  }

  walk(event) {
    const at = this.buttons.indexOf(event.currentTarget);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: this.buttons.length - 1,
      PageDown: at + 12,
      PageUp: at - 12,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0 && event.key === "ArrowUp") this.search.focus();
    else this.focus(Math.min(Math.max(to, 0), this.buttons.length - 1));
  }

  focus(at) {
    if (!this.buttons.length) return;
    this.buttons.forEach((button, i) => button.setAttribute("tabindex", i === at ? "0" : "-1"));
    this.buttons[at].focus();
  }

  // One button of the list takes part in the tab order: the chosen one, else the first.
  mark(column) {
    this.chosen = column;
    let own = null;
    for (const row of this.node.querySelectorAll("tbody tr")) {
      const is = Number(row.dataset.column) === column;
      row.classList.toggle("chosen", is);
      const button = row.querySelector("button");
      button.setAttribute("tabindex", is ? "0" : "-1");
      if (is) {
        button.setAttribute("aria-current", "true");
        own = row;
      } else button.removeAttribute("aria-current");
    }
    if (!own && this.buttons.length) this.buttons[0].setAttribute("tabindex", "0");
    if (own) this.node.scrollTop = Math.max(0, own.offsetTop - this.node.clientHeight / 2);
  }

  back() {
    const own = this.buttons.find((button) => Number(button.dataset.column) === this.chosen);
    (own || this.search).focus();
  }
}
