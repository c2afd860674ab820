// Buttons are plain forms; here they are sent without leaving the page, and the
// physical world is shown as it changes.
const set = (s, f, text) => { const e = s.querySelector(`[data-f=${f}]`); if (e && e.textContent !== text) e.textContent = text; };
const on = (s, f, text, active) => { const e = s.querySelector(`[data-f=${f}]`); e.textContent = text; e.classList.toggle("on", active); };
const notes = (m) => Object.entries(m || {}).filter(([, n]) => n > 0).sort((a, b) => b[0] - a[0]).map(([v, n]) => `₹${v}×${n}`).join("  ");

async function show() {
  let states;
  try { states = await (await fetch("/state")).json(); } catch { return; }
  states.forEach((k, i) => {
    const s = document.getElementById("kiosk" + i);
    set(s, "box", k.box); set(s, "notes", notes(k.notes)); set(s, "returned", notes(k.returned) || "—");
    set(s, "sheets", String(k.sheets)); set(s, "last", k.last || "");
    on(s, "plug", k.running ? "Pull the plug" : "Plug in again", !k.running);
    on(s, "office", k.officeCut ? "Mend: office" : "Cut: office", k.officeCut);
    on(s, "neighbours", k.neighboursCut ? "Mend: neighbours" : "Cut: neighbours", k.neighboursCut);
    on(s, "jam", k.jammed ? "Clear the jam" : "Jam a note", k.jammed);
    on(s, "paper", k.paper === 0 ? "Refill paper" : "Run out of paper", k.paper === 0);
    s.querySelector(".dark").hidden = k.running;
    const frame = s.querySelector("iframe");
    if (k.running && frame.dataset.src !== k.screen) { frame.dataset.src = k.screen; frame.src = k.screen; }
    const tray = s.querySelector("[data-f=tray]");
    if (tray.childElementCount !== k.sheets) {
      tray.replaceChildren(...Array.from({ length: k.sheets }, (_, n) => {
        const a = document.createElement("a");
        a.href = `${k.tray}/sheet/${n + 1}`; a.target = "_blank"; a.rel = "noopener"; a.textContent = ` sheet ${n + 1}`;
        return a;
      }));
    }
  });
}

document.addEventListener("submit", async (e) => {
  e.preventDefault();
  const body = new URLSearchParams(new FormData(e.target, e.submitter));
  await fetch(e.target.action, { method: "POST", body, redirect: "manual" }).catch(() => {});
  show();
});
setInterval(show, 500);
show();
