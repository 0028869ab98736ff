// The report of one run, from top to bottom.

const RUN = DATA.run;
const SPLITS = { test: "test documents", dev: "dev documents", cross: "documents of train and dev, out of fold" };

function top() {
  byId("title").textContent = RUN.name;
  const parts = [RUN.strategy, ...RUN.parts].join(", ");
  const levels = plural(DATA.taxonomy.levels, "level", "levels");
  byId("subtitle").textContent =
    `${parts} · ${count(RUN.documents)} ${SPLITS[RUN.split] || RUN.split} · ${plural(COUNT, "category", "categories")} on ${levels}`;
  const notes = [...DATA.notes];
  if (RUN.split === "dev")
    notes.unshift(
      "There were no test documents: these numbers are of dev, which training and thresholds have seen. They flatter, and the linear baseline has not seen it.",
    );
  if (RUN.split === "cross")
    notes.unshift(
      "There were no test documents: these numbers are of out-of-fold scores, by which all that was tuned was tuned (thresholds, epochs of networks). They flatter.",
    );
  byId("notes").replaceChildren(...notes.map((text) => el("p", { class: "note" }, text)));
}

// Coloured and marked only where it is more than chance.
function beside(value, c) {
  if (value === null) return "–";
  if (!CATEGORIES.surely) return signed(value);
  if (!fact("surely", c) || value === 0)
    return el("span", { title: "cannot be told apart from the linear baseline" }, signed(value));
  const [kind, mark] = value > 0 ? ["better", "▲"] : ["worse", "▼"];
  return el(
    "span",
    {
      class: `${kind}-text`,
      title: `surely ${kind} than the linear baseline: p below 0.05, corrected for all categories`,
    },
    el("span", { "aria-hidden": "true" }, `${mark} `),
    signed(value),
    el("span", { class: "hidden" }, ` surely ${kind}`),
  );
}
const BESIDE = CATEGORIES.surely
  ? "vs linear: F1 less that of the linear baseline. ▲ surely better, ▼ surely worse: p below 0.05 in an exact test, corrected for all categories (Holm). Without a mark chance may explain it."
  : "vs linear: F1 less that of the linear baseline, not tested.";

function taxonomy() {
  const unmeasured = CATEGORIES.id.filter((_, column) => !tested(column)).length;
  const told = ["Colour tells F1, size the number of documents. Choose a category in the picture or in the list."];
  if (unmeasured)
    told.push(
      `${plural(unmeasured, "category has", "categories have")} no documents here: with size set to “all alike” they can be seen.`,
    );
  if (!DATA.taxonomy.tree) told.push("Some categories have several parents; each is drawn once, below its first.");
  let shape = "sunburst";
  const explain = () => {
    const back = { sunburst: "the middle goes back", treemap: "the bar on top goes back" }[shape];
    const zoom = `In the picture a category with others below it opens as well; ${back}.`;
    byId("taxonomy-note").textContent = [...told, ...(DATA.taxonomy.levels > 1 ? [zoom] : [])].join(" ");
  };
  const size = byId("size");
  if (!CATEGORIES.train) size.querySelector("[value=train]").remove();
  const map = byId("map");
  const paint = () => taxonomyChart(map, shape, size.value, (column) => open(column, false));
  const whole = () => {
    Plotly.purge(map);
    paint();
  };
  const columns = [
    ...(CATEGORIES.train ? [["Train", "optional", (c) => fact("train", c), count]] : []),
    ...(CATEGORIES.test ? [["Documents", null, (c) => fact("test", c), count]] : []),
    ...(CATEGORIES.f1 ? [["F1", null, (c) => (tested(c) ? fact("f1", c) : null), (value) => score(value)]] : []),
    ...(CATEGORIES.baseline_f1
      ? [["vs linear", null, (c) => (tested(c) ? fact("f1", c) - fact("baseline_f1", c) : null), beside]]
      : []),
  ];
  const list = new CategoryList(
    byId("list"),
    byId("search"),
    byId("found"),
    (column, focus) => choose(column, focus),
    columns,
    (c) => colourOf(c, "var(--none)"),
  );
  const panel = new Panel(
    byId("panel"),
    byId("mistakes"),
    byId("shown"),
    (column, focus) => choose(column, focus),
    () => list.back(),
  );
  function choose(column, focus) {
    if (zoomed(map)) whole();
    open(column, focus);
  }
  function open(column, focus) {
    panel.show(column, focus);
    list.mark(column);
    if (!focus && matchMedia("(max-width: 60rem)").matches) byId("panel").scrollIntoView({ block: "start" });
  }
  for (const name of ["sunburst", "treemap"]) {
    byId(name).addEventListener("click", () => {
      shape = name;
      for (const other of ["sunburst", "treemap"]) byId(other).setAttribute("aria-pressed", String(other === name));
      explain();
      whole();
    });
  }
  size.addEventListener("change", whole);
  byId("beside").textContent = CATEGORIES.baseline_f1 ? BESIDE : "";
  legend(byId("scale"));
  explain();
  paint();
  const worth = (column) =>
    (DETAILS ? DETAILS.wrong_count[column] + DETAILS.missed_count[column] : fact("test", column)) /
    (1 + children[column].length);
  const first = CATEGORIES.id.reduce((best, _, column) => (worth(column) > worth(best) ? column : best), 0);
  panel.show(first, false);
  list.mark(first);
}

function run() {
  const facts = Object.entries(RUN.facts).filter(([, value]) => value !== null && value !== undefined);
  const shown = (value) => (typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 4 }) : value);
  const decided = [
    ["task", RUN.task],
    ["closure of labels", RUN.closure],
    ["threshold", [RUN.threshold, RUN.aim].filter(Boolean).join(", aim ")],
    ["decoding", RUN.decoding],
  ].filter(([, value]) => value);
  byId("run-body").replaceChildren(
    el(
      "div",
      { class: "columns" },
      el(
        "div",
        {},
        el("h3", {}, "How to run it again"),
        el(
          "dl",
          { class: "stacked" },
          RUN.commands.flatMap(([what, command]) => [el("dt", {}, what), el("dd", {}, el("code", {}, command))]),
        ),
      ),
      el(
        "div",
        {},
        el("h3", {}, "Facts"),
        el(
          "dl",
          {},
          [...decided, ...facts].flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, shown(value))]),
        ),
      ),
    ),
    folded("The config, with every default", el("pre", { tabindex: "0" }, JSON.stringify(DATA.config, null, 2))),
    el(
      "div",
      { class: "screen" },
      folded(
        "metrics.json, without categories and intervals",
        el("pre", { tabindex: "0" }, JSON.stringify(DATA.metrics, null, 2)),
      ),
    ),
  );
  byId("footer").textContent =
    `Made by ${RUN.facts["page made by"]}. This file holds everything that it shows; nothing was fetched.`;
}

for (const part of [top, headline, taxonomy, levels, learning, calibration, labels, run]) part();
