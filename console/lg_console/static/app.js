// What every page does: actions with the session's action key, live updates, keys, the theme.

const ACTION = "lg-action";

export function stored(name, value) {
  // A browser may forbid storage: then nothing is kept, and everything else works.
  try {
    if (value === undefined) return localStorage.getItem(name);
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch { /* see above */ }
  return null;
}

export async function send(path, fields) {
  const headers = { "content-type": "application/json", "x-lg-action": stored(ACTION) ?? "" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(fields), redirect: "error" });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  const told = found.error ?? { message: found.detail ?? found.title, hint: found.hint };
  const error = new Error([told.message ?? `status ${answer.status}`, told.hint].filter(Boolean).join(". "));
  error.status = answer.status;
  throw error;
}

// The same page as the server makes it now. It is text of our own server, in which everything foreign is escaped.
export async function fresh(address = location.href) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  if (answer.redirected && new URL(answer.url).pathname === "/login") location.reload();
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

let said = 0;
export function tell(text, state = "") {
  const live = document.getElementById("live");
  if (!live || live.textContent === text) return;
  // A screen reader reads each change: what only counts seconds is written at most every five.
  if (state === "waiting" && Date.now() - said < 5000) return;
  said = Date.now();
  live.textContent = text;
  live.dataset.state = state;
}

export const refreshers = [];
export async function refresh() {
  const page = await fresh();
  const main = page.getElementById("main");
  if (main?.dataset.marks) document.getElementById("main").dataset.marks = main.dataset.marks;
  document.title = page.title;
  if (refreshers.length) for (const update of refreshers) update(page);
  else replaceParts(page);
}

// Replaces the parts of the page that have an id and a mark of their own; the rest stays, and with it focus and scrolling.
export function replaceParts(page) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = page.getElementById(part.id);
    const active = document.activeElement;
    const typing = part.contains(active) && active.matches("input:not([type=range]), select, textarea");
    if (!next || typing || ageless(next) === part.dataset.was) continue;
    const at = part.contains(active) ? active.id : "";
    const made = document.importNode(next, true);
    keepPlace(part, made);
    part.replaceWith(made);
    made.dataset.was = ageless(next);
    if (at) document.getElementById(at)?.focus();
  }
  ages();
}

// What the server sent of a part, but for "3 min ago": only that something else has changed is a reason to replace it.
function ageless(part) { return part.outerHTML.replace(/<time[^>]*>[^<]*<\/time>/g, ""); }

// What somebody has opened or scrolled to stays so in the part that takes its place.
function keepPlace(part, made) {
  const open = new Set([...part.querySelectorAll("details[open] > summary")].map((found) => found.textContent));
  for (const summary of made.querySelectorAll("summary")) if (open.has(summary.textContent)) summary.parentElement.open = true;
  const boxes = [...part.querySelectorAll("[tabindex='0']")];
  const places = boxes.map((box) => [box.scrollLeft, box.scrollTop]);
  requestAnimationFrame(() => [...made.querySelectorAll("[tabindex='0']")].forEach((box, number) => {
    if (places[number]) [box.scrollLeft, box.scrollTop] = places[number];
  }));
}

export function ages() {
  for (const at of document.querySelectorAll("time")) {
    at.title = new Date(at.dateTime).toLocaleString();
    if (!("ago" in at.dataset)) continue;
    const gone = Math.max(0, (Date.now() - new Date(at.dateTime)) / 1000);
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([least]) => gone >= least) ?? [1, "s"];
    at.textContent = `${Math.floor(gone / size)} ${unit} ago`;
  }
}

let stream = null;
let lost = 0;
let busy = false;
let again = false;

async function look() {
  if (busy) { again = true; return; }
  busy = true;
  try { await refresh(); tell("live", "live"); } catch { tell("cannot reach the server; what you see is old", "error"); }
  busy = false;
  if (again) { again = false; look(); }
}

// A browser has six connections for one site over HTTP/1.1, for all of its tabs: with one more stream, no page loads. So
// a few tabs listen, and the others look every few seconds until one of those closes.
const STREAMS = 3;
const LOOK_MS = 3000;
let free = null;
let waits = 0;
let opening = false;

async function place() {
  if (!navigator.locks) return () => {};
  for (let number = 0; number < STREAMS; number += 1) {
    const given = await new Promise((found) => {
      navigator.locks.request(`lg-stream-${number}`, { ifAvailable: true },
        (lock) => (lock ? new Promise((end) => found(end)) : found(null)));
    });
    if (given) return given;
  }
  return null;
}

export async function listen() {
  const topics = document.body.dataset.topics;
  if (!topics || stream || opening) return;
  opening = true;
  clearTimeout(waits);
  free = await place();
  opening = false;
  if (!free) {
    waits = setTimeout(async () => { await look(); listen(); }, LOOK_MS);
    return;
  }
  stream = new EventSource(`/v1/events?topics=${encodeURIComponent(topics)}`);
  stream.addEventListener("marks", (event) => {
    lost = 0;
    const marks = JSON.parse(event.data);
    const main = document.getElementById("main");
    const mark = topics.split(",").map((topic) => marks[topic]).join(" ");
    if (mark !== main.dataset.marks) { main.dataset.marks = mark; look(); } else tell("live", "live");
  });
  stream.addEventListener("over", () => location.reload());
  stream.addEventListener("error", () => {
    lost = lost || Date.now();
    tell(`reconnecting, ${Math.round((Date.now() - lost) / 1000)} s`, "waiting");
    if (stream.readyState === EventSource.CLOSED) { unlisten(); setTimeout(listen, 3000); }
  });
}

function unlisten() {
  stream?.close();
  stream = null;
  free?.();
  free = null;
  clearTimeout(waits);
}

// A page that nobody sees gives its connection back.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") listen();
  else if (stored("lg-notify") !== "yes") unlisten();
});

function theme(next) {
  const root = document.documentElement;
  if (next) { root.dataset.theme = next; stored("lg-theme", next); }
}
theme(stored("lg-theme"));
document.getElementById("theme")?.addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme(dark ? "light" : "dark");
});

document.getElementById("logout")?.addEventListener("click", async () => {
  try { await send("/logout", {}); } finally { stored(ACTION, null); location.assign("/login"); }
});

const help = document.getElementById("keys");
document.getElementById("help")?.addEventListener("click", () => help.showModal());
const keysOn = document.getElementById("keys-on");
if (keysOn) {
  keysOn.checked = stored("lg-keys") !== "off";
  keysOn.addEventListener("change", () => stored("lg-keys", keysOn.checked ? "on" : "off"));
}

function stops() { return [...document.querySelectorAll(".card, tbody tr[tabindex]")]; }

function step(by) {
  const all = stops();
  if (!all.length) return;
  const at = all.findIndex((stop) => stop.contains(document.activeElement));
  const next = all[Math.min(all.length - 1, Math.max(0, at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

let going = 0;
export const keys = new Map([
  ["j", () => step(1)],
  ["k", () => step(-1)],
  ["?", () => help.showModal()],
  ["/", () => document.querySelector("[data-search]")?.focus()],
  ["Enter", () => document.activeElement.matches("tr") && document.activeElement.querySelector("a")?.click()],
]);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keysOn?.checked === false) return;
  if (event.target.closest("input, select, textarea, dialog[open]")) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
  if (going && Date.now() - going < 1500) {
    going = 0;
    const link = [...document.querySelectorAll("[data-go]")].find((found) => found.dataset.go === event.key);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  if (event.key === "g") { going = Date.now(); return; }
  const act = keys.get(event.key);
  if (act) { event.preventDefault(); act(); }
});

// Buttons that do one thing: where to send what stands in the page, and what to say meanwhile.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-post]");
  if (!button) return;
  const problem = button.parentElement.querySelector(".problem");
  button.disabled = true;
  try {
    await send(button.dataset.post, JSON.parse(button.dataset.fields || "{}"));
    await refresh();
    tell(button.dataset.done || "done", "live");
  } catch (error) {
    if (problem) problem.textContent = error.message; else tell(error.message, "error");
  }
  button.disabled = false;
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try { await navigator.clipboard.writeText(button.dataset.copy); tell("copied", "live"); }
  catch { tell("the browser does not let this page copy", "error"); }
});

for (const part of document.querySelectorAll("[data-live]")) part.dataset.was = ageless(part);
ages();
setInterval(ages, 20000);
listen();
