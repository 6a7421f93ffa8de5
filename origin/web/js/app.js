// Signing in, and which view is shown for which address.
import { resume, session, signOut, who } from "./api.js";
import { auditView } from "./audit.js";
import { announce, el, setAttribute, setText } from "./dom.js";
import { edgeView } from "./edge_page.js";
import { span } from "./format.js";
import { live } from "./live.js";
import { loginView } from "./login.js";
import { overview } from "./overview.js";
import { planView } from "./plan_page.js";
import { plansView } from "./plans.js";
import { titleView } from "./title_page.js";
import { titlesView } from "./titles.js";

const VIEWS = [
  [/^\/$/, overview],
  [/^\/edges\/([^/]+)$/, edgeView],
  [/^\/titles$/, titlesView],
  [/^\/titles\/([^/]+)$/, titleView],
  [/^\/plans$/, plansView],
  [/^\/plans\/([^/]+)$/, planView],
  [/^\/audit$/, auditView],
];

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let open = null;

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function lost() {
  return {
    title: "Not found",
    node: el("section", {}, el("h1", { text: "There is no such page" }), el("a", { href: "#/", text: "To the fleet" })),
  };
}

function show(view, isFirst) {
  open?.close?.();
  open = view;
  main.replaceChildren(view.node);
  document.title = `${view.title} · Nearcast`;
  if (!isFirst) {
    const heading = main.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function route(isFirst = false) {
  const path = location.hash.replace(/^#/, "") || "/";
  if (!path.startsWith("/")) return; // the skip link
  const isSignedIn = who !== null;
  nav.hidden = !isSignedIn;
  document.getElementById("sign-out").hidden = !isSignedIn;
  document.getElementById("live").hidden = !isSignedIn;
  if (!isSignedIn) {
    show(loginView(), isFirst);
    return;
  }
  for (const link of nav.children) {
    const to = link.getAttribute("href").slice(1);
    const isHere = to === "/" ? path === "/" || path.startsWith("/edges/") : path.startsWith(to);
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const [pattern, view] of VIEWS) {
    const found = pattern.exec(path);
    if (found) {
      show(view(...found.slice(1).map(decoded)), isFirst);
      return;
    }
  }
  show(lost(), isFirst);
}

const TEXTS = {
  connecting: "Connecting",
  live: "Live",
  stale: "No news",
  reconnecting: "Reconnecting",
};

function showStatus() {
  const node = document.getElementById("live");
  const isFresh = live.status === "live";
  const silence = isFresh || live.totals === null ? "" : `, figures are ${span(live.silence_s)} old`;
  setAttribute(node, "data-status", live.status);
  setText(node, `${TEXTS[live.status]}${silence}`);
  document.body.classList.toggle("is-stale", !isFresh && live.totals !== null);
}

live.addEventListener("status", showStatus);
live.addEventListener("second", () => live.status !== "live" && showStatus());
window.addEventListener("hashchange", () => route());
document.getElementById("sign-out").addEventListener("click", () => signOut());
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the view's
  main.focus();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, dialog");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = main.querySelector("input[type=search]");
  if (search) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});
session.addEventListener("change", () => {
  if (who === null) {
    live.stop();
    announce("Signed out");
  } else {
    live.start();
  }
  route();
});

async function begin() {
  try {
    if (await resume()) live.start();
  } catch {
    setTimeout(begin, 2000); // the origin is away
    return;
  }
  showStatus();
  route(true);
}

begin();
