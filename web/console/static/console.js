// Everything here is an addition: without it the pages work, they only stand
// still. No library, no inline handler, nothing is evaluated.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/* ---- theme: a cookie, so that the server paints the first pixel right ---- */

const root = document.documentElement;
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

function setTheme(theme) {
  root.dataset.theme = theme;
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
}

const savedTheme = /(?:^|; )theme=(light|dark)/.exec(document.cookie);
if (savedTheme && !root.dataset.theme) root.dataset.theme = savedTheme[1];

/* ---- morph: make one tree like another, keeping what the reader holds ---- */

// What the reader changed stays: open details, typed text, the row they are at.
const kept = new Set(["open", "data-at", "value", "checked", "data-done", "aria-busy"]);

function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || (from.id || to.id) && from.id !== to.id) {
    from.replaceWith(document.importNode(to, true));
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (from.matches("[data-asof]")) return;
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !kept.has(name) && !(name === "hidden")) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (!kept.has(name) && name !== "hidden" && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  if (from.matches("textarea, input, select")) return;

  // Children with an id are moved, not rewritten, when rows change places.
  // moveBefore keeps focus and open popovers; older browsers close them.
  const place = from.moveBefore ? "moveBefore" : "insertBefore";
  const byID = new Map([...from.children].filter((c) => c.id).map((c) => [c.id, c]));
  const wanted = new Set([...to.children].map((c) => c.id).filter(Boolean));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const same = next.id && byID.get(next.id);
    if (same && same !== at) {
      from[place](same, at);
      morph(same, next);
    } else if (!at || (next.id && !same) || (at.id !== next.id && wanted.has(at.id))) { // at has its place further on
      from.insertBefore(document.importNode(next, true), at);
    } else {
      const after = at.nextSibling;
      morph(at, next);
      at = after;
    }
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

/* ---- fresh: fetch this page again and change what differs ---- */

let refreshing = null;
let again = false;

function refresh() {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  refreshing = fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin", cache: "no-store" })
    .then(async (answer) => {
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") return location.reload();
      if (!answer.ok) return; // keep the last good page; its age shows
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of $$("[data-fresh]")) {
        const now = page.getElementById(part.id);
        if (now) morph(part, now);
      }
      if (document.title !== page.title) document.title = page.title;
      setClock(page);
      enhance();
      sawData();
    })
    .catch(() => {})
    .finally(() => {
      refreshing = null;
      if (again) {
        again = false;
        schedule();
      }
    });
  return refreshing;
}

let timer = 0;
function schedule() {
  if (!timer) timer = setTimeout(() => { timer = 0; refresh(); }, 250); // at most four times a second
}

/* ---- live: /events says that something changed, or that nothing did ---- */

let lastSeen = Date.now();
let lastData = $("[data-asof] time")?.textContent;
const zone = root.dataset.zone;
let everLive = false;


function sawData() {
  lastSeen = Date.now();
  lastData = new Date(lastSeen + ahead).toLocaleTimeString("en-GB", zone && { timeZone: zone });
  showAge();
}

function showAge() {
  const label = $("[data-asof]");
  const stale = Date.now() - lastSeen > 1000 * (root.dataset.staleAfter || 10);
  if (!label || !everLive && !stale) return;
  label.dataset.state = stale ? "stale" : "live";
  label.textContent = stale ? `reconnecting, data from ${lastData}` : `as of ${lastData} · live`;
}

// handle takes a message of the stream, from this tab's own connection or from
// the tab that holds it for all.
function handle(kind) {
  if (kind === "bye") return location.reload();
  everLive = true;
  if (kind === "change" || kind === "resync") schedule();
  sawData();
}

function follow(url) {
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("nightporter-events") : null;
  if (channel) channel.onmessage = (event) => handle(event.data);

  const connect = () => {
    let source;
    let broken = false;
    const tell = (kind) => {
      handle(kind);
      channel?.postMessage(kind);
    };
    const open = () => {
      source = new EventSource(url);
      source.onopen = () => tell(broken ? "resync" : "ping");
      source.onmessage = () => tell("change");
      source.addEventListener("ping", () => tell("ping"));
      source.addEventListener("bye", () => { source.close(); tell("bye"); });
      source.onerror = () => {
        broken = true;
        // The browser retries by itself unless the answer was an error.
        if (source.readyState === EventSource.CLOSED) setTimeout(open, 5000);
      };
    };
    open();
  };

  // One connection for all tabs: HTTP/1.1 allows six to a host. The lock goes
  // to the next tab when this one closes.
  if (channel && navigator.locks) navigator.locks.request("nightporter-events", () => new Promise(connect));
  else connect();

  setInterval(showAge, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) schedule(); });
}

/* ---- time: "2 h 14 min" keeps counting; funcs.go has the same rules ---- */

function span(ms) {
  const minutes = Math.floor(Math.max(ms, 0) / 60000);
  const hours = Math.floor(minutes / 60);
  if (minutes < 1) return "moments";
  if (minutes < 60) return `${minutes} min`;
  if (hours < 6 && minutes % 60) return `${hours} h ${minutes % 60} min`;
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

function brief(ms) {
  const minutes = Math.floor(ms / 60000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 1440)} d`;
}

// How far the server's clock is ahead of this one's, from the page itself.
let ahead = 0;
function setClock(page) {
  ahead = new Date(page.documentElement.dataset.now) - Date.now();
}

function tick() {
  for (const t of $$("time[data-time]")) {
    const ms = Date.now() + ahead - new Date(t.dateTime);
    const text = { ago: span(ms), until: span(-ms), lately: brief(ms) }[t.dataset.time];
    if (t.textContent !== text) t.textContent = text;
  }
}

/* ---- find: the board is the index, so there is nothing else to keep ---- */

function finder(form) {
  const input = $("input", form);
  const list = document.createElement("ul");
  list.className = "find-list";
  list.id = "find-list";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Services and pages");
  list.hidden = true;
  form.append(list);
  for (const [name, value] of [["role", "combobox"], ["aria-controls", list.id], ["aria-expanded", "false"], ["aria-autocomplete", "list"]]) {
    input.setAttribute(name, value);
  }

  let choices = [];
  let at = -1;
  let asked = 0;

  const mark = (i) => {
    at = i;
    choices.forEach(({ item }, n) => item.setAttribute("aria-selected", String(n === at)));
    if (at >= 0) input.setAttribute("aria-activedescendant", choices[at].item.id);
    else input.removeAttribute("aria-activedescendant");
    choices[at]?.item.scrollIntoView({ block: "nearest" });
  };
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    mark(-1);
  };
  const show = (found) => {
    list.replaceChildren();
    choices = found.map(({ text, kind, url }, i) => {
      const item = document.createElement("li");
      item.id = `find-${i}`;
      item.setAttribute("role", "option");
      const name = document.createElement("b");
      name.textContent = text;
      const what = document.createElement("span");
      what.textContent = kind;
      item.append(name, what);
      item.addEventListener("mousedown", (event) => { event.preventDefault(); location.href = url; });
      list.append(item);
      return { item, url };
    });
    list.hidden = choices.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(choices.length ? 0 : -1);
  };

  const search = async () => {
    const q = input.value.trim().toLowerCase();
    const mine = ++asked;
    if (!q) return close();
    const pages = $$(".rail nav a").map((a) => ({ text: $("span", a).textContent, kind: "page", url: a.href }))
      .filter(({ text }) => text.toLowerCase().includes(q));
    show(pages);
    try {
      const answer = await fetch(`${form.getAttribute("action")}?q=${encodeURIComponent(q)}`, { headers: { Accept: "text/html" } });
      if (!answer.ok || mine !== asked) return;
      const board = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return;
      const services = $$(".board [data-open]", board).slice(0, 8)
        .map((a) => ({ text: a.textContent, kind: "service", url: a.getAttribute("href") }));
      show([...services, ...pages]);
    } catch { /* the pages are there already */ }
  };

  input.addEventListener("input", () => { clearTimeout(input.wait); input.wait = setTimeout(search, 120); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { close(); input.blur(); }
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark((at + (event.key === "ArrowDown" ? 1 : choices.length - 1)) % choices.length);
    }
    if (event.key === "Enter" && at >= 0) { event.preventDefault(); location.href = choices[at].url; }
  });
}

/* ---- keys: they move and open, they never act (WCAG 2.1.4: can be off) ---- */

const keysOn = () => localStorage.getItem("keys") !== "off";
let afterG = 0;

function move(by) {
  const rows = $$("[data-row]");
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.hasAttribute("data-at"));
  const next = rows[Math.min(Math.max(now + by, 0), rows.length - 1)];
  rows[now]?.removeAttribute("data-at");
  next.setAttribute("data-at", "");
  next.scrollIntoView({ block: "nearest" });
  $("[data-open]", next)?.focus({ preventScroll: true });
}

function act() {
  const row = $("[data-row][data-at]");
  const target = $("#decide textarea, #decide summary, #decide a, #decide button") || (row && $(".button", row));
  target?.focus();
  target?.scrollIntoView({ block: "nearest" });
}

function onKey(event) {
  const find = $("[data-find] input");
  if (event.key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey) && find) {
    event.preventDefault();
    return find.select();
  }
  if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented || !keysOn()) return;
  if (event.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
  if (afterG && Date.now() - afterG < 1200) {
    afterG = 0;
    const page = $(`[data-key="${CSS.escape(event.key)}"]`);
    if (page) page.click();
    return;
  }
  const does = {
    g: () => { afterG = Date.now(); },
    j: () => move(1),
    k: () => move(-1),
    a: act,
    "/": () => find?.select(),
    "?": () => $("#help")?.showModal(),
    Escape: () => $$("details.menu[open]").forEach((d) => { d.open = false; }),
  }[event.key];
  if (!does) return;
  if (event.key !== "Escape") event.preventDefault();
  does();
}

/* ---- the small things ---- */

// enhance shows what only a script can do. It runs again after each morph.
function enhance() {
  for (const button of $$("[data-copy][hidden], [data-theme-toggle][hidden], [data-help][hidden]")) button.hidden = false;
  tick();
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard?.writeText(copy.dataset.copy);
    copy.dataset.done = "";
    copy.setAttribute("aria-label", "Copied");
    setTimeout(() => { delete copy.dataset.done; copy.setAttribute("aria-label", "Copy the command"); }, 1600);
  }
  if (event.target.closest("[data-theme-toggle]")) {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : darkSystem.matches;
    setTheme(dark ? "light" : "dark");
  }
  if (event.target.closest("[data-help]")) {
    event.target.closest("details").open = false;
    $("#help").showModal();
  }
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// A form that was sent stays sent: no second click while the answer is on its way.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  for (const button of $$("button:not([type=button])", event.target)) setTimeout(() => { button.disabled = true; });
});
addEventListener("pageshow", () => $$("form button[disabled]").forEach((button) => { button.disabled = false; }));

document.addEventListener("keydown", onKey);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-keys-toggle]")) localStorage.setItem("keys", event.target.checked ? "on" : "off");
});

setClock(document);
enhance();
$$("[data-keys-toggle]").forEach((box) => { box.checked = keysOn(); });
$$("[data-find]").forEach(finder);
setInterval(tick, 20000);
if (document.body.dataset.live) follow(document.body.dataset.live);
