// The page of a search: what came out best, how it got there, which settings matter.

const TRIALS = DATA.trials;
const UP = DATA.direction !== "minimize";
const better = (a, b) => (UP ? a > b : a < b);
const known = TRIALS.filter((trial) => trial.value !== null && trial.value !== undefined);
const bestTrial = TRIALS.find((trial) => trial.number === DATA.best) || null;
const metric = DATA.metric.replace(/_/g, " ").replace(/ f1$/, "-F1");
const KEYS = [...new Set(TRIALS.flatMap((trial) => Object.keys(trial.params)))].sort();

function said(value) {
  if (value === undefined) return "–";
  if (typeof value === "number") return minus(Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(4))));
  if (typeof value === "string") return value;
  if (value && typeof value === "object" && value.type && Object.keys(value).length === 1) return value.type;
  return JSON.stringify(value);
}

const seconds = (value) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });

// 1, 2 and 5 of each power of ten, over many powers 1 alone; where too few of them lie between the ends, the ends.
function logTicks(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const steps = high / low > 1000 ? [1] : [1, 2, 5];
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) powers.push(power);
  const ticks = powers.flatMap((power) => steps.map((step) => Number(`${step}e${power}`)));
  const between = ticks.filter((tick) => tick >= low && tick <= high);
  const tickvals = between.length > 1 ? ticks : [low, high];
  return { tickvals, ticktext: tickvals.map((tick) => String(Number(tick.toPrecision(3)))) };
}

function start() {
  const states = ["complete", "pruned", "failed", "running"]
    .map((state) => [state, TRIALS.filter((trial) => trial.state === state).length])
    .filter(([, number]) => number);
  const names = { complete: "finished", pruned: "given up early", failed: "failed", running: "running" };
  byId("title").textContent = DATA.name;
  byId("subtitle").textContent =
    `${metric} on held-out documents of training, ${UP ? "the higher the better" : "the lower the better"} · ${plural(TRIALS.length, "trial", "trials")}${states.length ? `: ${states.map(([state, number]) => `${count(number)} ${names[state]}`).join(", ")}` : ""}`;
  byId("footer").textContent =
    `Made by ${DATA.made_by} of the search over ${DATA.config}. This file holds everything that it shows; nothing was fetched.`;
  const place = byId("best-body");
  if (!bestTrial) {
    place.append(el("p", { class: "note" }, "No trial has finished yet, so there is nothing to recommend."));
    return;
  }
  place.append(
    el(
      "div",
      { class: "cards" },
      el(
        "div",
        { class: "card" },
        el("div", { class: "name" }, `${metric} of trial ${bestTrial.number}`),
        el("div", { class: "value" }, score(bestTrial.value, 4)),
        el("div", { class: "small soft" }, `${seconds(bestTrial.seconds)} seconds`),
      ),
    ),
    el(
      "p",
      { class: "small soft" },
      "The best of many trials on the same documents looks a little better than it is: measure it on test.",
    ),
    table(
      ["setting", "value", "importance"],
      Object.entries(bestTrial.params).map(([key, value]) => [
        key,
        said(value),
        key in DATA.importance ? score(DATA.importance[key], 2) : "–",
      ]),
      "The best settings",
    ),
  );
}

function progress() {
  const place = byId("progress-body");
  if (!known.length) {
    place.append(el("p", { class: "soft" }, "Nothing to draw yet."));
    return;
  }
  const node = el("div", {});
  place.append(
    figure(
      "Trial by trial",
      node,
      "The line is the best so far. A trial that was given up early is drawn at its last epoch's value, one that failed is not drawn.",
    ),
  );
  let best = null;
  const ordered = [...known].sort((a, b) => a.number - b.number);
  const line = ordered.map((trial) => (best = best === null || better(trial.value, best) ? trial.value : best));
  const given = TRIALS.filter((trial) => trial.state === "pruned" && trial.epochs.length);
  chart(node, "Values of the trials in their order, and the best so far", (c) => ({
    traces: [
      {
        x: ordered.map((trial) => trial.number),
        y: line,
        mode: "lines",
        line: { shape: "hv", color: c.base, width: 2 },
        name: "best so far",
        hoverinfo: "skip",
      },
      {
        x: ordered.map((trial) => trial.number),
        y: ordered.map((trial) => trial.value),
        mode: "markers",
        marker: { color: c.run, size: 9 },
        name: "finished",
        hovertemplate: "trial %{x}: %{y:.4f}<extra></extra>",
      },
      ...(given.length
        ? [
            {
              x: given.map((trial) => trial.number),
              y: given.map((trial) => trial.epochs[trial.epochs.length - 1].value),
              mode: "markers",
              marker: { color: c.guess, size: 8, symbol: "x-thin-open", line: { width: 2 } },
              name: "given up early",
              hovertemplate: "trial %{x}: %{y:.4f}<extra></extra>",
            },
          ]
        : []),
    ],
    layout: { height: 330, xaxis: { title: { text: "trial" } }, yaxis: { title: { text: metric } } },
  }));
  const curved = TRIALS.filter((trial) => trial.epochs.length > 1);
  if (!curved.length) return;
  const curves = el("div", {});
  place.append(figure("Epoch by epoch", curves, "One line a trial; the thick one is the best."));
  chart(curves, "Values of the trials by epoch", (c) => ({
    traces: curved.map((trial) => {
      const is = trial === bestTrial;
      return {
        x: trial.epochs.map((one) => one.epoch),
        y: trial.epochs.map((one) => one.value),
        mode: "lines",
        name: `trial ${trial.number}`,
        showlegend: false,
        line: {
          color: is ? c.marker : trial.state === "pruned" ? c.guess : c.run,
          width: is ? 3.5 : 1.2,
          dash: trial.state === "pruned" ? "dot" : "solid",
        },
        hovertemplate: `trial ${trial.number}, epoch %{x}: %{y:.4f}<extra></extra>`,
      };
    }),
    layout: { height: 330, xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: metric } } },
  }));
}

function settings() {
  const shares = Object.entries(DATA.importance).sort((a, b) => a[1] - b[1]);
  if (!shares.length)
    byId("importance").append(el("p", { class: "soft" }, "Too few trials have finished to say which settings matter."));
  else {
    const node = el("div", {});
    byId("importance").append(
      figure("Which settings matter", node, "How much of the difference between good and bad trials goes with a setting."),
    );
    chart(node, "Importance of the settings", (c) => ({
      traces: [
        {
          type: "bar",
          orientation: "h",
          x: shares.map(([, share]) => share),
          y: shares.map(([key]) => plain(key)),
          marker: { color: c.run },
          hovertemplate: "%{y}: %{x:.3f}<extra></extra>",
        },
      ],
      layout: { height: 90 + 34 * shares.length, xaxis: { title: { text: "importance" }, rangemode: "tozero" } },
    }));
  }
  for (const key of KEYS) {
    const having = known.filter((trial) => key in trial.params);
    if (!having.length) continue;
    const numeric = having.every((trial) => typeof trial.params[key] === "number");
    const log = numeric && DATA.space[key] && DATA.space[key].log;
    const ticks = log ? logTicks(having.map((trial) => trial.params[key])) : {};
    const node = el("div", {});
    byId("settings-body").append(figure(key, node));
    chart(node, `${metric} by ${key}`, (c) => ({
      traces: [
        {
          x: having.map((trial) => (numeric ? trial.params[key] : plain(said(trial.params[key])))),
          y: having.map((trial) => trial.value),
          mode: "markers",
          text: having.map((trial) => `trial ${trial.number}`),
          marker: {
            size: having.map((trial) => (trial === bestTrial ? 14 : 9)),
            symbol: having.map((trial) => (trial === bestTrial ? "star" : "circle")),
            color: having.map((trial) => (trial === bestTrial ? c.marker : c.run)),
          },
          hovertemplate: "%{text}<br>%{x}: %{y:.4f}<extra></extra>",
        },
      ],
      layout: {
        height: 270,
        showlegend: false,
        xaxis: { type: !numeric ? "category" : log ? "log" : "linear", ...ticks },
        yaxis: { title: { text: metric } },
      },
    }));
  }
}

function trials() {
  const ordered = [...TRIALS].sort((a, b) => {
    const [x, y] = [a, b].map((trial) => (trial.value === null || trial.value === undefined ? null : trial.value));
    if (x === null || y === null) return (x === null) - (y === null) || a.number - b.number;
    return better(x, y) ? -1 : better(y, x) ? 1 : a.number - b.number;
  });
  const rows = ordered.map((trial) => [
    String(trial.number),
    trial.error
      ? el("span", {}, `failed: ${trial.error}`)
      : trial.state === "pruned"
        ? "given up early"
        : trial.state === "complete"
          ? "finished"
          : trial.state,
    score(trial.value, 4),
    seconds(trial.seconds),
    ...KEYS.map((key) => said(trial.params[key])),
  ]);
  byId("trials-body").append(
    table(["trial", "state", metric, "seconds", ...KEYS], rows, "All trials", "stacked"),
    folded("What was searched", el("pre", { tabindex: "0" }, JSON.stringify(DATA.space, null, 2))),
  );
}

for (const part of [start, progress, settings, trials]) part();
