// Says how the chain stands: the check may take a while, and the calls need not wait for it.

const line = document.getElementById("chain");

function said(chain) {
  if (chain.problems.length) return `NOT intact: ${chain.problems[0]}`;
  const at = chain.signed_at ? `, head signed ${new Date(chain.signed_at * 1000).toLocaleString()}` : "";
  return `verified to record ${chain.verified}${at}, up to record ${chain.signed}${chain.remarks.map((text) => `; ${text}`).join("")}`;
}

if (line) {
  try {
    const answer = await fetch(line.dataset.chain);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const chain = await answer.json();
    line.textContent = said(chain);
    line.className = chain.problems.length ? "problem" : "state ok";
  } catch (error) {
    line.textContent = `the chain could not be checked: ${error.message}`;
    line.className = "problem";
  }
}
