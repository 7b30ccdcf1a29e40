(() => {
  const every = 5000, main = document.querySelector("main"), stale = document.getElementById("stale");
  let shown = new Date();
  const refresh = async () => {
    if (document.hidden || main.querySelector("input:focus")) return;
    // Who is copying a command keeps what is marked, but not for ever.
    if (getSelection().type === "Range" && new Date() - shown < 60000) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("main"), focused = document.activeElement && document.activeElement.id;
      main.replaceChildren(...fresh.childNodes);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      const words = page.getElementById("status").textContent, status = document.getElementById("status");
      if (status.textContent !== words) status.textContent = words;
      document.title = page.title;
      const icon = document.querySelector("link[rel=icon]"), freshIcon = page.querySelector("link[rel=icon]").href;
      if (icon.href !== freshIcon) icon.href = freshIcon;
      shown = new Date();
      stale.hidden = true;
    } catch {
      stale.textContent = "No answer from mailferry: this is how it was at " + shown.toLocaleTimeString();
      stale.hidden = false;
    }
  };
  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
})();
