// The page of a comparison: every run beside the first.

const NAMES = DATA.names;
const OTHERS = NAMES.slice(1);
const SIGNS = ["circle", "square", "diamond", "cross", "x", "triangle-up"];
const ofRun = (c, i) => [c.run, c.base, c.guess, c.marker, c.runSoft, c.baseSoft][i % 6];
const sign = (difference) => (difference && difference.winner ? (difference.winner === "second" ? "better" : "worse") : "same");
const equal = (difference) => difference.value === 0 && (difference.interval || [1]).every((end) => end === 0);
const chance = (p) => (p < 0.001 ? "p < 0.001" : `p = ${score(p)}`);

function start() {
  byId("title").textContent = NAMES.length === 2 ? `${NAMES[0]} and ${NAMES[1]}` : `${count(NAMES.length)} runs`;
  byId("subtitle").textContent =
    `${NAMES.length === 2 ? "Both" : "All"} on the same ${plural(DATA.documents, "document", "documents")} · ${plural(COUNT, "category", "categories")} · every run is held against the first, ${NAMES[0]}`;
  if (DATA.places.some((place, i) => place !== NAMES[i])) {
    const rows = NAMES.map((name, i) => [el("dt", {}, name), el("dd", {}, el("code", {}, DATA.places[i]))]);
    byId("notes").append(folded("Where the runs lie", el("dl", {}, rows.flat())));
  }
  byId("footer").textContent = `Made by ${DATA.made_by}. This file holds everything that it shows; nothing was fetched.`;
  if (DATA.splits.some((split) => split === "dev" || split === "cross")) {
    byId("notes").append(
      el(
        "p",
        { class: "note" },
        "Not all numbers are of test documents: training or thresholds have seen these. They flatter.",
      ),
    );
  }
}

function verdicts() {
  byId("verdicts").replaceChildren(
    ...OTHERS.map((name, i) => {
      const found = { better: [], worse: [], equal: [], same: [] };
      for (const { name, differences } of DATA.measures) {
        const difference = differences[i];
        if (difference) found[equal(difference) ? "equal" : sign(difference)].push(name);
      }
      const parts = [
        ["better", "better in"],
        ["worse", "worse in"],
        ["equal", "equal in"],
        ["same", "cannot be told apart in"],
      ]
        .filter(([kind]) => found[kind].length)
        .map(([kind, words]) => `${words} ${listed(found[kind])}`);
      if (!DATA.pairs[i].differing) parts.unshift("the same decisions in all documents");
      const kind =
        found.better.length && !found.worse.length ? "better" : found.worse.length && !found.better.length ? "worse" : "none";
      return el("p", { class: `verdict ${kind}` }, `${name} against ${NAMES[0]}: ${parts.join("; ")}.`);
    }),
  );
}

function told(difference, test) {
  if (!difference) return "–";
  return el(
    "span",
    {},
    el("span", { class: `${sign(difference)}-text` }, signed(difference.value)),
    " ",
    range(difference.interval, signed),
    el("span", { class: "range", title: `by ${test}, corrected after Holm` }, ` ${chance(difference.holm)}`),
  );
}

function measures() {
  const rows = DATA.measures.filter((row) => row.values.some((value) => value !== null));
  const body = rows.map((row) => [
    el("span", {}, listed([row.name]), el("span", { class: "small soft optional" }, el("br"), row.meaning)),
    ...row.values.map((value, i) => el("span", {}, score(value), " ", range(row.intervals[i]))),
    ...row.differences.map((difference) => told(difference, row.ranked ? "the bootstrap" : "a randomisation test")),
  ]);
  const differences = OTHERS.map((name) => (OTHERS.length === 1 ? "difference" : `${name}: difference`));
  const node = el("div", {});
  byId("measures-body").append(
    figure(
      "Differences to the first run",
      node,
      `With 95 % intervals, from ${count(DATA.resamples)} paired bootstrap samples. Right of 0 the other run is better.`,
    ),
    table(["measure", ...NAMES, ...differences], body, "All measures", "stacked"),
    el(
      "p",
      { class: "small soft" },
      `p: how often chance alone would tell the runs as far apart, by a randomisation test${rows.some((row) => row.ranked && row.differences.some(Boolean)) ? " (of average precision by the bootstrap: the scores of two runs have no common scale and cannot stand in one ranking)" : ""}, corrected for the number of measures after Holm. Coloured where it is below 0.05.`,
    ),
  );
  const shown = rows.filter((row) => row.differences.some(Boolean)).reverse();
  chart(node, "Differences to the first run, with intervals", (c) => ({
    traces: OTHERS.map((name, i) => {
      const here = shown.filter((row) => row.differences[i]);
      const ends = (k, s) =>
        here.map((row) => (row.differences[i].interval ? s * (row.differences[i].interval[k] - row.differences[i].value) : 0));
      return {
        type: "scatter",
        mode: "markers",
        name: plain(name),
        x: here.map((row) => row.differences[i].value),
        y: here.map((row) => listed([row.name])),
        orientation: "h",
        marker: { color: ofRun(c, i), size: 10, symbol: SIGNS[i % SIGNS.length] },
        error_x: {
          type: "data",
          symmetric: false,
          array: ends(1, 1),
          arrayminus: ends(0, -1),
          color: ofRun(c, i),
          thickness: 2,
        },
        hovertemplate: `%{y}: %{x:+.3f}<extra>${plain(name)}</extra>`,
      };
    }),
    layout: {
      height: 110 + (26 + 12 * OTHERS.length) * shown.length,
      showlegend: OTHERS.length > 1,
      xaxis: { title: { text: "difference" }, rangemode: "tozero", zeroline: true, zerolinecolor: c.fg, zerolinewidth: 1.5 },
      yaxis: { type: "category" },
      scattermode: "group",
      scattergap: 0.5,
    },
  }));
}

function levels() {
  for (const [key, name] of [
    ["micro_f1", "micro-F1"],
    ["macro_f1", "macro-F1"],
  ]) {
    const node = el("div", {});
    const names = DATA.levels.map(([level]) => `level ${level}`);
    const rows = DATA.levels.map(([level, categories], i) => [
      `level ${level}`,
      count(categories),
      ...DATA.pairs.map((pair) => told(pair.levels[i][key], "a randomisation test")),
    ]);
    byId("levels-body").append(
      figure(
        name,
        node,
        null,
        folded("The numbers", table(["", "categories", ...OTHERS], rows, `${name} by level: differences to the first run`, "stacked")),
      ),
    );
    chart(node, `${name} by level`, (c) => ({
      traces: NAMES.map((run, i) => ({
        type: "bar",
        name: plain(run),
        x: names,
        y: DATA.pairs[Math.max(0, i - 1)].levels.map((level) => level[key][i ? "second" : "first"]),
        marker: i ? striped(ofRun(c, i), ["/", "\\", "x", "-", "|"][(i - 1) % 5]) : { color: ofRun(c, i) },
        hovertemplate: `%{y:.3f}<extra>${plain(run)}</extra>`,
      })),
      layout: {
        height: 320,
        barmode: "group",
        bargap: 0.25,
        xaxis: { type: "category" },
        yaxis: { range: [0, 1.02], title: { text: "F1" } },
      },
    }));
  }
}

function categories() {
  let pair = DATA.pairs[0];
  let marked = null;
  byId("pair").replaceChildren(...OTHERS.map((name, i) => el("option", { value: i }, name)));
  byId("which").hidden = OTHERS.length === 1;
  const other = () => OTHERS[DATA.pairs.indexOf(pair)];
  const kinds = [
    ["same", null, "cannot be told apart"],
    ["first", "first", ""],
    ["second", "second", ""],
  ];
  const measured = CATEGORIES.id.map((_, column) => column).filter(tested);
  const paint = () => {
    const wins = (side) => pair.winner.filter((winner) => winner === side).length;
    const higher = measured.filter((c) => pair.second[c] > pair.first[c]).length;
    const lower = measured.filter((c) => pair.second[c] < pair.first[c]).length;
    byId("wins").textContent =
      `Of ${plural(measured.length, "category", "categories")} with documents, ${other()} has the higher F1 in ${count(higher)} (surely in ${count(wins("second"))}), ${NAMES[0]} in ${count(lower)} (surely in ${count(wins("first"))}). Surely: p below 0.05 in the randomisation test, corrected for the number of categories after Holm.`;
    chart(byId("scatter"), `F1 of each category, ${NAMES[0]} against ${other()}; the list holds the same`, (c) => ({
      traces: [
        {
          x: [0, 1],
          y: [0, 1],
          mode: "lines",
          line: { color: c.soft, dash: "dash", width: 1 },
          hoverinfo: "skip",
          showlegend: false,
        },
        ...kinds.map(([, winner, words], i) => {
          const here = measured.filter((column) => pair.winner[column] === winner);
          return {
            x: here.map((column) => pair.first[column]),
            y: here.map((column) => pair.second[column]),
            mode: "markers",
            customdata: here,
            name: words || `surely better: ${plain(winner === "first" ? NAMES[0] : other())}`,
            text: here.map((column) => `${plain(pathOf(column))}<br>${plural(fact("test", column), "document", "documents")}`),
            marker: {
              color: [c.guess, c.run, c.base][i],
              symbol: ["circle-open", "square", "diamond"][i],
              size: here.map((column) => 6 + 3 * Math.log10(1 + fact("test", column))),
              line: { width: 1.5 },
            },
            hovertemplate: `%{text}<br>%{x:.3f} and %{y:.3f}<extra></extra>`,
          };
        }),
        ...(marked === null
          ? []
          : [
              {
                x: [pair.first[marked]],
                y: [pair.second[marked]],
                mode: "markers",
                marker: { color: c.marker, size: 20, symbol: "circle-open", line: { width: 3 } },
                showlegend: false,
                hoverinfo: "skip",
              },
            ]),
      ],
      layout: {
        height: 480,
        xaxis: { title: { text: `F1, ${plain(NAMES[0])}` }, range: [-0.03, 1.05] },
        yaxis: { title: { text: `F1, ${plain(other())}` }, range: [-0.03, 1.05] },
      },
    }));
    byId("scatter").removeAllListeners("plotly_click");
    byId("scatter").on("plotly_click", (event) => choose(event.points[0].customdata));
  };
  function choose(column) {
    if (!Number.isInteger(column)) return;
    marked = column;
    paint();
    list.mark(column);
    byId("chosen").replaceChildren(
      `${pathOf(column)}: ${score(pair.first[column])} and ${score(pair.second[column])}, difference ${signed(pair.second[column] - pair.first[column])} `,
      range(pair.interval[column], signed) || "",
      ` ${chance(pair.holm[column])}`,
    );
  }
  // Only what the corrected test tells apart is coloured.
  const change = (value, c) =>
    value === null ? "–" : el("span", { class: `${sign({ winner: pair.winner[c] })}-text` }, signed(value));
  const value = (key) => (c) => (tested(c) ? pair[key][c] : null);
  const columns = [
    ["Documents", "optional", (c) => fact("test", c), count],
    ["First", null, value("first"), (one) => score(one)],
    ["Other", null, value("second"), (one) => score(one)],
    ["Difference", null, (c) => (tested(c) ? pair.second[c] - pair.first[c] : null), change],
    ["p", null, value("holm"), (one) => (one === null ? "–" : one < 0.001 ? "< 0.001" : score(one))],
  ];
  const swatch = (c) => ({ first: "var(--run)", second: "var(--base)" })[pair.winner[c]] || "var(--none)";
  const list = new CategoryList(byId("list"), byId("search"), byId("found"), choose, columns, swatch);
  byId("pair").addEventListener("change", (event) => {
    pair = DATA.pairs[Number(event.target.value)];
    marked = null;
    byId("chosen").replaceChildren();
    paint();
    list.show();
  });
  paint();
}

for (const part of [start, verdicts, measures, levels, categories]) part();
