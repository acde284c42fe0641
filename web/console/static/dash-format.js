// Numbers, times and colours. The rule for units comes with the data, so that the
// server and the axes write a number in the same way.

// format writes v by a rule of units.
export function format(unit, v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (!Number.isFinite(v)) return v > 0 ? "∞" : "-∞";
  if (unit.special) return special(unit, v);
  const size = Math.abs(v);
  let step = { divide: 1, suffix: "" };
  for (step of unit.steps ?? [step]) {
    if (!step.below || (size > 0 && size < step.below) || (size === 0 && step.divide >= 1)) break;
  }
  const prefix = unit.prefix ?? "";
  return (prefix && v < 0 ? "-" : "") + prefix + decimal((prefix ? size : v) / step.divide, unit.decimals) + step.suffix;
}

function decimal(v, places) {
  if (places !== undefined && places !== null) return v.toFixed(Math.max(0, Math.min(20, places)));
  if (v === 0 || Number.isInteger(v)) return String(v);
  let auto = -Math.floor(Math.log10(Math.abs(v))) + 1;
  if (Math.abs(v) / 10 ** -auto > 2.25) auto++;
  return String(Number(v.toFixed(Math.max(0, Math.min(20, auto)))));
}

function special(unit, v) {
  switch (unit.special) {
    case "hex": return Math.trunc(v).toString(16).toUpperCase();
    case "hex0x": return "0x" + Math.trunc(v).toString(16).toUpperCase();
    case "sci": return v.toExponential(unit.decimals ?? undefined);
    case "locale": return v.toLocaleString("en");
    case "bool": return v ? "True" : "False";
    case "bool_yes_no": return v ? "Yes" : "No";
    case "bool_on_off": return v ? "On" : "Off";
    case "dtdurationms": case "clockms": return seconds(v / 1000);
    case "dtdurations": case "dthms": case "dtdhms": case "clocks": return seconds(v);
    case "timeticks": return seconds(v / 100);
  }
  return /^(dateTime|time:)/.test(unit.special) ? stamp(v / 1000, true) : String(v);
}

function seconds(v) {
  const n = Math.floor(Math.abs(v)), two = (x) => String(x).padStart(2, "0");
  const days = Math.floor(n / 86400);
  return (v < 0 ? "-" : "") + (days ? days + " d " : "") + two(Math.floor(n / 3600) % 24) + ":" + two(Math.floor(n / 60) % 60) + ":" + two(n % 60);
}

const zone = document.documentElement.dataset.zone || "UTC";

// parts are those of a time in the zone of the page.
export function stamp(at, long) {
  const o = { timeZone: zone, hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit" };
  if (long) Object.assign(o, { year: "numeric", month: "2-digit", day: "2-digit" });
  try {
    return new Intl.DateTimeFormat("sv-SE", o).format(new Date(at * 1000));
  } catch {
    return new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ");
  }
}

// zoned is the time as uPlot wants it for its axis: a Date whose local fields are
// those of the page's zone.
export function zoned(at) {
  try {
    return uPlot.tzDate(new Date(at * 1000), zone);
  } catch {
    return new Date(at * 1000);
  }
}

// token is what a custom property of the page comes to, as a colour a canvas takes.
export function token(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

export const dark = () => getComputedStyle(document.documentElement).colorScheme.includes("dark") && (
  document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches));

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function luminance([r, g, b]) {
  const line = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * line(r) + 0.7152 * line(g) + 0.0722 * line(b);
}

// seen is a series' colour moved towards the ink until it stands out 3:1 from the
// surface: Grafana's palette was made for one theme each.
export function seen(color) {
  if (!/^#[0-9a-fA-F]{6}$/.test(color)) return token("--ink");
  const night = dark(), to = night ? 255 : 0, ground = night ? 0.012 : 1;
  let c = channels(color);
  for (let i = 0; i < 12; i++) {
    const l = luminance(c);
    if ((Math.max(l, ground) + 0.05) / (Math.min(l, ground) + 0.05) >= 3) break;
    c = c.map((x) => Math.round(x + (to - x) * 0.14));
  }
  return `rgb(${c.join(" ")})`;
}

// over is black or white, whichever can be read on a colour.
export const over = (color) => (/^#[0-9a-fA-F]{6}$/.test(color) && luminance(channels(color)) > 0.179 ? "#000" : "#fff");

export const faded = (rgb, part) => rgb.startsWith("rgb(") ? rgb.replace(")", ` / ${part})`) : rgb;

// el makes an element with attributes, properties of its style, and children.
export function el(name, attributes = {}, ...children) {
  const svg = /^(svg|path|circle|line|g|polyline|title)$/.test(name);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "style") for (const [p, v] of Object.entries(value)) p.startsWith("--") ? e.style.setProperty(p, v) : (e.style[p] = v);
    else if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}
