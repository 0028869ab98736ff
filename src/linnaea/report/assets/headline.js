// The first answer of a report: how good, beside the baseline and the guess.

const HEAD = DATA.headline;

function svg(tag, attributes, ...content) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...content);
  return node;
}

// A line from 0 to 1 with the run and its interval above it, what stands beside it below it.
function strip(row) {
  const x = (value) => 8 + value * 244;
  const marks = [];
  if (row.interval)
    marks.push(
      svg("rect", {
        x: x(row.interval[0]),
        y: 6,
        width: Math.max(x(row.interval[1]) - x(row.interval[0]), 1),
        height: 12,
        rx: 2,
        style: "fill: var(--run); opacity: .4",
      }),
    );
  marks.push(svg("circle", { cx: x(row.value), cy: 12, r: 4, style: "fill: var(--run)" }));
  const beside = [
    ["linear", row.baseline, "var(--base)"],
    ["guess", row.majority, "var(--guess)"],
  ].filter(([, value]) => value !== null && value !== undefined);
  for (const [, value, colour] of beside) {
    marks.push(svg("path", { d: `M${x(value)} 18 l-5 9 h10 z`, style: `fill: ${colour}` }));
  }
  const spoken = [`${row.name} ${score(row.value)}`, ...beside.map(([name, value]) => `${name} ${score(value)}`)].join(", ");
  return svg(
    "svg",
    { viewBox: "0 0 260 44", role: "img", "aria-label": spoken },
    svg("line", { x1: 8, x2: 252, y1: 17, y2: 17, style: "stroke: var(--soft)" }),
    ...marks,
    svg("text", { x: 8, y: 41, "text-anchor": "middle" }, "0"),
    svg("text", { x: 252, y: 41, "text-anchor": "middle" }, "1"),
  );
}

function card(row) {
  const item = (colour, name, value, more) =>
    value === null || value === undefined
      ? null
      : el(
          "div",
          { class: "small" },
          el("span", { class: "swatch", style: `background: ${colour}` }),
          `${name} ${score(value)} `,
          more || null,
        );
  const difference = row.difference;
  const against = difference
    ? el("span", { class: `${judged(difference)}-text` }, `(${signed(difference.value)})`)
    : null;
  return el(
    "div",
    { class: "card" },
    el("div", { class: "name" }, row.name),
    el("div", { class: "value" }, score(row.value)),
    row.interval
      ? el("div", { class: "small soft" }, `${Math.round(HEAD.confidence * 100)} % interval `, range(row.interval))
      : el("div", { class: "small soft" }, "no interval"),
    strip(row),
    item("var(--base)", "linear baseline", row.baseline, against),
    item("var(--guess)", "majority guess", row.majority),
  );
}

const has = (key) => HEAD.rows.some((row) => row[key] !== null && row[key] !== undefined);

function headline() {
  const verdict = byId("verdict");
  verdict.className = `verdict ${HEAD.verdict.kind}`;
  const guessed = HEAD.better_than_guess === false ? " Its micro-F1 is not above that of guessing the most frequent categories." : "";
  verdict.textContent = HEAD.verdict.text + guessed;
  byId("cards").replaceChildren(...HEAD.rows.filter((row) => HEAD.cards.includes(row.key)).map(card));
  byId("reading").textContent = reading().join(" ");
  const none = HEAD.confidence ? HEAD.rows.filter((row) => !row.interval).map((row) => row.name) : [];
  const without = none.length ? el("p", { class: "small soft" }, `Too costly for an interval: ${listed(none)}.`) : "";
  byId("scores").replaceChildren(folded("All measures, and what they mean", measures(), without));
}

// What the numbers in the cards are.
function reading() {
  const told = [];
  if (HEAD.confidence) {
    const drawn = HEAD.resamples ? `, from ${count(HEAD.resamples)} bootstrap samples of the documents` : "";
    const sure = `${Math.round(HEAD.confidence * 100)} % confidence`;
    told.push(`Intervals: where the number lies with ${sure} for other documents of the same kind${drawn}.`);
  }
  if (HEAD.baseline) told.push("Linear baseline: tf-idf and one linear model a category, trained on the same documents.");
  if (DATA.majority_count) {
    const names = DATA.majority
      .slice(0, 3)
      .map((column) => CATEGORIES.name[column])
      .join(", ");
    const several = `${count(DATA.majority_count)} most frequent categories`;
    const given = DATA.majority_count === 1 ? "most frequent category" : several;
    const more = DATA.majority_count > 3 ? ", …" : "";
    told.push(`Majority guess: every document gets the ${given} of train (${names}${more}); how many is chosen in its favour.`);
  }
  return told;
}

function measures() {
  const part = (key, name, cell) => (has(key) ? [[name, cell]] : []);
  const change = (difference) =>
    el("span", { class: `${judged(difference)}-text` }, signed(difference.value), " ", range(difference.interval, signed));
  const columns = [
    ["measure", (row) => el("span", {}, listed([row.name]), el("span", { class: "small soft optional" }, el("br"), row.meaning))],
    ["this run", (row) => el("span", {}, score(row.value), " ", range(row.interval))],
    ...part("baseline", "linear baseline", (row) => el("span", {}, score(row.baseline), " ", range(row.baseline_interval))),
    ...part("difference", "difference", (row) => (row.difference ? change(row.difference) : "")),
    ...part("majority", "majority guess", (row) => score(row.majority)),
  ];
  const rows = HEAD.rows.map((row) => columns.map(([, cell]) => cell(row)));
  return table(
    columns.map(([name]) => name),
    rows,
    "All measures",
    "stacked",
  );
}
