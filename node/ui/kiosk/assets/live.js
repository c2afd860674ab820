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

// What a person is typing, and where the focus is, survives.
function replace(next) {
  const focus = document.activeElement && document.activeElement.id;
  const typed = document.getElementById("number");
  const kept = typed && typed.value;
  const same = document.querySelector("#main h1")?.textContent === next.querySelector("#main h1")?.textContent;
  for (const part of ["header", "main", "#actions", "footer"]) {
    document.querySelector(part).replaceWith(next.querySelector(part));
  }
  document.documentElement.lang = next.documentElement.lang;
  document.title = next.title;
  shown = Number(next.body.dataset.version);
  const number = document.getElementById("number");
  if (number && kept && same && !number.value) number.value = kept;
  if (focus) document.getElementById(focus)?.focus();
}

const stream = new EventSource("/k/live");
stream.onmessage = (e) => { if (Number(e.data) !== shown) refresh(); };
stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 1000); };
