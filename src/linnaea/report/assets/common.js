"use strict";
// What all pages share: elements made as text (never as HTML), numbers, tables, and charts that follow theme and paper.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const minus = (text) => text.replace("-", "−");
const score = (value, digits = 3) => (value === null || value === undefined ? "–" : minus(value.toFixed(digits)));
// What is rounded to nothing has no sign.
const signed = (value) => {
  const text = value.toFixed(3);
  return Number(text) === 0 ? "0.000" : (value > 0 ? "+" : "") + minus(text);
};
const count = (value) => (value === null || value === undefined ? "–" : Number(value).toLocaleString("en"));
const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;
const range = (interval, form = score) =>
  interval ? el("span", { class: "range" }, `${form(interval[0])} to ${form(interval[1])}`) : null;
const WINNERS = { second: "better", first: "worse" };
// By the test, corrected for several measures, where there is one; else by the interval.
const judged = ({ interval: [low, high], winner }) =>
  winner !== undefined ? WINNERS[winner] || "same" : low > 0 ? "better" : high < 0 ? "worse" : "same";

// A comma within a name would look like the end of it where names are listed.
const listed = (names) => names.map((name) => name.replace(/, (\w+)$/, " ($1)")).join(", ");

// On narrow screens a `stacked` one stands row below row, each value behind the name of its column.
function table(head, rows, caption, kind) {
  return el(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      { class: kind },
      el("caption", { class: "hidden" }, caption),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          head.map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) =>
          el(
            "tr",
            {},
            row.map((cell, i) => el(i ? "td" : "th", i ? { "data-name": head[i] } : { scope: "row" }, cell)),
          ),
        ),
      ),
    ),
  );
}

const folded = (name, ...content) => el("details", {}, el("summary", {}, name), ...content);
const figure = (name, node, caption, ...more) =>
  el("figure", {}, name ? el("h3", {}, name) : null, node, caption ? el("figcaption", {}, caption) : null, ...more);

// plotly reads tags and entities in its texts: names are shown as they are.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const charts = new Map();
let printing = false;
// A column that gets narrower, because something came to stand beside it, is no resized window.
const widths = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    if (!printing && charts.has(target) && contentRect.width > 0 && Math.abs(contentRect.width - target.drawnWidth) > 1)
      resize(target);
  }
});

function resize(node) {
  node.drawnWidth = node.clientWidth;
  Plotly.Plots.resize(node);
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["bg", "fg", "soft", "line", "card", "link", "run", "run-soft", "base", "base-soft", "guess", "none", "marker"];
  return Object.fromEntries(names.map((name) => [name.replace("-s", "S"), style.getPropertyValue(`--${name}`).trim()]));
}

// build(colours) gives {traces, layout}; it is drawn again whenever the theme changes or the page goes to paper. The node must be on
// the page already.
function chart(node, label, build) {
  node.classList.add("chart");
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", label);
  charts.set(node, build);
  draw(node);
  widths.observe(node);
}

function draw(node) {
  const c = colours();
  const { traces, layout } = charts.get(node)(c);
  const axis = { gridcolor: c.line, linecolor: c.line, zerolinecolor: c.line, automargin: true, exponentformat: "none" };
  const whole = {
    paper_bgcolor: c.bg,
    plot_bgcolor: c.bg,
    font: { color: c.fg, family: "system-ui, sans-serif", size: 13 },
    margin: { l: 50, r: 12, t: 12, b: 42 },
    hoverlabel: { font: { family: "system-ui, sans-serif" } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    ...layout,
    xaxis: { ...axis, ...(layout.xaxis || {}) },
    yaxis: { ...axis, ...(layout.yaxis || {}) },
    width: printing ? Math.min(640, layout.width || 640) : undefined,
    autosize: !printing,
  };
  Plotly.react(node, traces, whole, { displayModeBar: false });
  node.drawnWidth = node.clientWidth;
}

// Stripes tell the second of two bars apart without its colour.
const striped = (color, shape) => ({ color, line: { color, width: 1 }, pattern: { shape, solidity: 0.45, size: 7 } });

function drawAll() {
  for (const node of [...charts.keys()]) {
    if (node.isConnected) draw(node);
    else charts.delete(node);
  }
}

function onPaper(yes) {
  if (printing === yes) return;
  printing = yes;
  for (const part of document.querySelectorAll("details")) {
    if (yes && !part.open) part.dataset.opened = "yes";
    if (yes) part.open = true;
    else if (part.dataset.opened) {
      part.open = false;
      delete part.dataset.opened;
    }
  }
  drawAll();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
matchMedia("print").addEventListener("change", (event) => onPaper(event.matches));
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
