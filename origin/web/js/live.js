// The fleet as it is now, kept up by server-sent events.
//
// The browser itself reconnects and says which event it saw last; the origin then sends what was
// missed, or `reset`, and all rows are read anew. Rows that came by events while the list was under
// way are newer than the list. When what we count differs from what the origin counts (an edge that
// enrolled, a duty that changed elsewhere), the list is read again.
import { ApiError, get } from "./api.js";
import { announce } from "./dom.js";
import { group } from "./states.js";

const STALE_S = 6; // figures come each second
const REREAD_S = 5;
const CHANGES_MAX = 100;

class Live extends EventTarget {
  edges = new Map();
  totals = null;
  changes = [];
  status = "connecting";
  #source = null;
  #touched = null;
  #heard = 0;
  #readAt = 0;
  #timers = [];

  start() {
    this.stop();
    this.#connect();
    this.#timers = [setInterval(() => this.#look(), 1000)];
  }

  stop() {
    this.#source?.close();
    this.#source = null;
    this.#timers.forEach(clearInterval);
    this.#timers = [];
    this.edges.clear();
    this.totals = null;
    this.changes = [];
  }

  /** Seconds since the origin said anything. */
  get silence_s() {
    return (performance.now() - this.#heard) / 1000;
  }

  async reread() {
    this.#readAt = performance.now();
    this.#touched = new Set();
    const touched = this.#touched;
    try {
      const list = await get("/edges");
      const names = new Set();
      for (const row of list.edges) {
        names.add(row.edge);
        if (!touched.has(row.edge)) this.#take(row);
      }
      for (const name of this.edges.keys()) {
        if (!names.has(name) && !touched.has(name)) this.edges.delete(name);
      }
      this.totals = list.totals;
      this.#tell({ isAll: true });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    } finally {
      if (this.#touched === touched) this.#touched = null;
    }
  }

  #connect() {
    const source = new EventSource("/v1/admin/events");
    this.#source = source;
    source.onopen = () => this.#set("live");
    source.onerror = () => this.#broken(source);
    const on = (kind, take) =>
      source.addEventListener(kind, (event) => {
        this.#heard = performance.now();
        this.#set("live");
        take(JSON.parse(event.data));
      });
    on("hello", () => this.reread());
    on("reset", () => this.reread());
    on("figures", (data) => this.#figures(data));
    on("edge", (data) => this.#changed(data));
    on("plan", (data) => this.dispatchEvent(new CustomEvent("plan", { detail: data })));
    on("database", (data) => {
      announce(data.is_away ? "The database is away" : "The database is back");
    });
  }

  async #broken(source) {
    if (source !== this.#source) return;
    this.#set("reconnecting");
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    // Refused, so the browser gives up. A session that ended shows here, as a 401.
    await get("/whoami").catch(() => null);
    if (source === this.#source) setTimeout(() => source === this.#source && this.#connect(), 2000);
  }

  #figures(data) {
    this.totals = data.totals;
    for (const row of data.edges) if (row) this.#take(row, true);
    this.#tell({ edges: data.edges });
    if (this.#differs() && performance.now() - this.#readAt > REREAD_S * 1000) this.reread();
  }

  #changed({ edge, before, after, reason, row }) {
    this.changes.unshift({ edge, before, after, reason, wall_s: Date.now() / 1000 });
    this.changes.length = Math.min(this.changes.length, CHANGES_MAX);
    if (row) this.#take(row, true);
    announce(`${edge} is ${after}: ${reason}`);
    this.#tell({ edges: [row], isState: true });
  }

  #take(row, isEvent = false) {
    const now = performance.now();
    row.group = group(row);
    row.heardAt = row.heartbeat_age_s == null ? null : now - row.heartbeat_age_s * 1000;
    row.stateAt = now - row.state_age_s * 1000;
    this.edges.set(row.edge, row);
    if (isEvent) this.#touched?.add(row.edge);
  }

  #differs() {
    const counts = {};
    for (const row of this.edges.values()) counts[row.group] = (counts[row.group] ?? 0) + 1;
    const told = this.totals.by_state;
    const names = new Set([...Object.keys(counts), ...Object.keys(told)]);
    return [...names].some((name) => (counts[name] ?? 0) !== (told[name] ?? 0));
  }

  #look() {
    if (this.status === "live" && this.silence_s > STALE_S) this.#set("stale");
    this.dispatchEvent(new Event("second"));
  }

  #set(status) {
    if (status === this.status) return;
    if (status === "live") this.#heard = performance.now();
    this.status = status;
    this.dispatchEvent(new Event("status"));
  }

  #tell(detail) {
    this.dispatchEvent(new CustomEvent("update", { detail }));
  }
}

export const live = new Live();
