// All edges, as a table that stays in step.
import { get } from "./api.js";
import { drawSparkline, el, makeBar, setAttribute, setBar, setText, sparkline } from "./dom.js";
import { DASH, bytes, count, kbps, percent, seconds, span } from "./format.js";
import { live } from "./live.js";
import { badge, setBadge, STATES } from "./states.js";
import { Table } from "./table.js";

const REORDER_S = 5; // rows keep still meanwhile, so that they can be read
const SPARK_S = 60;
const SPARKS_AT_ONCE = 3;

/** The last hour's demand of the edges that are shown, fetched as they come into sight. */
class Sparks {
  #known = new Map();
  #waiting = [];
  #running = 0;
  #abort = new AbortController();

  of(edge) {
    return this.#known.get(edge)?.values;
  }

  want(edges, drawn) {
    const now = performance.now();
    this.#waiting = edges
      .filter((edge) => now - (this.#known.get(edge)?.at ?? -Infinity) > SPARK_S * 1000)
      .map((edge) => ({ edge, drawn }));
    this.#next();
  }

  close() {
    this.#waiting = [];
    this.#abort.abort();
  }

  async #next() {
    if (this.#running >= SPARKS_AT_ONCE || !this.#waiting.length) return;
    const { edge, drawn } = this.#waiting.shift();
    this.#running += 1;
    this.#known.set(edge, { at: performance.now(), values: this.of(edge) });
    this.#next();
    try {
      const path = `/edges/${encodeURIComponent(edge)}/series?window_s=3600&step_s=120`;
      const { points } = await get(path, this.#abort.signal);
      this.#known.set(edge, { at: performance.now(), values: points.slice(0, -1).map((one) => one.demand_bytes) });
      drawn(edge);
    } catch {
      /* the next look tries again */
    } finally {
      this.#running -= 1;
      this.#next();
    }
  }
}

const once = (cell, make) => cell.firstChild ?? cell.appendChild(make());

const isHeard = (row) => row.heardAt != null;
const heardText = (row) => (isHeard(row) ? `${span((performance.now() - row.heardAt) / 1000)} ago` : "never");
const planShare = (row) => (row.plan_files ? row.plan_files_held / row.plan_files : null);

function barCell(cell, share, text, warn) {
  once(cell, () => el("span", { class: "with-bar" }, makeBar(), el("span")));
  setBar(cell.firstChild.firstChild, share, warn);
  setText(cell.firstChild.lastChild, text);
}

const COLUMNS = (sparks) => [
  {
    id: "edge", label: "Edge", value: (row) => row.edge,
    set: (cell, row) => {
      const link = once(cell, () => el("a", { href: `#/edges/${encodeURIComponent(row.edge)}` }));
      setText(link, row.edge);
    },
  },
  {
    id: "state", label: "State", value: (row) => STATES[row.group].rank,
    set: (cell, row) => {
      setBadge(once(cell, () => badge(row.group)), row.group);
      setAttribute(cell, "title", row.reason);
    },
  },
  { id: "region", label: "Region", class: "p2", value: (row) => row.region, text: (row) => row.region || DASH },
  { id: "cluster", label: "Cluster", class: "p3", value: (row) => row.cluster, text: (row) => row.cluster || DASH },
  {
    id: "hit", label: "Hit ratio", class: "num", descends: true,
    value: (row) => row.recent.hit_ratio, text: (row) => percent(row.recent.hit_ratio),
  },
  {
    id: "traffic", label: "To viewers", class: "num p2", descends: true,
    value: (row) => row.recent.client_kbps,
    set: (cell, row) => {
      const box = once(cell, () => el("span", { class: "with-spark" }, sparkline([]), el("span")));
      const values = sparks.of(row.edge);
      if (values && box.values !== values) {
        drawSparkline(box.firstChild, values);
        box.values = values;
      }
      setText(box.lastChild, kbps(row.recent.client_kbps));
    },
  },
  {
    id: "origin", label: "From origin", class: "num p3", descends: true,
    value: (row) => row.recent.origin_kbps, text: (row) => kbps(row.recent.origin_kbps),
  },
  {
    id: "load", label: "Load", class: "p2", descends: true, value: (row) => row.load_share,
    set: (cell, row) => barCell(cell, row.load_share, percent(row.load_share, 0), 0.8),
  },
  {
    id: "storage", label: "Storage", class: "p3", descends: true,
    value: (row) => row.used_bytes / Math.max(1, row.capacity_bytes),
    set: (cell, row) => {
      const share = row.used_bytes / Math.max(1, row.capacity_bytes);
      barCell(cell, share, row.is_failing ? "▲ takes no writes" : percent(share, 0));
      setAttribute(cell, "title", `${bytes(row.used_bytes)} of ${bytes(row.capacity_bytes)}`);
    },
  },
  {
    id: "plan", label: "Plan", class: "p3", value: planShare,
    set: (cell, row) => {
      const share = planShare(row);
      const text = share == null ? DASH : `${count(row.plan_files_held)} of ${count(row.plan_files)}`;
      barCell(cell, share ?? 0, row.plan_files && !row.is_plan_current ? `${text}, old` : text);
      cell.firstChild.firstChild.hidden = share == null;
    },
  },
  {
    id: "startup", label: "Start-up", class: "num p4", descends: true,
    value: (row) => row.recent.startup_s, text: (row) => seconds(row.recent.startup_s),
  },
  {
    id: "stalls", label: "Stalls", class: "num p4", descends: true,
    value: (row) => row.recent.stall_ratio, text: (row) => percent(row.recent.stall_ratio, 2),
  },
  {
    id: "heard", label: "Heard", class: "num", value: (row) => (isHeard(row) ? -row.heardAt : null),
    text: heardText,
  },
];

export class EdgeTable {
  #sparks = new Sparks();
  #table = new Table({
    caption: "Edges", columns: COLUMNS(this.#sparks), key: (row) => row.edge,
    sort: { id: "state", descends: false }, empty: "No edge is like that.",
    onPage: (rows) => this.#shown(rows),
  });
  #query = el("input", { type: "search", placeholder: "Find edges  /", "aria-label": "Find edges by name, region or cluster", "aria-keyshortcuts": "/" });
  #state = el("select", { "aria-label": "State" });
  #region = el("select", { "aria-label": "Region" });
  #found = el("span", { class: "muted", role: "status" });
  #orderedAt = 0;

  constructor() {
    this.#state.append(el("option", { value: "", text: "All states" }),
      ...Object.keys(STATES).map((state) => el("option", { value: state, text: `${STATES[state].sign} ${state}` })));
    for (const node of [this.#query, this.#state, this.#region]) {
      node.addEventListener("input", () => {
        this.#table.first();
        this.update({ isAll: true });
      });
    }
    this.node = el(
      "section",
      { "aria-label": "Edges", id: "edges" },
      el("div", { class: "section-head" }, el("h2", { text: "Edges" }),
        el("div", { class: "filters", role: "search" }, this.#query, this.#state, this.#region, this.#found)),
      this.#table.node,
    );
  }

  pickRegion(region) {
    this.#regions();
    this.#region.value = this.#region.value === `=${region}` ? "" : `=${region}`;
    this.#table.first();
    this.update({ isAll: true });
    this.node.scrollIntoView({ block: "start" });
  }

  pickState(state) {
    this.#state.value = this.#state.value === state ? "" : state;
    this.#table.first();
    this.update({ isAll: true });
    this.node.scrollIntoView({ block: "start" });
  }

  update({ isAll, isState }) {
    const now = performance.now();
    const isUsed = this.#table.table.matches(":hover") || this.#table.table.contains(document.activeElement);
    const isDue = now - this.#orderedAt > REORDER_S * 1000 && !isUsed;
    const reorders = isAll || isState || isDue;
    if (reorders) {
      this.#orderedAt = now;
      this.#regions();
    }
    const rows = this.#chosen();
    this.#table.setRows(rows, { keepsOrder: !reorders });
    setText(this.#found, rows.length === live.edges.size ? "" : `${count(rows.length)} of ${count(live.edges.size)}`);
  }

  /** Ages grow though nothing comes. */
  second() {
    if (live.status !== "live") this.update({});
  }

  close() {
    this.#sparks.close();
  }

  #chosen() {
    const words = this.#query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = this.#state.value;
    const region = this.#region.value;
    return [...live.edges.values()].filter((row) => {
      if (state && row.group !== state) return false;
      if (region && `=${row.region}` !== region) return false;
      const text = `${row.edge} ${row.region} ${row.cluster}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  #regions() {
    const names = [...new Set([...live.edges.values()].map((row) => row.region))].sort();
    if (names.join("\n") === this.#region.dataset.names) return;
    const chosen = this.#region.value;
    this.#region.dataset.names = names.join("\n");
    this.#region.replaceChildren(el("option", { value: "", text: "All regions" }),
      ...names.map((name) => el("option", { value: `=${name}`, text: name || "(no region)" })));
    this.#region.value = chosen;
    this.#region.hidden = names.length < 2;
  }

  #shown(rows) {
    const isNarrow = matchMedia("(max-width: 700px)").matches;
    if (!isNarrow) this.#sparks.want(rows.map((row) => row.edge), () => this.#redraw());
  }

  #redraw() {
    clearTimeout(this.redrawing);
    this.redrawing = setTimeout(() => this.update({}), 100);
  }
}
