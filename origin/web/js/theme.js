// The theme before anything is drawn: what was chosen here, else what the system says.
// A plain script, so that it runs before the page is painted.
"use strict";
(() => {
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const NAMES = { auto: ["◐", "System"], light: ["☼", "Light"], dark: ["●", "Dark"] };
  const root = document.documentElement;
  const chosen = () => {
    try {
      const found = localStorage.getItem("nearcast.theme");
      return found in NEXT ? found : "auto";
    } catch {
      return "auto"; // storage is turned off
    }
  };
  const apply = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) {
      const word = document.createElement("span");
      word.textContent = ` ${NAMES[theme][1]}`;
      button.replaceChildren(NAMES[theme][0], word);
      button.setAttribute("aria-label", `Theme: ${NAMES[theme][1].toLowerCase()}`);
    }
    root.dispatchEvent(new CustomEvent("theme"));
  };
  apply(chosen());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(chosen()));
  document.addEventListener("DOMContentLoaded", () => {
    apply(chosen());
    document.getElementById("theme").addEventListener("click", () => {
      const next = NEXT[chosen()];
      try {
        localStorage.setItem("nearcast.theme", next);
      } catch {
        /* it lasts until the page is left */
      }
      apply(next);
    });
  });
})();
