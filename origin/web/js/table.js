// A table that is sorted, paged and kept up in place: only cells that differ are touched, and only
// rows of the page that is shown exist, so that a thousand edges cost what fifty do.
import { count } from "./format.js";
import { el, setAttribute, setText } from "./dom.js";

function compare(a, b) {
  if (a == null || b == null) return (a == null) - (b == null); // unknown last, either way
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
}

/**
 * `columns`: {id, label, value(row) to sort by, set(cell, row) or text(row), class, descends}.
 * `key(row)` names a row. `empty`: what to show without rows.
 */
export class Table {
  #columns;
  #key;
  #pageSize;
  #rows = [];
  #order = [];
  #page = 0;
  #sort;
  #shown = new Map();
  #body = el("tbody");
  #headers = new Map();
  #pager = el("nav", { class: "pager", "aria-label": "Pages of the table" });
  #range = el("span", { "aria-live": "polite" });
  #empty;
  #onPage;

  constructor({ caption, columns, key, sort, pageSize = 50, empty, onPage = () => {} }) {
    this.#columns = columns;
    this.#key = key;
    this.#pageSize = pageSize;
    this.#sort = sort;
    this.#onPage = onPage;
    this.#empty = el("div", { class: "empty", hidden: true }, empty ?? "Nothing here yet.");
    const head = el("tr", {}, columns.map((column) => this.#header(column)));
    this.table = el("table", {}, el("caption", { class: "sr-only", text: caption }), el("thead", {}, head), this.#body);
    this.#body.addEventListener("keydown", (event) => this.#keys(event));
    const step = (by, text) =>
      el("button", { type: "button", text, on: { click: () => this.turn(by) } });
    this.#pager.append(step(-1, "Previous"), this.#range, step(1, "Next"));
    this.node = el("div", {}, el("div", { class: "table-wrap" }, this.table), this.#empty, this.#pager);
  }

  /** All rows, sorted anew unless `keepsOrder`. */
  setRows(rows, { keepsOrder = false } = {}) {
    this.#rows = rows;
    if (!keepsOrder || rows.length !== this.#order.length) this.#reorder();
    else {
      const byKey = new Map(rows.map((row) => [this.#key(row), row]));
      this.#order = this.#order.map((row) => byKey.get(this.#key(row)));
      if (this.#order.includes(undefined)) this.#reorder();
    }
    this.#draw();
  }

  get visible() {
    return this.#order.slice(this.#page * this.#pageSize, (this.#page + 1) * this.#pageSize);
  }

  first() {
    this.#page = 0;
  }

  turn(by) {
    this.#page += by;
    this.#draw();
    this.table.scrollIntoView({ block: "nearest" });
  }

  #header(column) {
    const button = el("button", {
      type: "button", class: "sort", text: column.label, on: { click: () => this.#sortBy(column) },
    });
    const header = el("th", { scope: "col", class: column.class }, column.value ? button : column.label);
    this.#headers.set(column.id, header);
    return header;
  }

  #sortBy(column) {
    const isSame = this.#sort.id === column.id;
    this.#sort = { id: column.id, descends: isSame ? !this.#sort.descends : Boolean(column.descends) };
    this.#page = 0;
    this.#reorder();
    this.#draw();
  }

  #reorder() {
    const column = this.#columns.find((one) => one.id === this.#sort.id);
    const sign = this.#sort.descends ? -1 : 1;
    const keyed = this.#rows.map((row) => ({ row, value: column.value(row), name: this.#key(row) }));
    keyed.sort((a, b) => {
      const isKnown = a.value != null && b.value != null;
      return (isKnown ? sign : 1) * compare(a.value, b.value) || compare(a.name, b.name);
    });
    this.#order = keyed.map((one) => one.row);
  }

  #draw() {
    const pages = Math.max(1, Math.ceil(this.#order.length / this.#pageSize));
    this.#page = Math.min(Math.max(0, this.#page), pages - 1);
    for (const [id, header] of this.#headers) {
      const isSorted = id === this.#sort.id;
      if (isSorted) setAttribute(header, "aria-sort", this.#sort.descends ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    const rows = this.visible;
    const kept = new Set(rows.map((row) => String(this.#key(row))));
    for (const [key, shown] of this.#shown) {
      if (!kept.has(key)) {
        shown.remove();
        this.#shown.delete(key);
      }
    }
    let at = this.#body.firstChild;
    for (const row of rows) {
      const line = this.#line(row);
      if (line === at) at = at.nextSibling;
      else this.#body.insertBefore(line, at);
    }
    const from = this.#page * this.#pageSize;
    this.#pager.hidden = pages === 1;
    setText(this.#range, `${count(from + 1)} to ${count(from + rows.length)} of ${count(this.#order.length)}`);
    this.#pager.firstChild.disabled = this.#page === 0;
    this.#pager.lastChild.disabled = this.#page === pages - 1;
    this.table.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
    this.#onPage(rows);
  }

  #line(row) {
    const key = String(this.#key(row));
    let line = this.#shown.get(key);
    if (!line) {
      line = el("tr", { data: { key } }, this.#columns.map((column, index) =>
        el(index === 0 ? "th" : "td", { class: column.class, scope: index === 0 ? "row" : null })));
      this.#shown.set(key, line);
    }
    this.#columns.forEach((column, index) => {
      const cell = line.children[index];
      if (column.set) column.set(cell, row);
      else setText(cell, column.text(row));
    });
    return line;
  }

  /** Up and down between rows, Home and End, Page Up and Down between pages. */
  #keys(event) {
    const line = event.target.closest("tr");
    if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
    const lines = [...this.#body.children];
    const at = lines.indexOf(line);
    const to = {
      ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1,
    }[event.key];
    const isPage = event.key === "PageDown" || event.key === "PageUp";
    if (to === undefined && !isPage) return;
    event.preventDefault();
    if (isPage) this.turn(event.key === "PageDown" ? 1 : -1);
    const next = isPage ? this.#body.firstChild : lines[to];
    next?.querySelector("a, button")?.focus();
  }
}
