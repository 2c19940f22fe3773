// Logs in by the secret in the address, or by a token. The secret leaves the address before anything else happens.

const form = document.getElementById("login");
const message = document.getElementById("message");
const secret = new URLSearchParams(location.hash.slice(1)).get("link");
history.replaceState(null, "", location.pathname + (form ? location.search : ""));

async function login(path, fields) {
  message.textContent = "Logging in …";
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(fields), redirect: "error",
    });
    const found = await answer.json();
    if (!answer.ok) throw new Error([found.error.message, found.error.hint].filter(Boolean).join(". "));
    localStorage.setItem("lg-action", found.action_key);
    location.replace(form.dataset.next);
  } catch (error) {
    message.textContent = error.message;
    message.className = "problem";
  }
}

// After an identity provider's answer: the key stays in this browser, as after any other login.
const done = document.getElementById("going-on");
if (done) {
  const key = done.dataset.key;
  delete done.dataset.key;
  localStorage.setItem("lg-action", key);
  location.replace(done.dataset.next);
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const token = document.getElementById("token");
  const fields = { token: token.value };
  token.value = "";
  login("/login/token", fields);
});

if (secret) login("/login/link", { link: secret });
