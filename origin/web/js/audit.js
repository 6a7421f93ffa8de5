// Who changed what, newest first.
import { get } from "./api.js";
import { changeList, shortText } from "./change.js";
import { el } from "./dom.js";
import { DASH, time } from "./format.js";

const PAGE = 100;

export function auditView() {
  const abort = new AbortController();
  const body = el("tbody");
  const error = el("p", { class: "notice", role: "alert", hidden: true });
  const empty = el("p", { class: "empty", hidden: true, text: "Nobody has changed anything yet." });
  const more = el("button", { type: "button", text: "Earlier", hidden: true, on: { click: () => read() } });
  let before = null;

  function line(entry) {
    return el("tr", {},
      el("td", {}, time(entry.wall_s)),
      el("td", { text: entry.actor }),
      el("td", { text: entry.action }),
      el("td", { text: shortText(entry.subject) || DASH, title: entry.subject }),
      el("td", { class: "p3 small-text" }, changeList(entry)));
  }

  async function read() {
    try {
      const { entries } = await get(`/audit?limit=${PAGE}${before === null ? "" : `&before_id=${before}`}`, abort.signal);
      body.append(...entries.map(line));
      before = entries.at(-1)?.id ?? before;
      more.hidden = entries.length < PAGE;
      empty.hidden = body.childElementCount > 0;
      error.hidden = true;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error.hidden = false;
      error.textContent = problem.message;
    }
  }

  read();
  return {
    title: "Audit",
    node: el("div", {}, el("h1", { text: "Audit log" }),
      el("p", { class: "muted", text: "What people changed, each under the name of a token, and what origins did by themselves." }),
      error,
      el("div", { class: "table-wrap" }, el("table", {}, el("caption", { class: "sr-only", text: "Audit log" }),
        el("thead", {}, el("tr", {}, ["When", "Who", "What", "Of what"].map((text) => el("th", { scope: "col", text })),
          el("th", { scope: "col", class: "p3", text: "Change" }))),
        body)),
      empty, el("p", {}, more)),
    close: () => abort.abort(),
  };
}
