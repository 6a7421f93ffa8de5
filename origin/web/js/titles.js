// Titles, most watched first, and a search.
import { get } from "./api.js";
import { el, setText } from "./dom.js";
import { DASH, bytes, count, percent, span } from "./format.js";
import { Table } from "./table.js";

const PAUSE_MS = 200;

export function titlesView() {
  let abort = new AbortController();
  const found = el("p", { class: "muted", role: "status" });
  const search = el("input", {
    type: "search", placeholder: "Find titles  /", "aria-label": "Find titles by id or name", "aria-keyshortcuts": "/",
  });
  const hit = (row) => (row.client_bytes ? row.resident_bytes / row.client_bytes : null);
  const table = new Table({
    caption: "Titles", key: (row) => row.title, sort: { id: "bytes", descends: true },
    empty: "No title is called that. Titles come from the catalogue (nearcast origin ingest) and from what viewers take.",
    columns: [
      {
        id: "name", label: "Title", value: (row) => row.name,
        set: (cell, row) => {
          const link = cell.firstChild ?? cell.appendChild(el("a", { href: `#/titles/${encodeURIComponent(row.title)}` }));
          setText(link, row.name);
        },
      },
      { id: "id", label: "Id", class: "p2 mono", value: (row) => row.title, text: (row) => row.title },
      { id: "series", label: "Series", class: "p3", value: (row) => row.series, text: (row) => row.series ?? DASH },
      { id: "genre", label: "Genre", class: "p3", value: (row) => row.genre, text: (row) => row.genre ?? DASH },
      { id: "duration", label: "Length", class: "num p2", value: (row) => row.duration_s, text: (row) => span(row.duration_s) },
      { id: "bytes", label: "Taken in 7 days", class: "num", descends: true, value: (row) => row.client_bytes, text: (row) => bytes(row.client_bytes) },
      { id: "hit", label: "Hit ratio", class: "num p2", descends: true, value: hit, text: (row) => percent(hit(row)) },
      { id: "sessions", label: "Sessions", class: "num", descends: true, value: (row) => row.session_count, text: (row) => count(row.session_count) },
    ],
  });

  async function read() {
    abort.abort();
    abort = new AbortController();
    try {
      const list = await get(`/titles?limit=200&query=${encodeURIComponent(search.value.trim())}`, abort.signal);
      table.first();
      table.setRows(list.titles);
      setText(found, list.found_count > list.titles.length
        ? `${count(list.titles.length)} of ${count(list.found_count)} are shown: name more of what you look for.`
        : `${count(list.found_count)} titles`);
    } catch (problem) {
      if (problem.name !== "AbortError") setText(found, problem.message);
    }
  }

  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(read, PAUSE_MS);
  });
  read();
  return {
    title: "Titles",
    node: el("div", {}, el("h1", { text: "Titles" }), el("div", { class: "filters", role: "search" }, search, found), table.node),
    close() {
      clearTimeout(timer);
      abort.abort();
    },
  };
}
