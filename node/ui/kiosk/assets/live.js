// The page fetches itself anew when the till's view changed. Without this script
// everything works by forms; with it the amount grows by itself.
let shown = Number(document.body.dataset.version);
let fetching = false, again = false;

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch("/k", { headers: { Accept: "text/html" } });
    if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else if (answer.status === 401) location.reload();
  } catch { /* the kiosk restarts: the stream comes back and calls again */ }
  fetching = false;
  if (again) { again = false; refresh(); }
}

// What a person is typing, and where the focus is, survives. An answer that was
// overtaken by a newer one is dropped; a page of failure has no version.
function replace(next) {
  const version = Number(next.body.dataset.version);
  if (version > 0 && version < shown) return;
  const focus = document.activeElement && document.activeElement.id;
  const typed = document.getElementById("number");
  const kept = typed && typed.value;
  const same = document.querySelector("#main h1")?.textContent === next.querySelector("#main h1")?.textContent;
  for (const part of ["header", "main", "#actions", "footer"]) {
    document.querySelector(part).replaceWith(next.querySelector(part));
  }
  document.documentElement.lang = next.documentElement.lang;
  document.title = next.title;
  shown = version;
  const number = document.getElementById("number");
  if (number && kept && same && !number.value) number.value = kept;
  if (focus) document.getElementById(focus)?.focus();
}

const stream = new EventSource("/k/live");
stream.onmessage = (e) => { if (Number(e.data) !== shown) refresh(); };
stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 1000); };

// Presses go one after another, each with what the page holds when its turn comes, so
// that fast fingers lose no digit. A button that is no longer there is not pressed.
let presses = Promise.resolve();
document.addEventListener("submit", (e) => {
  const pressed = e.submitter;
  if (!pressed) return;
  e.preventDefault();
  presses = presses.then(() => press(pressed.name, pressed.value)).catch(() => location.reload());
});

async function press(name, value) {
  const button = [...document.querySelectorAll("button")].find((b) => b.name === name && b.value === value);
  if (!button || button.disabled) return;
  const answer = await fetch("/k", { method: "POST", body: new URLSearchParams(new FormData(button.form, button)) });
  replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
}
