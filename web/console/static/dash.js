// A page of graphs. The server sends each panel as finished numbers; this asks for
// those that are in sight, paints them and asks again. Without it the page links
// every panel to a table of the same data.
import { el } from "./dash-format.js";
import { chart, heat } from "./dash-chart.js";
import { tables, tiles } from "./dash-tiles.js";

const dash = document.querySelector("[data-dash]") ?? document.createElement("div");
const undo = new WeakMap(), held = new WeakMap();
const page = {
  font: "11px Inter, system-ui, sans-serif",
  marks: JSON.parse(dash.dataset.marks || "[]") ?? [],
  // zoom opens the page at another time: the address says what is looked at.
  zoom(from, to) {
    const url = new URL(location.href);
    url.searchParams.set("from", Math.round(from));
    url.searchParams.set("to", Math.round(to));
    location.assign(url);
  },
};

const say = (panel, text, state) => panel.querySelector(".dash-box").replaceChildren(el("p", { class: "dash-none" + (state ? " " + state : "") }, text));

function paint(panel, d) {
  const box = panel.querySelector(".dash-box");
  undo.get(panel)?.();
  undo.delete(panel);
  held.set(panel, d);
  const notes = panel.querySelector(".dash-notes");
  if (notes) {
    notes.hidden = !d.notes?.length;
    notes.querySelector("ul").replaceChildren(...(d.notes ?? []).map((n) => el("li", {}, n)));
  }
  if (d.problem) say(panel, d.problem, "problem");
  else if (d.empty) say(panel, d.empty);
  else if (d.chart) undo.set(panel, chart(box, d, page));
  else if (d.heat) undo.set(panel, heat(box, d, page));
  else if (d.tiles) tiles(box, d);
  else if (d.tables) tables(box, d.tables, d.title);
  panel.dataset.drawn = d.chart ? "chart" : d.heat ? "heat" : d.tiles ? "tiles" : d.tables ? "table" : "words";
}

// Four at a time: a page of a hundred panels must not keep a workspace busy alone.
const waiting = [];
let busy = 0;
function next() {
  while (busy < 4 && waiting.length) {
    const panel = waiting.shift();
    busy++;
    load(panel).finally(() => { busy--; next(); });
  }
}

async function load(panel) {
  panel.setAttribute("aria-busy", "true");
  try {
    const box = panel.querySelector(".dash-box");
    const url = new URL(panel.dataset.src, location.href);
    url.searchParams.set("points", Math.max(50, Math.min(2000, Math.round(box.clientWidth))));
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    const d = await answer.json();
    if (!answer.ok) say(panel, d.detail || d.title || "The panel could not be asked for.", "problem"), (panel.dataset.drawn = "words");
    else paint(panel, d);
  } catch {
    say(panel, "The server does not answer.", "problem");
    panel.dataset.drawn = "words";
  } finally {
    panel.removeAttribute("aria-busy");
  }
}

const panels = [...dash.querySelectorAll("[data-src]")], inSight = new Set();
const sight = new IntersectionObserver((seen) => {
  for (const s of seen) {
    if (!s.isIntersecting) { inSight.delete(s.target); continue; }
    inSight.add(s.target);
    if (!held.has(s.target) && !s.target.dataset.asked) {
      s.target.dataset.asked = "1";
      waiting.push(s.target);
    }
  }
  next();
}, { rootMargin: "200px" });
panels.forEach((p) => sight.observe(p));

// Refresh what is in sight, while somebody looks and the range ends now.
const every = Number(dash.dataset.refresh);
if (every > 0) {
  setInterval(() => {
    if (document.hidden || dash.contains(document.activeElement) && document.activeElement.matches(".dash-frame")) return;
    for (const p of inSight) if (!waiting.includes(p)) waiting.push(p);
    next();
  }, every * 1000);
}

// Another theme is other ink.
const again = () => panels.forEach((p) => held.has(p) && paint(p, held.get(p)));
new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);

// Choosing is enough; the button is for pages without this script.
document.querySelectorAll("form[data-auto]").forEach((form) => {
  form.addEventListener("change", (event) => { if (event.target.matches("select:not([multiple])")) form.requestSubmit(); });
});
