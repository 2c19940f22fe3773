// Steps through the events of a run that is over or goes on: by the slider, by the buttons, by keys, or by itself.

import { fresh, keys, replaceParts, tell } from "./app.js";

const PAUSE_MS = 900;
let playing = 0;
let wanted = null;
let busy = false;

function bar() { return document.getElementById("replay"); }
function last() { return Number(bar().dataset.last); }
function place() { return Number(document.getElementById("replay-at").value); }

// Shows the run as it stood after an event. Of several that are asked for meanwhile, the newest is shown.
async function show(at) {
  wanted = Math.min(Math.max(at, 1), last());
  if (busy) return;
  busy = true;
  while (wanted !== null) {
    const address = new URL(location.href);
    address.searchParams.set("at", wanted);
    wanted = null;
    try {
      const page = await fresh(address.href);
      history.replaceState(null, "", address);
      document.title = page.title;
      replaceParts(page);
      for (const link of document.querySelectorAll("nav.tabs a")) {
        const next = new URL(link.href);
        next.searchParams.set("at", address.searchParams.get("at"));
        link.href = next.href;
      }
    } catch (error) { stop(); tell(`this event cannot be shown: ${error.message}`, "error"); }
  }
  busy = false;
  ready();
}

function stop() { clearInterval(playing); playing = 0; ready(); }

function ready() {
  const play = document.getElementById("replay-play");
  if (!play) return;
  play.hidden = false;
  play.textContent = playing ? "Pause" : "Play";
}

document.addEventListener("submit", (event) => {
  if (!bar()?.contains(event.target)) return;
  event.preventDefault();
  const step = event.submitter?.dataset.step;
  stop();
  show(Number(event.submitter?.value || place())).then(() => {
    const button = document.querySelector(`[data-step="${step}"]`);
    (button?.disabled ? document.getElementById("replay-at") : button)?.focus();
  });
});

document.addEventListener("change", (event) => {
  if (event.target.id !== "replay-at") return;
  stop();
  show(place());
});

document.addEventListener("click", (event) => {
  if (event.target.id !== "replay-play") return;
  if (playing) { stop(); return; }
  playing = setInterval(() => {
    if (place() >= last()) stop(); else if (!busy) show(place() + 1);
  }, PAUSE_MS);
  if (place() >= last()) show(1);
  ready();
});

keys.set("n", () => { stop(); show(place() + 1); });
keys.set("b", () => { stop(); show(place() - 1); });
ready();
