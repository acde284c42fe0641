// Single numbers: stat, gauge, bar gauge and pie. And tables, which anybody can read.
import { el, over, seen } from "./dash-format.js";

const linked = (t, ...inside) => (t.link ? el("a", { href: t.link, rel: "noopener noreferrer" }, ...inside) : el("span", {}, ...inside));

// tiles draws the numbers of a panel.
export function tiles(box, d) {
  const o = d.layout;
  if (d.kind === "piechart") return pie(box, d);
  const make = { gauge, bargauge: bar }[d.kind] ?? stat;
  const across = o.orientation === "vertical" || (o.orientation === "auto" && d.kind !== "bargauge");
  box.replaceChildren(el("div", { tabindex: "0", role: "group", "aria-label": d.title || "Values", class: `dash-tiles dash-${d.kind}${across ? " across" : ""}${d.tiles.length > 12 ? " many" : ""}` }, ...d.tiles.map((t) => make(t, o))));
}

function stat(t, o) {
  const fill = o.color.startsWith("background") && t.color && t.color !== "text";
  const words = [o.names && t.name ? el("span", { class: "dash-name" }, t.name) : null, o.values ? el("b", { class: "dash-value" }, ...value(t, fill, o)) : null];
  return el("div", { class: "dash-tile" + (fill ? " filled" : ""), style: fill ? { background: t.color, color: over(t.color) } : {} }, linked(t, ...words.filter(Boolean)), o.graph && t.spark ? spark(t, fill) : null);
}

// value is the number with its colour beside it: coloured text is hard to read.
function value(t, fill, o) {
  const dot = !fill && o.color !== "none" && t.color && t.color !== "text" ? el("i", { class: "dash-dot", style: { background: seen(t.color) } }) : null;
  return [dot, t.text || "–"].filter(Boolean);
}

function spark(t, fill) {
  const known = t.spark.filter((v) => v !== null), low = Math.min(...known), high = Math.max(...known), span = high - low || 1;
  let d = "", pen = "M";
  t.spark.forEach((v, i) => {
    if (v === null) { pen = "M"; return; }
    d += `${pen}${((i / Math.max(1, t.spark.length - 1)) * 100).toFixed(1)} ${(28 - ((v - low) / span) * 26).toFixed(1)}`;
    pen = "L";
  });
  const color = fill ? over(t.color) : seen(t.color || "#5794F2");
  return el("svg", { class: "dash-spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" },
    el("path", { d, fill: "none", stroke: color, "stroke-width": "1.5", "vector-effect": "non-scaling-stroke" }));
}

// gauge is three quarters of a ring; the thin ring outside shows the thresholds.
function gauge(t, o) {
  const arc = (r, from, to) => {
    const at = (p) => { const a = ((135 + 270 * p) * Math.PI) / 180; return [50 + r * Math.cos(a), 50 + r * Math.sin(a)].map((n) => n.toFixed(2)); };
    return `M${at(from)}A${r} ${r} 0 ${(to - from) * 270 > 180 ? 1 : 0} 1 ${at(to)}`;
  };
  const zones = (t.zones ?? []).map((z, i, all) => [z, all[i + 1]?.from ?? 1]).filter(([z, to]) => to > z.from && z.color);
  return el("div", { class: "dash-tile" }, el("svg", { class: "dash-ring", viewBox: "0 0 100 86", role: "img", "aria-label": `${t.name ?? ""} ${t.text}, on a scale from ${t.low} to ${t.high}` },
    el("path", { d: arc(38, 0, 1), class: "dash-track" }),
    ...zones.map(([z, to]) => el("path", { d: arc(47, z.from, Math.min(1, to)), stroke: seen(z.color), "stroke-width": "3", fill: "none" })),
    t.part > 0 ? el("path", { d: arc(38, 0, t.part), stroke: seen(t.color || "#5794F2"), "stroke-width": "11", fill: "none" }) : null),
  el("b", { class: "dash-value" }, linked(t, t.text || "–")), o.names && t.name ? el("span", { class: "dash-name" }, t.name) : null);
}

function bar(t, o) {
  return el("div", { class: "dash-tile" }, el("span", { class: "dash-name" }, linked(t, o.names ? t.name ?? "" : "")),
    el("span", { class: "dash-bar", "aria-hidden": "true" }, el("i", { style: { width: (t.part * 100).toFixed(2) + "%", background: seen(t.color || "#5794F2") } })),
    el("b", { class: "dash-value" }, t.text || "–"));
}

function pie(box, d) {
  let at = -0.25;
  const point = (p, r) => [50 + r * Math.cos(2 * Math.PI * p), 50 + r * Math.sin(2 * Math.PI * p)].map((n) => n.toFixed(2)), inner = d.layout.donut ? 26 : 0;
  const slices = d.tiles.filter((t) => t.part > 0).map((t) => {
    const from = at, to = (at += Math.min(t.part, 0.9999)), big = t.part > 0.5 ? 1 : 0;
    const back = inner ? `L${point(to, inner)}A${inner} ${inner} 0 ${big} 0 ${point(from, inner)}` : "L50 50";
    return el("path", { d: `M${point(from, 48)}A48 48 0 ${big} 1 ${point(to, 48)}${back}Z`, fill: seen(t.color), class: "dash-slice" }, el("title", {}, `${t.name}: ${t.text}`));
  });
  box.replaceChildren(el("div", { class: "dash-pie" }, el("svg", { viewBox: "0 0 100 100", role: "img", "aria-label": `${d.title || "Shares"}: the list says the same` }, ...slices),
    el("ul", { class: "dash-shares", tabindex: "0", "aria-label": "Shares" }, ...d.tiles.map((t) => el("li", {}, el("i", { class: "dash-key", style: { background: seen(t.color) } }), el("span", {}, t.name ?? ""), el("b", {}, `${t.text} · ${(t.part * 100).toFixed(0)}%`))))));
}

// tables draws the tables of a panel.
export function tables(box, list, title) {
  box.replaceChildren(el("div", { class: "dash-tables", tabindex: "0", role: "region", "aria-label": (title || "Table") + ", scrolls" }, ...list.map(table)));
}

function table(t) {
  return el("table", {}, t.caption ? el("caption", {}, t.caption) : null,
    t.header ? el("thead", {}, el("tr", {}, ...t.columns.map((c) => el("th", { scope: "col", class: c.right ? "num" : null, style: c.width ? { minWidth: c.width + "px" } : {} }, c.name)))) : null,
    el("tbody", {}, ...(t.rows ?? []).map((row) => el("tr", {}, ...row.map((c, i) => {
      const text = c.link ? el("a", { href: c.link, rel: "noopener noreferrer" }, c.text) : c.text;
      const parts = [];
      if (c.color && !c.fill && c.part === undefined) parts.push(el("i", { class: "dash-dot", style: { background: seen(c.color) } }));
      if (c.part !== undefined) parts.push(el("span", { class: "dash-bar", "aria-hidden": "true" }, el("i", { style: { width: (c.part * 100).toFixed(1) + "%", background: seen(c.color || "#5794F2") } })));
      return el("td", { class: t.columns[i]?.right ? "num" : null, style: c.fill ? { background: c.color, color: over(c.color) } : {} }, ...parts, text);
    })))));
}
