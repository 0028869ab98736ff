// The end of a report: calibration, labels, how decisions fit the taxonomy.

function calibration() {
  const place = byId("calibration-body");
  const found = DATA.calibration;
  if (!found) {
    place.append(el("p", { class: "soft" }, "These metrics say nothing of calibration."));
    return;
  }
  const bins = (found.bins || []).filter((bin) => bin.pairs);
  if (bins.length) diagram(place, bins);
  place.append(errors(found, DATA.intervals.calibration || {}, DATA.beside.calibration));
}

// Mean score against share of right decisions.
function diagram(place, bins) {
  const node = el("div", {});
  const rows = bins.map((bin) => [
    `${score(bin.from, 2)} to ${score(bin.to, 2)}`,
    count(bin.pairs),
    score(bin.mean_score),
    score(bin.share),
  ]);
  const caption =
    "On the diagonal a score of 0.7 means that 7 of 10 such decisions are right. Below it scores are too high, " +
    "above it too low. Larger points stand for more pairs of document and category.";
  const numbers = table(["scores", "pairs", "mean score", "share right"], rows, "Calibration");
  place.append(figure("Scores against shares", node, caption, folded("The numbers", numbers)));
  const most = Math.max(...bins.map((bin) => bin.pairs));
  const size = bins.map((bin) => 6 + (12 * Math.log(1 + bin.pairs)) / Math.log(1 + most));
  const ideal = { x: [0, 1], y: [0, 1], mode: "lines", name: "as it should be", hoverinfo: "skip" };
  const own = {
    x: bins.map((bin) => bin.mean_score),
    y: bins.map((bin) => bin.share),
    mode: "lines+markers",
    name: "this run",
    text: bins.map((bin) => `${count(bin.pairs)} pairs`),
    hovertemplate: "score %{x:.3f}, right %{y:.3f}<br>%{text}<extra></extra>",
  };
  chart(node, "Calibration: share of right decisions by score", (c) => ({
    traces: [
      { ...ideal, line: { color: c.soft, dash: "dash", width: 1 } },
      { ...own, line: { color: c.run, width: 1.5 }, marker: { color: c.run, size } },
    ],
    layout: {
      height: 360,
      xaxis: { title: { text: "mean score" }, range: [-0.03, 1.05] },
      yaxis: { title: { text: "share that is right" }, range: [-0.03, 1.05] },
    },
  }));
}

function errors(found, sure, beside) {
  const names = [
    ["expected calibration error", "ece"],
    ["the same, category by category", "classwise_ece"],
    ["Brier score", "brier"],
  ].filter(([, key]) => found[key] !== undefined);
  const four = (value) => score(value, 4);
  const rows = names.map(([name, key]) => [
    name,
    el("span", {}, four(found[key]), " ", range(sure[key], four)),
    ...(beside ? [four(beside[key])] : []),
  ]);
  const by = (found.levels || []).map((row, i) => [
    `level ${row.level}`,
    ...["ece", "brier"].map((key) => el("span", {}, four(row[key]), " ", range(((sure.levels || [])[i] || {})[key], four))),
  ]);
  const reading =
    "Lower is better. Most pairs of document and category are easy ones: compare these numbers with each other, " +
    "not with those of other corpora.";
  const misleads = DATA.config.decision && DATA.config.decision.calibration === null && found.ece > 0.02;
  const advice = "Thresholds do not mind, but as probabilities these scores mislead; decision.calibration bends them.";
  const levels = table(["", "expected calibration error", "Brier score"], by, "Calibration by level");
  return el(
    "div",
    {},
    el("h3", {}, "How far off"),
    el("p", { class: "small soft" }, reading),
    table(["", "this run", ...(beside ? ["linear baseline"] : [])], rows, "Calibration errors"),
    beside ? el("p", { class: "small soft" }, "The linear baseline's scores are margins squeezed into 0 to 1; they order, and are no shares.") : null,
    misleads ? el("p", { class: "small" }, advice) : null,
    by.length > 1 ? folded("By level", levels) : null,
  );
}

function labels() {
  const place = byId("labels-body");
  if (DATA.labels) labelled(place, DATA.labels);
  if (DATA.support) supported(place, DATA.support);
  if (!DATA.labels && !DATA.support) place.append(el("p", { class: "soft" }, "This run folder says nothing of its labels."));
  fitting(byId("coherence-body"));
}

function countBars(node, label, barmode, x, bars, what, [xTitle, yTitle]) {
  chart(node, label, (c) => ({
    traces: bars(c).map(([name, y, marker]) => ({
      type: "bar",
      x,
      y,
      name,
      marker,
      hovertemplate: `%{y:,} ${what} ${name}<extra></extra>`,
    })),
    layout: {
      height: 290,
      barmode,
      xaxis: { type: "category", title: { text: xTitle } },
      yaxis: { title: { text: yTitle } },
    },
  }));
}

function labelled(place, given) {
  const node = el("div", {});
  const caption =
    `On average ${score(given.gold_mean, 2)} labelled, ${score(given.chosen_mean, 2)} decided; ` +
    `${count(given.gold[0])} documents have no label, ${count(given.chosen[0])} got none.`;
  place.append(figure("Categories a document", node, caption));
  const bars = (c) => [
    ["labelled", given.gold, { color: c.run }],
    ["decided", given.chosen, striped(c.base, "/")],
  ];
  const titles = ["categories", "documents"];
  countBars(node, "Documents by number of categories", "group", given.labels, bars, "documents", titles);
}

function supported(place, support) {
  const node = el("div", {});
  const { unseen, unseen_tested: here } = support;
  const never = `${plural(unseen.length, "category has", "categories have")} no documents in train and can never be learned`;
  const caption = unseen.length
    ? never + (here.length ? `; ${count(here.length)} of them ${here.length === 1 ? "has" : "have"} documents here.` : ".")
    : "Every category has documents in train.";
  const names = unseen.slice(0, 300).map(pathOf).join(" · ") + (unseen.length > 300 ? " · …" : "");
  const list = unseen.length ? folded("Categories without documents in train", el("p", { class: "small" }, names)) : null;
  place.append(figure("Categories by documents of train", node, caption, list));
  const untested = support.categories.map((all, i) => all - support.with_documents[i]);
  const bars = (c) => [
    ["measured here", support.with_documents, { color: c.run }],
    ["no documents here", untested, { color: c.none }],
  ];
  const titles = ["documents of train", "categories"];
  countBars(node, "Categories by documents of train", "stack", support.bins, bars, "categories", titles);
}

// How decisions fit the taxonomy: coherence, distance, confusions.
function fitting(place) {
  const told = [];
  if (DATA.coherence && !RUN.flat) {
    const { documents_with_violations: documents, violations } = DATA.coherence;
    const broken =
      `${plural(documents, "document was", "documents were")} given a category without its parent ` +
      `(${plural(violations, "time", "times")} in all; decoding: ${RUN.decoding}). decision.decoding can forbid that.`;
    told.push(violations ? broken : "Every decision fits the taxonomy: no category without its parents.");
  }
  if (DATA.distance && !RUN.flat) {
    const { error, decided, missed } = DATA.distance;
    told.push(
      `Distance in the taxonomy: on average a decision lies ${score(decided, 2)} edges from the nearest label, ` +
        `a label ${score(missed, 2)} edges from the nearest decision; ${score(error, 2)} over both.`,
    );
  }
  if (told.length) place.append(el("h3", {}, "Does it fit the taxonomy?"), ...told.map((text) => el("p", {}, text)));
  const pairs = DATA.siblings && DATA.siblings.confusions ? DATA.siblings.confusions.slice(0, 20) : [];
  const rows = pairs.map((pair) => [pair.category, pair.taken_for, count(pair.documents), pair.siblings ? "yes" : "no"]);
  const name = "The most frequent confusions";
  if (rows.length) place.append(folded(name, table(["category", "taken for", "documents", "siblings"], rows, name)));
}
