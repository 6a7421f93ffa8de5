// The charts that the fleet and an edge have alike, from the API's points.
import { get } from "./api.js";
import { Chart } from "./chart.js";
import { el } from "./dom.js";
import { bytes, count, kbps, percent, seconds } from "./format.js";

const REFRESH_S = 15;
const WINDOWS = [[3600, "1 h"], [6 * 3600, "6 h"], [24 * 3600, "24 h"]];
const kbpsOf = (value, step_s) => (value * 8) / 1000 / step_s;

const CHARTS = [
  {
    name: "Demand and origin traffic", format: kbps, idle: 1000,
    series: [
      { label: "viewers", color: "--chart-1", fills: true },
      { label: "from origin", color: "--chart-2" },
      { label: "from other edges", color: "--chart-3" },
    ],
    of: (point, step_s) => [
      kbpsOf(point.demand_bytes, step_s), kbpsOf(point.origin_bytes, step_s), kbpsOf(point.peer_bytes, step_s),
    ],
  },
  {
    name: "Hit ratio of bytes", format: (value) => percent(value, 0), max: 1,
    series: [{ label: "hit ratio", color: "--chart-1", fills: true }],
    of: (point) => [point.hit_ratio],
  },
  {
    name: "Prefetch: precision", format: (value) => percent(value, 0), max: 1,
    series: [{ label: "used, of what was decided", color: "--chart-1" }],
    of: (point) => [point.prefetch_precision],
  },
  {
    name: "Prefetch: fetched and wasted", format: bytes, idle: 1e6,
    series: [
      { label: "fetched ahead", color: "--chart-1" },
      { label: "thrown away unused", color: "--chart-2", fills: true },
      { label: "for the plan", color: "--chart-3" },
    ],
    of: (point) => [point.prefetch_bytes, point.prefetch_waste_bytes, point.planned_bytes],
  },
  {
    name: "Start-up", format: seconds,
    series: [{ label: "mean", color: "--chart-1" }],
    of: (point) => [point.startup_s],
  },
  {
    name: "Reports of a stall", format: (value) => percent(value, 2), idle: 0.01,
    series: [{ label: "of all reports", color: "--chart-2", fills: true }],
    of: (point) => [point.stall_ratio],
  },
  {
    name: "Bitrate", format: kbps, idle: 10000,
    series: [{ label: "mean", color: "--chart-1" }],
    of: (point) => [point.bitrate_kbps],
  },
  {
    name: "Sessions begun", format: (value) => count(Math.round(value * 10) / 10),
    series: [{ label: "each minute", color: "--chart-1" }],
    of: (point, step_s) => [(point.session_count * 60) / step_s],
  },
];

/** `path` gives points; `close` when the view goes. */
export class SeriesPanel {
  #path;
  #window_s = 3600;
  #charts = CHARTS.map((options) => ({ ...options, chart: new Chart(options) }));
  #abort = new AbortController();
  #timer;
  #note = el("p", { class: "hint", hidden: true });

  constructor(path, heading = "Over time") {
    this.#path = path;
    const choice = el(
      "div",
      { class: "choice", role: "group", "aria-label": "Time shown" },
      WINDOWS.map(([window_s, text]) =>
        el("button", {
          type: "button", text, "aria-pressed": String(window_s === this.#window_s),
          on: {
            click: (event) => {
              this.#window_s = window_s;
              for (const one of choice.children) one.setAttribute("aria-pressed", String(one === event.target));
              this.#read();
            },
          },
        })),
    );
    this.node = el(
      "section",
      { "aria-label": heading },
      el("div", { class: "section-head" }, el("h2", { text: heading }), choice),
      this.#note,
      el("div", { class: "charts" }, this.#charts.map((one) => one.chart.node)),
    );
    this.#read();
    this.#timer = setInterval(() => document.hidden || this.#read(), REFRESH_S * 1000);
  }

  close() {
    clearInterval(this.#timer);
    this.#abort.abort();
    for (const one of this.#charts) one.chart.close();
  }

  async #read() {
    const window_s = this.#window_s;
    let answer;
    try {
      answer = await get(`${this.#path}?window_s=${window_s}`, this.#abort.signal);
    } catch {
      return; // the header says that the origin is away
    }
    if (window_s !== this.#window_s) return;
    const { points, step_s } = answer;
    const isEmpty = points.every((point) => !point.demand_bytes && !point.origin_bytes && !point.session_count);
    this.#note.hidden = !isEmpty;
    this.#note.textContent = points.length
      ? "No viewer took anything in this time. Figures begin when an edge has sent two heartbeats."
      : "No figures yet: it has not been heard of for a day.";
    // The newest minute is not over: its bytes are too few for a rate.
    const whole = points.length > 1 ? points.slice(0, -1) : points;
    const now_s = Date.now() / 1000;
    const times = whole.length ? whole.map((point) => point.wall_s) : [now_s - window_s, now_s];
    // What was before this origin's first figures is not known, and no zero.
    const begin = whole.findIndex((point) => point.demand_bytes || point.origin_bytes || point.load_kbps);
    for (const { chart, series, of } of this.#charts) {
      const columns = series.map(() => []);
      whole.forEach((point, at) =>
        of(point, step_s).forEach((value, index) => columns[index].push(at < begin ? null : value)));
      if (!whole.length) columns.forEach((column) => column.push(null, null));
      chart.set(times, columns);
    }
  }
}
