// Loaded before the first paint, so that a chosen theme doesn't flash. Without a choice the system's holds.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* no storage: the choice lasts for this page */ }
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  addEventListener("click", (e) => {
    if (!e.target.closest("[data-theme-toggle]")) return;
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch { /* as above */ }
    dispatchEvent(new Event("themechange"));
  });
  dark.addEventListener("change", () => dispatchEvent(new Event("themechange")));
})();
