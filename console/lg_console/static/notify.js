// Tells somebody who looks elsewhere that something waits for them. The button asks the browser for its leave first.

import { stored } from "./app.js";

const button = document.getElementById("notify");
if (button && "Notification" in window) {
  button.hidden = Notification.permission === "denied";
  button.textContent = stored("lg-notify") === "yes" ? "Do not notify me" : "Notify me";
  button.addEventListener("click", async () => {
    const on = stored("lg-notify") !== "yes" && (await Notification.requestPermission()) === "granted";
    stored("lg-notify", on ? "yes" : null);
    button.textContent = on ? "Do not notify me" : "Notify me";
  });
}

// Says that something waits, not what: a notification may be read on a locked screen.
export function notify(body) {
  if (stored("lg-notify") !== "yes" || document.visibilityState === "visible") return;
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  new Notification("LG console", { body, tag: "lg" });
}
