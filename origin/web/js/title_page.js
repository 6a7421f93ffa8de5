// One title: where it is and should be, why, and whether that was foreseen.
import { get } from "./api.js";
import { Chart } from "./chart.js";
import { el, setText } from "./dom.js";
import { bytes, count, kbps, percent, seconds, span } from "./format.js";
import { Table } from "./table.js";

const HOUR_S = 3600;
const DAY_S = 86400;
const WINDOWS = [[DAY_S, "24 h"], [7 * DAY_S, "7 d"], [28 * DAY_S, "28 d"]];

/** What viewers took and what plans expected, each hour or each day. */
function compared({ hours, forecasts }, window_s) {
  const step_s = window_s > DAY_S ? DAY_S : HOUR_S;
  const offset_s = step_s === DAY_S ? new Date().getTimezoneOffset() * 60 : 0; // days are local ones
  const floor = (wall_s) => Math.floor((wall_s - offset_s) / step_s) * step_s + offset_s;
  const last = floor(Date.now() / 1000);
  const first = floor(Date.now() / 1000 - window_s) + step_s;
  const times = [];
  for (let at = first; at <= last; at += step_s) times.push(at);
  const taken = new Map();
  for (const hour of hours) taken.set(floor(hour.wall_s), (taken.get(floor(hour.wall_s)) ?? 0) + hour.client_bytes);
  const actual = times.map((at) => taken.get(at) ?? 0);
  const expected = times.map((at) => {
    // The newest forecast that was there when the step began, or came within it.
    const known = forecasts.filter((one) => one.made_wall_s < at + step_s);
    return known.length ? (known.at(-1).bytes_per_day * step_s) / DAY_S : null;
  });
  // Where the last step ends, so that it is drawn.
  times.push(last + step_s);
  actual.push(null);
  expected.push(expected.at(-1));
  return { times, actual, expected, isDaily: step_s === DAY_S };
}

/** How its viewings went, as players told. */
function viewedText(told) {
  if (!told.session_count) return "No viewing has ended in this time.";
  return [
    `${count(told.session_count)} viewings ended`,
    told.watched_share == null ? "" : `${percent(told.watched_share, 0)} watched`,
    told.startup_s == null ? "" : `start-up ${seconds(told.startup_s)}`,
    told.stalls_per_hour == null ? "" : `${told.stalls_per_hour.toFixed(2)} stalls an hour`,
    told.bitrate_kbps == null ? "" : kbps(told.bitrate_kbps),
    told.error_count ? `${count(told.error_count)} errors` : "",
  ].filter(Boolean).join("  ·  ");
}

const what = (one) =>
  `${one.until_s == null ? "whole" : `first ${span(one.until_s)}`}${one.is_reserved ? ", reserved" : ""}`;

function plannedText(planned) {
  if (!planned.length) return "–";
  const size = planned.reduce((sum, one) => sum + one.size_bytes, 0);
  return `${planned.map((one) => `${one.rendition} (${what(one)})`).join(", ")}: ${bytes(size)}`;
}

export function titleView(id) {
  const abort = new AbortController();
  const path = `/titles/${encodeURIComponent(id)}`;
  const heading = el("h1", { text: id });
  const about = el("p", { class: "muted" });
  const viewed = el("p");
  const error = el("p", { class: "notice", role: "alert", hidden: true });
  const place = el("div");
  const why = el("div", { "aria-live": "polite" });
  const rest = el("p", { class: "muted" });
  let window_s = 7 * DAY_S;
  let chart = null;

  const table = new Table({
    caption: "Edges and this title", key: (row) => row.edge, sort: { id: "taken", descends: true },
    empty: "No edge holds it, none is to, and nobody took it in this time.",
    columns: [
      {
        id: "edge", label: "Edge", value: (row) => row.edge,
        set: (cell, row) => {
          const link = cell.firstChild ?? cell.appendChild(el("a", { href: `#/edges/${encodeURIComponent(row.edge)}` }));
          setText(link, row.edge);
        },
      },
      { id: "held", label: "Held", value: (row) => Number(row.is_held), descends: true, text: (row) => (row.is_held ? "✓ yes" : "no") },
      { id: "planned", label: "Planned", class: "wide-text", value: (row) => row.planned.length, descends: true, text: (row) => plannedText(row.planned) },
      { id: "taken", label: "Taken", class: "num", descends: true, value: (row) => row.client_bytes, text: (row) => bytes(row.client_bytes) },
      {
        id: "why", label: "Why",
        set: (cell, row) => cell.firstChild ?? cell.append(el("button", {
          type: "button", class: "small", text: "Why?", "aria-label": `Why: ${row.edge}`, on: { click: () => explain(row.edge) },
        })),
      },
    ],
  });

  async function explain(edge) {
    why.replaceChildren(el("p", { class: "muted", text: "Asking the planner…" }));
    try {
      const query = `title=${encodeURIComponent(id)}&edge=${encodeURIComponent(edge)}`;
      const { answers } = await get(`/plans/current/explain?${query}`, abort.signal);
      why.replaceChildren(el("div", { class: "card" }, el("h2", { text: `Why, at ${edge}` }),
        el("p", { class: "hint", text: "Worth: bytes that a byte held is expected to save while the plan is valid. Needs: what the last that found room saves." }),
        el("ul", { class: "because" }, answers.map((one) => el("li", {},
          el("strong", { text: `${one.rendition}: ` }), one.because,
          el("span", { class: "muted", text: ` (${bytes(one.size_bytes)}, held ${bytes(one.held_bytes)}; worth ${one.worth.toFixed(2)}, needs ${one.cut_off.toFixed(2)})` }))))));
    } catch (problem) {
      if (problem.name !== "AbortError") why.replaceChildren(el("p", { class: "notice", text: problem.message }));
    }
  }

  function draw(detail) {
    const { times, actual, expected, isDaily } = compared(detail, window_s);
    chart?.close();
    chart = new Chart({
      name: `Taken each ${isDaily ? "day" : "hour"}, the last ${isDaily ? "day" : "hour"} so far`, format: bytes, isDaily, idle: 1e6,
      series: [
        { label: "actual", color: "--chart-1", bars: true },
        { label: "forecast", color: "--chart-2", steps: true },
      ],
    });
    place.replaceChildren(chart.node);
    chart.set(times, [actual, expected]);
  }

  async function read() {
    let detail;
    try {
      detail = await get(`${path}?window_s=${window_s}`, abort.signal);
    } catch (problem) {
      if (problem.name !== "AbortError") {
        error.hidden = false;
        error.textContent = problem.message;
      }
      return;
    }
    error.hidden = true;
    setText(heading, detail.name);
    const holders = detail.edges.filter((one) => one.is_held).length;
    const planned = detail.edges.filter((one) => one.planned.length).length;
    const taken = detail.hours.reduce((sum, one) => sum + one.client_bytes, 0);
    const resident = detail.hours.reduce((sum, one) => sum + one.resident_bytes, 0);
    setText(about, [
      detail.name === id ? "" : id,
      detail.genre ?? "",
      detail.duration_s == null ? "" : span(detail.duration_s),
      `held by ${count(holders)} of ${count(detail.edges.length)} edges`,
      `planned for ${count(planned)}`,
      `${bytes(taken)} taken${taken ? `, ${percent(resident / taken, 0)} from stores` : ""}`,
      detail.forecasts.length ? "" : "no forecast: few were expected to want it",
    ].filter(Boolean).join("  ·  "));
    setText(viewed, viewedText(detail.viewings));
    const concerned = detail.edges.filter((one) => one.is_held || one.planned.length || one.client_bytes);
    // In a small fleet all are shown: why not is a question, too.
    const rows = detail.edges.length <= 20 ? detail.edges : concerned;
    table.setRows(rows);
    const others = detail.edges.length - rows.length;
    setText(rest, others ? `${count(others)} other edges have nothing to do with it.` : "");
    draw(detail);
  }

  const choice = el("div", { class: "choice", role: "group", "aria-label": "Time shown" },
    WINDOWS.map(([value, text]) => el("button", {
      type: "button", text, "aria-pressed": String(value === window_s),
      on: {
        click: (event) => {
          window_s = value;
          for (const one of choice.children) one.setAttribute("aria-pressed", String(one === event.target));
          read();
        },
      },
    })));
  read();
  return {
    title: id,
    node: el(
      "div", {},
      el("p", { class: "crumbs" }, el("a", { href: "#/titles", text: "Titles" }), " / title"),
      heading, about, viewed, error,
      el("div", { class: "section-head" }, el("h2", { text: "Forecast and actual" }), choice),
      place,
      el("section", { "aria-label": "Where it is" }, el("h2", { text: "Where it is" }), table.node, rest, why),
    ),
    close() {
      abort.abort();
      chart?.close();
    },
  };
}
