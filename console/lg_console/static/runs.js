// Sends the forms of runs, and answers their questions.

import { refresh, refreshers, replaceParts, send, tell } from "./app.js";
import { notify } from "./notify.js";

function fieldsOf(form) {
  const fields = {};
  for (const input of form.querySelectorAll("input, select, textarea")) {
    if (!input.name || input.value.trim() === "") continue;
    fields[input.name] = input.type === "number" ? Number(input.value) : input.value;
  }
  return fields;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches(".answer")) event.preventDefault();
  if (!form.dataset.send) return;
  event.preventDefault();
  const problem = form.querySelector(".problem");
  const button = form.querySelector("button");
  problem.textContent = "";
  button.disabled = true;
  try {
    const found = await send(form.dataset.send, { ...JSON.parse(form.dataset.fields || "{}"), ...fieldsOf(form) });
    if (form.dataset.to) location.assign(form.dataset.to.endsWith("/") ? form.dataset.to + encodeURIComponent(found.run_id) : form.dataset.to);
    else { form.reset(); tell("sent", "live"); await refresh(); }
  } catch (error) {
    problem.textContent = error.message;
  }
  button.disabled = false;
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-answer]");
  if (!button) return;
  const card = button.closest(".card");
  const problem = card.querySelector(".problem");
  const fields = JSON.parse(button.dataset.fields);
  const reason = card.querySelector("input[name=reason]").value.trim();
  if (reason) fields.reason = reason;
  for (const each of card.querySelectorAll("button")) each.disabled = true;
  try {
    await send(button.dataset.answer, fields);
    card.querySelector("input[name=reason]").blur();
    tell("answered", "live");
    await refresh();
  } catch (error) {
    problem.textContent = error.message;
    for (const each of card.querySelectorAll("button")) each.disabled = false;
    if (error.status === 409) await refresh();
  }
});

// A run that has begun to wait is news for somebody who looks elsewhere: the run of this page, or one of the list.
function waiting(root) { return new Set([...root.querySelectorAll("[data-state=waiting]")].map((found) => found.dataset.run)); }

// On a narrow screen the graph shows the node that is being visited, or the last one that was.
function showActive(root) {
  const box = document.querySelector(".graph");
  const node = box?.querySelector(".active") ?? [...(box?.querySelectorAll(".seen") ?? [])].pop();
  const name = node?.parentElement.textContent;
  if (!node || name === root.dataset.shown) return;
  root.dataset.shown = name;
  const [at, room] = [node.getBoundingClientRect(), box.getBoundingClientRect()];
  box.scrollLeft += at.left + at.width / 2 - room.left - room.width / 2;
}

refreshers.push((page) => {
  const before = waiting(document);
  const fresh = [...waiting(page)].filter((run) => !before.has(run));
  replaceParts(page);
  requestAnimationFrame(() => showActive(document.documentElement));
  if (fresh.length) notify(fresh.length === 1 ? "A run waits for you." : `${fresh.length} runs wait for you.`);
});
showActive(document.documentElement);
