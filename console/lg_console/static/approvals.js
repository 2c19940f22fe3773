// Answers questions, and keeps the list as the store has it without moving what somebody reads.

import { keys, refresh, refreshers, send, tell } from "./app.js";
import { notify } from "./notify.js";

const waiting = document.getElementById("waiting");

function cardsOf(root) { return [...root.querySelectorAll("#waiting .card")]; }

refreshers.push(async (page) => {
  const known = new Map(cardsOf(page).map((card) => [card.id, card]));
  const gone = [];
  for (const card of cardsOf(document)) {
    const now = known.get(card.id);
    known.delete(card.id);
    if (now && now.dataset.state !== card.dataset.state) swap(card, now);
    else if (!now && card.dataset.state === "pending") gone.push(card);
  }
  const added = [...known.values()];
  if (added.length) {
    waiting.querySelector(".empty")?.remove();
    const sections = new Set(added.map((card) => card.closest("section") ?? card));
    for (const section of sections) waiting.append(document.importNode(section, true));
    // A turn that has grown is shown once: its earlier cards give way to those of the new section, where nobody is in them.
    for (const card of cardsOf(document).reverse()) {
      const twins = [...document.querySelectorAll(`[id="${CSS.escape(card.id)}"]`)];
      if (twins.length > 1) (twins[0].contains(document.activeElement) ? twins[1] : twins[0]).remove();
    }
    for (const section of waiting.querySelectorAll("section")) if (!section.querySelector(".card")) section.remove();
    notify(added.length === 1 ? "A question waits for you." : `${added.length} questions wait for you.`);
  }
  const count = page.getElementById("waiting-count");
  if (count) document.getElementById("waiting-count").textContent = count.textContent;
  const more = page.getElementById("more");
  if (more) document.getElementById("more").textContent = more.textContent;
  const decided = page.getElementById("decided");
  if (decided && !document.getElementById("decided").contains(document.activeElement)) {
    document.getElementById("decided").replaceWith(document.importNode(decided, true));
  }
  for (const card of gone) await update(card);
});

function swap(card, now) {
  const inside = card.contains(document.activeElement);
  const next = document.importNode(now, true);
  card.replaceWith(next);
  if (inside) next.focus();
}

// Shows a card as it is now: decided here, or elsewhere.
async function update(card) {
  const answer = await fetch(`/approvals/${encodeURIComponent(card.dataset.id)}`, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = page.querySelector(".card");
  if (now && now.dataset.state !== card.dataset.state && card.isConnected) swap(card, now);
}

function following(card) {
  const open = cardsOf(document).filter((other) => other.dataset.state === "pending" && other !== card);
  return open.find((other) => card.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING) ?? open[0];
}

async function decide(card, decision) {
  const problem = card.querySelector(".problem");
  const buttons = card.querySelectorAll("button");
  const reason = card.querySelector("input[name=reason]").value;
  for (const button of buttons) button.disabled = true;
  problem.textContent = "";
  try {
    const done = await send(`/v1/approvals/${encodeURIComponent(card.dataset.id)}`, { decision, reason });
    tell(`${done.id} ${done.state}`, "live");
    const next = following(card);
    await update(card);
    next?.focus();
    await refresh();
  } catch (error) {
    if (error.status === 409) { await update(card); tell(error.message, "live"); }
    else problem.textContent = error.message;
    for (const button of buttons) button.disabled = false;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const card = button.closest(".card");
  if (button.dataset.draft) document.getElementById(button.dataset.draft).showModal();
  else if (button.dataset.close) document.getElementById(button.dataset.close).close();
  else if (button.dataset.decide && card) { button.closest("dialog")?.close(); await decide(card, button.dataset.decide); }
  else if (button.dataset.all) {
    const cards = [...button.closest("section").querySelectorAll(".card[data-state=pending]")];
    for (const each of cards) await decide(each, button.dataset.all);
  }
});

document.addEventListener("submit", (event) => { if (event.target.matches(".answer")) event.preventDefault(); });

// A key decides only about the card that has the focus itself, not about one that merely holds it.
function focused(decision) {
  const card = document.activeElement;
  if (card.matches(".card") && card.querySelector(`[data-decide=${decision}]`)) decide(card, decision);
}
keys.set("a", () => focused("once"));
keys.set("d", () => focused("deny"));
