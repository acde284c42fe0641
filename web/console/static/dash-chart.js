// Time series and heatmaps: uPlot with a crosshair that all charts of the page
// share, marks, a legend, zoom and keys.
import { el, faded, format, seen, stamp, token, zoned } from "./dash-format.js";

const together = uPlot.sync("dashboard");
const glyphs = { deploy: "▲", rollback: "▼", night: "☾", morning: "☀", failure: "✕" };
const tokens = { deploy: "--accent", rollback: "--failed", night: "--unknown", morning: "--ok", failure: "--failed" };

// How lines run between points.
const paths = {
  stepBefore: () => uPlot.paths.stepped({ align: -1 }), stepAfter: () => uPlot.paths.stepped({ align: 1 }), smooth: () => uPlot.paths.spline(),
};

// chart draws lines, bars and points into a box. It returns how to undo that.
export function chart(box, drawing, page) {
  const c = drawing.chart, ink = token("--ink-3"), hair = token("--hair");
  const lines = c.lines.map((l) => ({ ...l, paint: seen(l.color) }));
  const name = (i) => (i === 0 ? "y" : "y" + i);
  const series = [{}], data = [c.x], bands = [];
  lines.forEach((l) => {
    const fill = l.fill > 0 ? faded(l.paint, l.fill) : undefined;
    const at = data.push(l.drawn ?? l.values) - 1;
    const s = {
      label: l.name, scale: name(l.scale), stroke: l.paint, width: l.style === "points" ? 0 : l.width, dash: l.dash, spanGaps: !!l.span, show: !l.hide_line,
      fill: l.below < 0 ? fill : undefined,
      points: { show: l.style === "points" || l.points === "always" || (l.points !== "never" && c.x.length < 3), size: l.point_size ?? 5, fill: l.paint },
    };
    if (l.style === "bars") s.paths = uPlot.paths.bars({ size: [0.8, 60], align: 1 });
    else if (paths[l.interpolate]) s.paths = paths[l.interpolate]();
    if (l.below >= 0 && fill) bands.push({ series: [at, l.below + 1], fill });
    series.push(s);
  });
  const scales = { x: { time: true, range: () => [drawing.from / 1000, drawing.to / 1000] } };
  const axes = [{ stroke: ink, grid: { stroke: hair, width: 1 }, ticks: { stroke: hair, width: 1, size: 4 }, font: page.font, size: 28, values: times }];
  c.scales.forEach((s, i) => {
    scales[name(i)] = s.log
      ? { distr: 3, log: s.log === 2 ? 2 : 10 }
      : { range: (u, low, high) => range(s, low, high) };
    axes.push({
      scale: name(i), side: s.side === "right" ? 1 : 3, show: s.side !== "hidden", stroke: ink, font: page.font, label: s.label, labelFont: page.font, labelSize: 18,
      grid: { show: i === 0, stroke: hair, width: 1 }, ticks: { show: false }, gap: 4,
      incrs: s.unit.binary ? powers : undefined, values: (u, splits) => splits.map((v) => (v === null ? "" : format(s.unit, v))),
      size: (u, values) => Math.max(28, 10 + 7 * Math.max(0, ...(values ?? []).map((v) => (v ?? "").length))),
    });
  });
  const plot = el("div", { class: "dash-plot" }), tip = el("div", { class: "dash-tip", hidden: true, role: "status", "aria-live": "off" });
  const frame = el("div", {
    class: "dash-frame", tabindex: "0", role: "group", "aria-label": `${drawing.title || "Graph"}: ${lines.length} series. Left and right read values, plus and minus zoom.`,
  }, plot, tip);
  box.replaceChildren(frame);
  const legend = c.legend.show ? listing(c, lines, (i, show) => u.setSeries(i + 1, { show })) : null;
  if (legend) (c.legend.right ? box.classList.add("dash-side") : box.classList.remove("dash-side"), box.append(legend));
  let typed = false;
  const room = () => ({ width: Math.max(120, frame.clientWidth), height: Math.max(80, frame.clientHeight) });
  const u = new uPlot({
    ...room(), series, scales, axes, bands, tzDate: zoned, legend: { show: false }, padding: [8, 10, 0, 0],
    cursor: { sync: { key: together.key, setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 6 }, focus: { prox: 24 } },
    focus: { alpha: 0.35 },
    hooks: {
      setSelect: [(p) => {
        if (p.select.width < 8) return;
        page.zoom(p.posToVal(p.select.left, "x") * 1000, p.posToVal(p.select.left + p.select.width, "x") * 1000);
      }],
      drawAxes: [(p) => thresholds(p, c, name)],
      draw: [(p) => marks(p, page.marks)],
      setCursor: [(p) => read(p)],
    },
  }, data, plot);

  // read shows what the lines say at the crosshair, in the chart that is pointed at.
  function read(p) {
    const i = p.cursor.idx, here = frame.matches(":hover") || typed;
    if (i === null || i === undefined || !here) {
      tip.hidden = true;
      return;
    }
    const near = [];
    lines.forEach((l, k) => {
      const v = l.values[i];
      if (!p.series[k + 1].show || v === null || v === undefined) return;
      near.push({ l, v, far: Math.abs((p.valToPos((l.drawn ?? l.values)[i], name(l.scale)) || 0) - (p.cursor.top ?? 0)) });
    });
    if (!c.tooltip_all && !typed && near.length > 1) near.sort((a, b) => a.far - b.far).splice(1);
    else if (near.length > 14) near.sort((a, b) => a.far - b.far).splice(14);
    const rows = near.map(({ l, v }) => el("p", {}, el("i", { class: "dash-key", style: { background: l.paint } }), el("span", {}, l.name), el("b", {}, format(c.scales[l.scale].unit, v))));
    for (const m of page.marks) {
      if (Math.abs(p.valToPos(m.time, "x") - (p.cursor.left ?? 0)) < 7) rows.push(el("p", { class: "dash-mark" }, el("span", {}, (glyphs[m.kind] ?? "•") + " " + m.text)));
    }
    tip.replaceChildren(el("p", { class: "dash-when" }, stamp(c.x[i], true)), ...rows);
    tip.hidden = false;
    const left = (p.cursor.left ?? 0) + plot.querySelector(".u-over").offsetLeft, width = tip.offsetWidth;
    tip.style.left = Math.max(0, left + 14 + width > frame.clientWidth ? left - 14 - width : left + 14) + "px";
    tip.style.top = Math.max(0, Math.min((p.cursor.top ?? 0) - 8, frame.clientHeight - tip.offsetHeight)) + "px";
  }

  frame.addEventListener("pointermove", () => { typed = false; tip.setAttribute("aria-live", "off"); });
  frame.addEventListener("pointerleave", () => { tip.hidden = true; });
  frame.addEventListener("keydown", (event) => {
    const last = c.x.length - 1, at = u.cursor.idx ?? last, far = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: at - far, ArrowRight: at + far, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      typed = true;
      tip.setAttribute("aria-live", "polite");
      const i = Math.max(0, Math.min(last, to));
      u.setCursor({ left: u.valToPos(c.x[i], "x"), top: u.over.clientHeight / 2 });
    } else if (event.key === "+" || event.key === "-") {
      const middle = (u.cursor.idx === null || u.cursor.idx === undefined ? (drawing.from + drawing.to) / 2 : c.x[u.cursor.idx] * 1000);
      const half = (drawing.to - drawing.from) / (event.key === "+" ? 4 : 1);
      page.zoom(middle - half, middle + half);
    } else if (event.key === "Escape") {
      typed = false;
      tip.hidden = true;
      u.setCursor({ left: -10, top: -10 });
      return;
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  frame.addEventListener("dblclick", () => page.zoom(drawing.from - (drawing.to - drawing.from) / 2, drawing.to + (drawing.to - drawing.from) / 2));
  const watch = new ResizeObserver(() => u.setSize(room()));
  watch.observe(frame);
  return () => { watch.disconnect(); u.destroy(); };
}

// times writes the time axis: the day where it begins, else the time of day.
function times(u, splits, axis, space, step) {
  let day = "";
  return splits.map((at) => {
    const [date, time] = stamp(at, true).split(" "), first = date !== day;
    day = date;
    if (step >= 86400 || (first && time === "00:00:00")) return date.slice(5);
    return step < 60 ? time : time.slice(0, 5);
  });
}

const powers = Array.from({ length: 90 }, (_, i) => 2 ** (i - 10));

// range is the ends of a value axis: what is set holds, else the data with room.
function range(s, low, high) {
  if (low === null || high === null || low === undefined) [low, high] = [0, 1];
  if (s.soft_min !== undefined) low = Math.min(low, s.soft_min);
  if (s.soft_max !== undefined) high = Math.max(high, s.soft_max);
  if (s.centered) [low, high] = [-Math.max(Math.abs(low), Math.abs(high)), Math.max(Math.abs(low), Math.abs(high))];
  if (low === high) [low, high] = low === 0 ? [0, 1] : low > 0 ? [0, high * 2] : [low * 2, 0];
  const span = high - low;
  let from = low - span * 0.06, to = high + span * 0.06;
  if (low >= 0 && (from < 0 || low < span)) from = 0; // a graph that nearly reaches zero shows it
  if (high <= 0 && to > 0) to = 0;
  return [s.min ?? from, s.max ?? to];
}

// thresholds draws areas and lines behind the series.
function thresholds(u, c, name) {
  const { ctx, bbox } = u;
  for (const b of c.bands ?? []) {
    const y = (v) => u.valToPos(v, name(0), true), top = b.to === undefined ? bbox.top : Math.max(bbox.top, y(b.to));
    const bottom = b.from === undefined ? bbox.top + bbox.height : Math.min(bbox.top + bbox.height, y(b.from)), paint = seen(b.color);
    ctx.save();
    if (b.area && bottom > top) {
      ctx.fillStyle = faded(paint, 0.1);
      ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
    }
    if (b.line && b.from !== undefined && y(b.from) >= bbox.top && y(b.from) <= bbox.top + bbox.height) {
      ctx.strokeStyle = paint;
      ctx.setLineDash([6, 4]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y(b.from));
      ctx.lineTo(bbox.left + bbox.width, y(b.from));
      ctx.stroke();
    }
    ctx.restore();
  }
}

// marks draws what happened as lines across the graph, with a sign on each.
function marks(u, all) {
  const { ctx, bbox } = u;
  for (const m of all) {
    const x = Math.round(u.valToPos(m.time, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = token(tokens[m.kind] ?? "--ink-3");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3, 3]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.font = `${10 * devicePixelRatio}px sans-serif`;
    ctx.textAlign = "center";
    ctx.fillText(glyphs[m.kind] ?? "•", x, bbox.top + 8 * devicePixelRatio);
    ctx.restore();
  }
}

// listing is the legend: a button for each series, and what the panel calculates.
function listing(c, lines, toggle) {
  const calcs = c.legend.calcs ?? [], shown = lines.map((l, i) => [l, i]).filter(([l]) => !l.hide_legend);
  const press = (l, i) => el("button", {
    type: "button", class: "dash-series", "aria-pressed": "true", title: l.name,
    onclick: (event) => {
      const b = event.currentTarget, on = b.getAttribute("aria-pressed") !== "true";
      b.setAttribute("aria-pressed", on);
      toggle(i, on);
    },
  }, el("i", { class: "dash-key", style: { background: l.paint } }), el("span", {}, l.name));
  if (!calcs.length && !c.legend.table) return el("div", { class: "dash-legend", tabindex: "0", role: "group", "aria-label": "Series" }, ...shown.map(([l, i]) => press(l, i)));
  return el("div", { class: "dash-legend", tabindex: "0", role: "group", "aria-label": "Series" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Series"), ...calcs.map((k) => el("th", { scope: "col", class: "num" }, k)))),
    el("tbody", {}, ...shown.map(([l, i]) => el("tr", {}, el("th", { scope: "row" }, press(l, i)), ...(l.stats ?? []).map((s) => el("td", { class: "num" }, s)))))));
}

// heat draws a heatmap: a cell for each bucket and time.
export function heat(box, drawing, page) {
  const h = drawing.heat, ink = token("--ink-3"), rows = h.y.length;
  const wide = h.x.length > 1 ? h.x[1] - h.x[0] : (drawing.to - drawing.from) / 1000;
  const stops = h.colors, rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const color = (part) => {
    const at = part * (stops.length - 1), i = Math.min(stops.length - 2, Math.floor(at)), a = rgb(stops[i]), b = rgb(stops[i + 1]);
    return `rgb(${a.map((x, k) => Math.round(x + (b[k] - x) * (at - i))).join(" ")})`;
  };
  const plot = el("div", { class: "dash-plot" });
  const frame = el("div", { class: "dash-frame", role: "img", "aria-label": `${drawing.title || "Heatmap"}: ${rows} buckets over time; its data stands in the table.` }, plot);
  box.replaceChildren(frame);
  const room = () => ({ width: Math.max(120, frame.clientWidth), height: Math.max(80, frame.clientHeight) });
  const u = new uPlot({
    ...room(), tzDate: zoned, legend: { show: false }, padding: [8, 10, 0, 0],
    cursor: { sync: { key: together.key }, drag: { x: true, y: false, setScale: false }, points: { show: false } },
    scales: { x: { range: () => [drawing.from / 1000, drawing.to / 1000] }, y: { range: () => [0, rows] } },
    series: [{}, { stroke: "transparent", points: { show: false } }],
    axes: [
      { stroke: ink, grid: { show: false }, font: page.font, size: 28, values: times },
      {
        stroke: ink, grid: { show: false }, font: page.font, size: 60, ticks: { show: false },
        splits: () => h.y.map((_, i) => i + 1).filter((_, i) => rows < 12 || i % Math.ceil(rows / 10) === 0), values: (p, s) => s.map((v) => h.y[v - 1] ?? ""),
      },
    ],
    hooks: {
      setSelect: [(p) => p.select.width >= 8 && page.zoom(p.posToVal(p.select.left, "x") * 1000, p.posToVal(p.select.left + p.select.width, "x") * 1000)],
      draw: [(p) => {
        const { ctx, bbox } = p;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        h.cells.forEach((cells, y) => cells.forEach((n, x) => {
          if (!n) return;
          const left = p.valToPos(h.x[x], "x", true), right = p.valToPos(h.x[x] + wide, "x", true), top = p.valToPos(y + 1, "y", true), bottom = p.valToPos(y, "y", true);
          ctx.fillStyle = color(Math.sqrt(n / h.max));
          ctx.fillRect(left, top, Math.max(1, right - left - 1), Math.max(1, bottom - top - 1));
        }));
        ctx.restore();
        marks(p, page.marks);
      }],
    },
  }, [h.x, h.x.map(() => 0)], plot);
  const watch = new ResizeObserver(() => u.setSize(room()));
  watch.observe(frame);
  return () => { watch.disconnect(); u.destroy(); };
}
