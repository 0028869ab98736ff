// The panel of one category: its scores, curve, histogram, what it is confused with; and below it its surest mistakes.

const DETAILS = DATA.details;
const BINS = 20;

class Panel {
  constructor(node, mistakes, status, choose, back) {
    Object.assign(this, { node, below: mistakes, status, choose, back });
    for (const part of [node, mistakes])
      part.addEventListener("keydown", (event) => {
        if (event.key === "Escape") this.back();
      });
  }

  show(column, takeFocus) {
    const heading = el("h3", { tabindex: "-1", id: "panel-title" }, CATEGORIES.name[column]);
    const curve = DETAILS && DETAILS.curves[column] ? el("div", {}) : null;
    const histogram = DETAILS ? el("div", {}) : null;
    const moved = RUN.decoding && RUN.decoding !== "none";
    const beside = moved ? " Decoding looks at other categories too and can put the cross beside the curve." : "";
    this.node.replaceChildren(
      heading,
      this.place(column),
      ...(CATEGORIES.f1 ? [this.scores(column)] : []),
      this.about(column),
      ...(curve
        ? [
            figure(
              "Precision over recall",
              curve,
              `The cross is what was decided. A curve ends where no more of its documents have a score.${beside}`,
            ),
          ]
        : []),
      ...(histogram
        ? [figure("Scores", histogram, "Documents by score, on a logarithmic axis: with the category and without it.")]
        : []),
      ...(DETAILS ? this.confusions(column) : []),
      el("p", { class: "screen" }, el("button", { type: "button", onclick: () => this.back() }, "Back to the list")),
    );
    this.below.replaceChildren(...(DETAILS ? this.mistakes(column) : []));
    if (curve) this.drawCurve(curve, column);
    if (histogram) this.drawHistogram(histogram, column);
    this.status.textContent = `Shown: ${pathOf(column)}`;
    if (takeFocus) heading.focus();
  }

  link(column, text) {
    return el(
      "button",
      { type: "button", class: "link", onclick: (event) => this.choose(column, event.detail === 0) },
      text || CATEGORIES.name[column],
    );
  }

  place(column) {
    const above = way(column).slice(0, -1);
    const further = (CATEGORIES.further_parents[column] || []).map((parent, i) => [
      i ? ", " : " · also below ",
      this.link(parent),
    ]);
    const id = CATEGORIES.id[column] !== CATEGORIES.name[column] ? ` · id ${CATEGORIES.id[column]}` : "";
    return el(
      "p",
      { class: "small soft" },
      `Level ${CATEGORIES.level[column]}`,
      above.length ? " · " : "",
      above.map((parent, i) => [i ? " › " : "", this.link(parent)]).flat(),
      further.flat(2),
      id,
    );
  }

  scores(column) {
    const cell = (key) => el("span", {}, score(fact(key, column)), " ", range(fact(`${key}_interval`, column)));
    const rows = [["this run", cell("precision"), cell("recall"), cell("f1")]];
    const beside = ["precision", "recall", "f1"].map((key) => score(fact(`baseline_${key}`, column)));
    if (CATEGORIES.baseline_f1) rows.push(["linear baseline", ...beside]);
    return table(["", "precision", "recall", "F1"], rows, `Scores of ${CATEGORIES.name[column]}`);
  }

  about(column) {
    const threshold = fact("threshold", column);
    const decided = threshold === null ? "never decided" : `decided from a score of ${score(threshold)}`;
    const facts = [
      `${count(fact("test", column))} documents here`,
      `${count(fact("train", column))} in train`,
      ...(RUN.task === "multiclass" ? [] : [decided]),
    ];
    if (DETAILS)
      facts.push(`${count(DETAILS.wrong_count[column])} wrongly decided`, `${count(DETAILS.missed_count[column])} missed`);
    const below = children[column];
    const shown = below
      .slice(0, 12)
      .map((child, i) => [i ? ", " : "", this.link(child)])
      .flat();
    return el(
      "div",
      {},
      el("p", { class: "small" }, facts.join(" · ")),
      below.length
        ? el("p", { class: "small" }, `Below it (${count(below.length)}): `, shown, below.length > 12 ? ", …" : "")
        : null,
    );
  }

  drawCurve(node, column) {
    const [recall, precision] = DETAILS.curves[column].map((values) => values.map((value) => value / 1000));
    const decided = [fact("recall", column), fact("precision", column)];
    const spoken = `Precision over recall of ${CATEGORIES.name[column]}: decided at precision ${score(decided[1])}, recall ${score(decided[0])}`;
    chart(node, spoken, (c) => ({
      traces: [
        {
          x: recall,
          y: precision,
          mode: recall.length > 1 ? "lines" : "markers",
          name: "all thresholds",
          // From a point on wrong documents come first: precision falls, then recall rises.
          line: { shape: "vh", color: c.run, width: 2 },
          hovertemplate: "recall %{x:.3f}<br>precision %{y:.3f}<extra></extra>",
        },
        {
          x: [decided[0]],
          y: [decided[1]],
          mode: "markers",
          name: "as decided",
          marker: { color: c.marker, size: 13, symbol: "x" },
          hovertemplate: "as decided: recall %{x:.3f}, precision %{y:.3f}<extra></extra>",
        },
      ],
      layout: {
        height: 270,
        xaxis: { title: { text: "recall" }, range: [-0.02, 1.03] },
        yaxis: { title: { text: "precision" }, range: [-0.02, 1.05] },
      },
    }));
  }

  drawHistogram(node, column) {
    const [positives, negatives] = DETAILS.histograms[column];
    const middles = positives.map((_, i) => (i + 0.5) / BINS);
    const threshold = fact("threshold", column);
    const bars = (y, name, marker) => ({
      type: "bar",
      x: middles,
      y,
      name,
      marker,
      hovertemplate: `%{y:,} ${name}<br>score about %{x:.2f}<extra></extra>`,
    });
    chart(node, `Scores of ${CATEGORIES.name[column]}: documents with and without it`, (c) => ({
      traces: [bars(negatives, "without it", striped(c.guess, "/")), bars(positives, "with it", { color: c.run })],
      layout: {
        height: 220,
        bargap: 0.05,
        xaxis: { title: { text: "score" }, range: [0, 1] },
        yaxis: { type: "log", title: { text: "documents" }, dtick: 1 },
        shapes:
          threshold === null
            ? []
            : [
                {
                  type: "line",
                  x0: threshold,
                  x1: threshold,
                  yref: "paper",
                  y0: 0,
                  y1: 1,
                  line: { color: c.marker, width: 2, dash: "dash" },
                },
              ],
        annotations:
          threshold === null
            ? []
            : [
                {
                  x: threshold,
                  xref: "x",
                  yref: "paper",
                  y: 1,
                  yanchor: "top",
                  xanchor: threshold > 0.6 ? "right" : "left",
                  text: " threshold ",
                  showarrow: false,
                  font: { color: c.marker },
                },
              ],
      },
    }));
  }

  confusions(column) {
    const list = (pairs) =>
      el(
        "ul",
        { class: "plain" },
        pairs.map(([other, documents]) =>
          el("li", {}, this.link(other, pathOf(other)), ` in ${plural(documents, "document", "documents")}`),
        ),
      );
    if (!DETAILS.instead) return [el("p", { class: "small" }, "There are more confusions than can be counted.")];
    const [instead, belonging] = [DETAILS.instead[column], DETAILS.belonging[column]];
    if (!instead.length && !belonging.length) return [];
    return [
      el(
        "div",
        {},
        el("h4", {}, "Confused with, on its own level"),
        instead.length
          ? [el("p", { class: "small soft" }, "Documents that were missed here were given:"), list(instead)]
          : null,
        belonging.length
          ? [el("p", { class: "small soft" }, "Documents that were wrongly put here lack:"), list(belonging)]
          : null,
      ),
    ];
  }

  mistakes(column) {
    const part = (title, pairs, all) =>
      el(
        "div",
        {},
        el("h4", {}, title, pairs.length < all ? ` (${pairs.length} of ${count(all)})` : ""),
        pairs.length
          ? pairs.map((pair) => this.mistake(pair))
          : el("p", { class: "small" }, all ? "Other categories have more: there is no room for these." : "None."),
      );
    return [
      el("h3", {}, `The surest mistakes of ${CATEGORIES.name[column]}`),
      el(
        "div",
        { class: "columns" },
        part("Wrongly decided, the highest scores first", DETAILS.wrong[column], DETAILS.wrong_count[column]),
        part("Missed, the lowest scores first", DETAILS.missed[column], DETAILS.missed_count[column]),
      ),
    ];
  }

  mistake([number, value]) {
    const documents = DETAILS.documents;
    const names = (columns) => deepest(columns).map(pathOf).join("; ") || "nothing";
    return el(
      "div",
      { class: "mistake" },
      el("div", { class: "small" }, el("strong", {}, `score ${score(value)}`), ` · document ${documents.id[number]}`),
      documents.text[number] === null
        ? null
        : el("blockquote", { dir: "auto" }, documents.text[number] || "(an empty document)"),
      el("div", { class: "small soft" }, `labelled: ${names(documents.gold[number])}`),
      el("div", { class: "small soft" }, `decided: ${names(documents.chosen[number])}`),
    );
  }
}

// Without categories that are implied by one below them.
function deepest(columns) {
  const implied = new Set();
  const open = [...columns];
  while (open.length) {
    const column = open.pop();
    for (const above of [CATEGORIES.parent[column], ...(CATEGORIES.further_parents[column] || [])]) {
      if (above >= 0 && !implied.has(above)) {
        implied.add(above);
        open.push(above);
      }
    }
  }
  return columns.filter((column) => !implied.has(column));
}
