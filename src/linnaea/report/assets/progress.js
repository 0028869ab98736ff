// The middle of a report: bars by level and by support, learning curves.

function whiskers(values, intervals) {
  if (!intervals || intervals.every((interval) => !interval)) return undefined;
  const gap = (sign, end) => values.map((value, i) => (intervals[i] ? Math.max(0, sign * (intervals[i][end] - value)) : 0));
  return { type: "data", symmetric: false, array: gap(1, 1), arrayminus: gap(-1, 0), thickness: 1.5, width: 4 };
}

// Bars of micro- and macro-F1, the baseline's beside them in stripes, and the same as a table.
function groupBars(place, title, names, rows, beside, sure, more) {
  const node = el("div", {});
  const of = (source, key) => (source || []).map((row) => (row ? row[key] : null));
  const traces = (c) =>
    [
      ["micro_f1", "micro-F1", c.run, c.base],
      ["macro_f1", "macro-F1", c.runSoft, c.baseSoft],
    ].flatMap(([key, name, own, other]) => [
      {
        type: "bar",
        x: names,
        y: of(rows, key),
        name,
        marker: { color: own },
        error_y: {
          color: c.fg,
          ...whiskers(of(rows, key), of(sure, key)),
          visible: Boolean(whiskers(of(rows, key), of(sure, key))),
        },
        hovertemplate: `${name} %{y:.3f}<extra></extra>`,
      },
      ...(beside
        ? [
            {
              type: "bar",
              x: names,
              y: of(beside, key),
              name: `${name}, linear`,
              marker: striped(other, key === "micro_f1" ? "/" : "\\"),
              hovertemplate: `linear: ${name} %{y:.3f}<extra></extra>`,
            },
          ]
        : []),
    ]);
  const cell = (source, sureties, i, key) =>
    source && source[i]
      ? el("span", {}, score(source[i][key]), " ", range(sureties && sureties[i] ? sureties[i][key] : null))
      : "–";
  const head = [
    "",
    ...more.map(([name]) => name),
    "micro-F1",
    ...(beside ? ["linear"] : []),
    "macro-F1",
    ...(beside ? ["linear"] : []),
  ];
  const body = rows.map((row, i) => [
    names[i],
    ...more.map(([, value]) => value(row)),
    cell(rows, sure, i, "micro_f1"),
    ...(beside ? [cell(beside, null, i, "micro_f1")] : []),
    cell(rows, sure, i, "macro_f1"),
    ...(beside ? [cell(beside, null, i, "macro_f1")] : []),
  ]);
  place.append(figure(title, node, null, folded("The numbers", table(head, body, title, "stacked"))));
  chart(node, `${title}: micro-F1 and macro-F1; the numbers stand in the table below`, (c) => ({
    traces: traces(c),
    layout: {
      height: 330,
      barmode: "group",
      bargap: 0.25,
      xaxis: { type: "category" },
      yaxis: { range: [0, 1.02], title: { text: "F1" } },
    },
  }));
}

function levels() {
  const place = byId("levels-body");
  groupBars(
    place,
    "By level",
    DATA.levels.map((row) => `level ${row.level}`),
    DATA.levels,
    DATA.beside.levels,
    DATA.intervals.levels,
    [["categories", (row) => count(row.categories)]],
  );
  if (!DATA.groups) {
    place.append(el("p", { class: "soft" }, "These metrics say nothing of head, middle and tail."));
    return;
  }
  const groups = DATA.groups.filter((row) => row.categories);
  const match = (rows) => (rows ? groups.map((group) => rows.find((row) => row.group === group.group)) : null);
  const span = (row) =>
    row.support_from === row.support_to
      ? count(row.support_to)
      : `${count(row.support_from)}–${row.support_to === null ? "" : count(row.support_to)}`;
  groupBars(
    place,
    "Head, middle and tail, by documents of train",
    groups.map((row) => row.group),
    groups,
    match(DATA.beside.groups),
    match(DATA.intervals.groups),
    [
      ["categories", (row) => count(row.categories)],
      ["documents of train", span],
    ],
  );
}

const CURVES = {
  micro_f1: "micro-F1",
  macro_f1: "macro-F1",
  hierarchical_f1: "hierarchical F1",
  average_precision: "average precision",
  f1: "F1",
};
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];

// The epoch whose weights were kept, as a line through a chart.
function kept(epochs, c) {
  const best = epochs
    .filter((line) => line.best)
    .map((line) => line.epoch)
    .pop();
  if (!best) return {};
  const line = { color: c.marker, width: 1.5, dash: "dot" };
  const words = { text: "kept ", xanchor: "right", yanchor: "bottom", showarrow: false, font: { color: c.marker } };
  return {
    shapes: [{ type: "line", x0: best, x1: best, yref: "paper", y0: 0, y1: 1, line }],
    annotations: [{ x: best, yref: "paper", y: 0, ...words }],
  };
}

function epochChart(node, label, epochs, lines, yaxis) {
  const x = epochs.map((line) => line.epoch);
  chart(node, label, (c) => ({
    traces: lines(c).map(([name, y, color, dash]) => ({
      x,
      y,
      name,
      mode: x.length > 1 ? "lines+markers" : "markers",
      line: { color, dash, width: 2 },
      marker: { size: 5, color },
      hovertemplate: `epoch %{x}: ${name} %{y:.4f}<extra></extra>`,
    })),
    layout: { height: 300, xaxis: { title: { text: "epoch" } }, yaxis, ...kept(epochs, c) },
  }));
}

function learning() {
  const place = byId("learning-body");
  const epochs = DATA.history;
  if (!epochs.length) {
    const reasons = {
      linear: "The linear strategy is fitted in one go",
      per_category: "Under per_category each category has a network of its own",
      ensemble: "No network has a share in this ensemble, and linear models are fitted in one go",
    };
    const why = reasons[RUN.strategy] || "This run kept no history";
    place.append(el("p", { class: "soft" }, `${why}: there are no epochs to draw.`));
    return;
  }
  if (RUN.strategy === "ensemble")
    place.append(el("p", { class: "small soft" }, "Of the network with the largest share among the members."));
  const keys = Object.keys(epochs[epochs.length - 1].dev || {});
  const measures = keys.filter((key) => key in CURVES && !(RUN.flat && key === "hierarchical_f1"));
  const dev = (key) => epochs.map((line) => (line.dev && line.dev[key] !== undefined ? line.dev[key] : null));
  const rows = epochs.map((line, i) => [
    String(line.epoch),
    score(line.loss, 4),
    ...keys.map((key) => score(dev(key)[i], key === "loss" ? 4 : 3)),
  ]);
  const [loss, scores] = [el("div", {}), el("div", {})];
  const second = measures.length ? figure("Measures on dev, at the fixed threshold", scores) : null;
  place.append(
    el("div", { class: "columns" }, figure("Loss", loss), second),
    folded("The numbers", table(["epoch", "loss", ...keys.map((key) => `dev ${key}`)], rows, "Epochs")),
  );
  const train = epochs.map((line) => line.loss);
  const losses = (c) => [
    ["train", train, c.run, "solid"],
    ...(keys.includes("loss") ? [["dev", dev("loss"), c.base, "dash"]] : []),
  ];
  epochChart(loss, "Loss by epoch", epochs, losses, { title: { text: "loss" }, rangemode: "tozero" });
  const colour = (c, i) => [c.run, c.base, c.guess, c.marker, c.fg][i % 5];
  const lines = (c) => measures.map((key, i) => [CURVES[key], dev(key), colour(c, i), DASHES[i % 5]]);
  if (measures.length) epochChart(scores, "Dev measures by epoch", epochs, lines, { range: [0, 1.02] });
}
