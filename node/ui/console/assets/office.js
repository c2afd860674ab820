// The page fetches itself anew when the office's view changed, and says so when the
// live line is lost: an old page must not look like a live one.
const stream = new EventSource("/live");
stream.onmessage = async () => {
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const scrolled = document.getElementById("questions")?.scrollTop ?? 0;
    for (const part of ["header", "main"]) document.querySelector(part).replaceWith(next.querySelector(part));
    const questions = document.getElementById("questions");
    if (questions) questions.scrollTop = scrolled;
  } catch { lost(); }
};
stream.onerror = lost;
function lost() {
  const live = document.getElementById("live");
  live.textContent = live.dataset.lost;
  live.classList.add("lost");
}
