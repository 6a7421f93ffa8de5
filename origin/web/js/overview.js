// The fleet: figures now and over time, regions, and all edges.
import { may } from "./api.js";
import { el, setAttribute, setText } from "./dom.js";
import { EdgeTable } from "./edge_table.js";
import { invite } from "./enrol.js";
import { clockText, count, kbps, percent, planName, seconds } from "./format.js";
import { live } from "./live.js";
import { RegionTiles } from "./regions.js";
import { SeriesPanel } from "./series.js";
import { STATES } from "./states.js";

const TILES = [
  ["Viewers take", (recent) => kbps(recent.client_kbps), "Sent to players by all edges, over the last minute"],
  ["Origin sends", (recent) => kbps(recent.origin_kbps), "Fetched from the origin by all edges, over the last minute"],
  ["Hit ratio", (recent) => percent(recent.hit_ratio), "Of the bytes that viewers took, those from edges' stores"],
  ["Prefetch used", (recent) => percent(recent.prefetch_precision), "Of what was fetched ahead and decided about"],
  ["Prefetch wasted", (recent) => percent(recent.prefetch_waste_ratio), "Of what was fetched ahead, thrown away unused"],
  ["Start-up", (recent) => seconds(recent.startup_s), "Mean of the last minute, as players report it"],
  ["Stalls", (recent) => percent(recent.stall_ratio, 2), "Of players' reports, those that tell of a stall"],
  ["Bitrate", (recent) => kbps(recent.bitrate_kbps), "Mean of what players play"],
];

export function overview() {
  const values = TILES.map(() => el("dd", { text: "–" }));
  const tiles = el("dl", { class: "tiles" }, TILES.map(([name, , about], index) =>
    el("div", { class: "tile card", title: about }, el("dt", { text: name }), values[index])));
  const states = el("div", { class: "states", role: "group", "aria-label": "How many edges are how" });
  const plan = el("span");
  const notice = el("p", { class: "notice", role: "alert", hidden: true });
  const table = new EdgeTable();
  const regions = new RegionTiles((region) => table.pickRegion(region));
  const stateButtons = Object.keys(STATES).map((state) => [state, el("button", {
    type: "button", class: "small", hidden: true, data: { state }, title: `Show these edges alone, or all again`,
    on: { click: () => table.pickState(state) },
  })]);
  states.append(...stateButtons.map(([, button]) => button), plan);
  const panel = new SeriesPanel("/fleet/series", "The fleet over time");
  const changes = el("ol", { class: "changes" });
  const changesBox = el("details", { class: "card", hidden: true },
    el("summary", { text: "What changed since this page was opened" }), changes);
  const add = el("button", {
    type: "button", text: "Add an edge", on: { click: () => invite() }, hidden: !may("admin"),
  });
  const firstSteps = el(
    "div",
    { class: "card empty", hidden: true },
    el("h2", { text: "No edge has enrolled yet" }),
    el("ol", { class: "steps" },
      el("li", {}, may("admin") ? "Make a token with “Add an edge” above, or where the origin runs:" : "Where the origin runs, make a token:",
        el("pre", { class: "wraps", text: "nearcast origin fleet enrol EDGE --library LIBRARY" })),
      el("li", {}, "On the edge's machine use it once, and start the edge:",
        el("pre", { class: "wraps", text: "nearcast edge enrol TOKEN --store DIR --url http://HOST:PORT\nnearcast edge --upstream URL --store DIR --listen HOST:PORT" })),
      el("li", {}, "It is shown here within seconds, and its charts begin a minute later.")),
  );
  const filled = el("div", {}, tiles, regions.node, panel.node, table.node);

  function figures() {
    const totals = live.totals;
    if (totals === null) return;
    TILES.forEach(([, text], index) => setText(values[index], text(totals.recent)));
    for (const [state, button] of stateButtons) {
      const found = totals.by_state[state] ?? 0;
      button.hidden = !found;
      setText(button, `${STATES[state].sign} ${count(found)} ${state}`.replaceAll(" ", "\u00a0"));
    }
    const origins = totals.origin_count > 1 ? `${totals.origin_count} origins` : "1 origin";
    setText(plan, `${totals.plan_id ? `plan ${planName(totals.plan_id)}` : "no plan in force"} · ${origins}`);
    notice.hidden = !totals.is_database_away;
    const trouble = totals.database_trouble || "the database is away";
    setText(notice, `Trouble: ${trouble}. Figures go on, changes have to wait.`);
    const isEmpty = live.edges.size === 0 && totals.edge_count === 0;
    firstSteps.hidden = !isEmpty;
    filled.hidden = isEmpty;
  }

  function listChanges() {
    changesBox.hidden = live.changes.length === 0;
    changes.replaceChildren(...live.changes.slice(0, 20).map((one) =>
      el("li", {}, el("span", { class: "muted", text: `${clockText(one.wall_s)} ` }),
        el("a", { href: `#/edges/${encodeURIComponent(one.edge)}`, text: one.edge }),
        ` ${one.before} → ${one.after}: ${one.reason}`)));
  }

  function update(event) {
    const began = performance.now();
    figures();
    table.update(event?.detail ?? { isAll: true });
    regions.update();
    if (!event || event.detail.isState) listChanges();
    setAttribute(node, "data-edges", String(live.edges.size));
    // What an update costs, for those who look (docs/fleet.md).
    performance.measure("nearcast-update", { start: began });
    performance.clearMeasures("nearcast-update");
  }

  const second = () => table.second();
  live.addEventListener("update", update);
  live.addEventListener("second", second);
  const node = el(
    "div",
    { class: "overview" },
    el("div", { class: "page-head" }, el("h1", { text: "Fleet" }), add),
    states, notice, firstSteps, filled, changesBox,
  );
  if (live.totals !== null) update();
  return {
    title: "Fleet",
    node,
    close() {
      live.removeEventListener("update", update);
      live.removeEventListener("second", second);
      panel.close();
      table.close();
    },
  };
}
