// What an edge is shown as. Each state has a sign and a word, so that colour is not all there is.
import { el, setAttribute } from "./dom.js";

export const STATES = {
  dead: { sign: "✕", rank: 0 },
  suspect: { sign: "▲", rank: 1 },
  unknown: { sign: "?", rank: 2 },
  draining: { sign: "↓", rank: 3 },
  maintenance: { sign: "■", rank: 4 },
  alive: { sign: "●", rank: 5 },
  revoked: { sign: "⊘", rank: 6 },
};

/** As the API's totals count it. */
export function group(row) {
  if (row.is_revoked) return "revoked";
  if (row.duty !== "active") return row.duty;
  return row.is_draining && row.state === "alive" ? "draining" : row.state;
}

export function badge(state) {
  const node = el(
    "span",
    { class: "badge", data: { state } },
    el("span", { "aria-hidden": "true", text: STATES[state]?.sign ?? "?" }),
    el("span", { text: state }),
  );
  return node;
}

export function setBadge(node, state) {
  if (node.dataset.state === state) return;
  node.dataset.state = state;
  node.firstChild.textContent = STATES[state]?.sign ?? "?";
  node.lastChild.textContent = state;
  setAttribute(node, "title", "");
}
