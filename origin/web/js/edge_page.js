// One edge: how it does, since when and why, and what is wanted of it.
import { get, may, post } from "./api.js";
import { changeList } from "./change.js";
import { confirm } from "./dialog.js";
import { el, setText } from "./dom.js";
import { DASH, bytes, count, kbps, percent, planName, span, time, windows, zone } from "./format.js";
import { live } from "./live.js";
import { SeriesPanel } from "./series.js";
import { badge, setBadge } from "./states.js";

const REFRESH_S = 10;

const DUTIES = {
  active: ["Put to work", "Players may be sent there again, and it fills by the plan."],
  draining: ["Drain", "No player is sent there any more; those that are there leave within seconds. Planned bytes stay."],
  maintenance: ["Maintenance", "No players and no fills, and its silence is no alarm."],
};

export function edgeView(name) {
  const path = `/edges/${encodeURIComponent(name)}`;
  const abort = new AbortController();
  const state = badge("unknown");
  const reason = el("span", { class: "reason" });
  const facts = el("dl", { class: "facts card" });
  const history = el("ol", { class: "changes" });
  const plan = el("dl", { class: "facts" });
  const audit = el("ol", { class: "changes" });
  const error = el("p", { class: "notice", role: "alert", hidden: true });
  let summary; // of the plan in force
  const panel = new SeriesPanel(`${path}/series`);
  const buttons = el("div", { class: "buttons", role: "group", "aria-label": "What is wanted of it" });

  function setDuty(duty) {
    const [action, text] = DUTIES[duty];
    confirm({
      title: `${action}: ${name}`, text, action, isDangerous: duty !== "active",
      act: async () => {
        await post(`${path}/duty`, { duty });
        await read();
        return `${name}: ${duty}`;
      },
    });
  }

  const dutyButtons = Object.entries(DUTIES).map(([duty, [text]]) =>
    el("button", { type: "button", text, data: { duty }, on: { click: () => setDuty(duty) } }));
  buttons.append(...dutyButtons);
  if (!may("operator")) {
    buttons.append(el("span", { class: "hint", text: "Your token may look, not change: that needs the role operator." }));
  }

  function list(node, pairs) {
    node.replaceChildren(...pairs.map(([key, value]) =>
      el("div", {}, el("dt", { text: key }), el("dd", {}, value instanceof Node ? value : String(value)))));
  }

  function showRow(row) {
    setBadge(state, row.group);
    const since = span((performance.now() - row.stateAt) / 1000);
    setText(reason, `${row.group} for ${since}${row.reason ? `: ${row.reason}` : ""}`);
    for (const button of dutyButtons) {
      button.disabled = !may("operator") || row.is_revoked || button.dataset.duty === row.duty;
    }
  }

  async function read() {
    let detail;
    try {
      detail = await get(path, abort.signal);
    } catch (problem) {
      if (problem.name !== "AbortError") {
        error.hidden = false;
        error.textContent = problem.message;
        rest.hidden = buttons.hidden = state.hidden = problem.status === 404;
      }
      return;
    }
    error.hidden = true;
    rest.hidden = buttons.hidden = state.hidden = false;
    const { edge, row } = detail;
    list(facts, [
      ["Address", edge.profile.url],
      ["Region", edge.profile.region || DASH],
      ["Cluster", edge.profile.cluster || DASH],
      ["Networks", edge.profile.networks.join(", ") || "any"],
      ["Viewers' clocks", zone(edge.profile)],
      ["Link to players", kbps(edge.profile.link_kbps)],
      ["Sending now", `${kbps(edge.load.client_kbps)}, ${percent(edge.load_share, 0)} of its link`],
      ["Connections", count(edge.load.connection_count)],
      ["Store", edge.storage
        ? `${bytes(edge.storage.used_bytes)} of ${bytes(edge.storage.capacity_bytes)}, ${bytes(edge.storage.pinned_bytes)} for the plan${edge.storage.is_failing ? "; takes no writes" : ""}`
        : "not heard yet"],
      ["Titles held", count(edge.held_titles)],
      ["Software", edge.software || DASH],
      ["Up for", edge.uptime_s ? span(edge.uptime_s) : DASH],
      ["Clock", Math.abs(edge.clock_offset_s) < 1 ? "right" : `${edge.clock_offset_s.toFixed(1)} s off`],
      ["Probe from here", edge.probe_rtt_ms == null ? DASH : `${edge.probe_rtt_ms.toFixed(1)} ms`],
      ["Observers", edge.observers_down.length ? `${edge.observers_down.join(", ")} say it is down` : `${edge.observer_count}, none says it is down`],
      ["Telemetry waiting", `${bytes(edge.telemetry_waiting_bytes)}${edge.telemetry_dropped_events ? `, ${count(edge.telemetry_dropped_events)} events dropped` : ""}`],
      ["Refused messages", Object.entries(edge.refused).map(([why, times]) => `${times} ${why}`).join(", ") || "none"],
      ["Enrolled", time(detail.enrolled_wall_s)],
      ["Certificate", detail.serial ? `${detail.serial.slice(0, 12)}…` : DASH],
      ...(detail.note ? [["Note", detail.note]] : []),
    ]);
    history.replaceChildren(...[...detail.states].reverse().map((one) =>
      el("li", {}, time(one.wall_s), ` ${one.before} → ${one.after}: ${one.reason}`)));
    if (!detail.states.length) history.append(el("li", { class: "muted", text: "No change since this origin started." }));
    await showPlan(row);
    await showAudit();
  }

  async function showPlan(row) {
    const pairs = [["Works by", row.plan_id ? el("a", { href: `#/plans/${row.plan_id}`, text: planName(row.plan_id) }) : "no plan"]];
    if (row.plan_files) {
      pairs.push(["Held of it", `${count(row.plan_files_held)} of ${count(row.plan_files)} files (${percent(row.plan_files_held / row.plan_files, 0)})`]);
    }
    if (live.totals?.plan_id) {
      if (live.totals.plan_id !== summary?.plan_id) {
        ({ summary } = await get("/plans/current", abort.signal).catch(() => ({})));
      }
      const mine = summary?.edges.find((one) => one.edge === name);
      if (mine) {
        pairs.push(
          ["In force", el("a", { href: `#/plans/${summary.plan_id}`, text: `${planName(summary.plan_id)}${row.is_plan_current ? "" : " (not fetched by it yet)"}` })],
          ["To hold", `${count(mine.files - mine.reserved_files)} files, ${bytes(mine.stored_bytes)} of ${bytes(mine.pinned_bytes_max)}`],
          // Not fetched; kept when a viewer pulls them.
          ["Places reserved", `${count(mine.reserved_files)} files, ${bytes(mine.reserved_bytes)}`],
          ["To fetch", `${bytes(mine.fill_bytes)} in ${windows(mine.windows)}`],
          ["Expected to save", bytes(mine.value_bytes)],
          ["What is short", mine.refusal || mine.binding.join(", ").replaceAll("_", " ") || "nothing"],
        );
      }
    }
    list(plan, pairs);
  }

  async function showAudit() {
    const { entries } = await get("/audit?limit=300", abort.signal).catch(() => ({ entries: [] }));
    const mine = entries.filter((one) => one.subject === name).slice(0, 10);
    audit.replaceChildren(...mine.map((one) =>
      el("li", {}, time(one.wall_s), ` ${one.actor}: ${one.action}`, one.before && changeList(one))));
    if (!mine.length) audit.append(el("li", { class: "muted", text: "Nothing lately." }));
  }

  const update = (event) => {
    const row = live.edges.get(name);
    if (row) showRow(row);
    const isMine = event?.detail.isState && event.detail.edges?.some((one) => one?.edge === name);
    if (isMine) read();
  };
  const rest = el("div", {}, facts, panel.node,
    el(
      "div",
      { class: "columns" },
      el("section", { class: "card" }, el("h2", { text: "States, and why" }), history),
      el("section", { class: "card" }, el("h2", { text: "Plan" }), plan),
      el("section", { class: "card" }, el("h2", { text: "Changed by people" }), audit),
    ));
  live.addEventListener("update", update);
  const timer = setInterval(() => document.hidden || read(), REFRESH_S * 1000);
  update();
  read();

  const node = el(
    "div",
    {},
    el("p", { class: "crumbs" }, el("a", { href: "#/", text: "Fleet" }), " / edge"),
    el("div", { class: "page-head" }, el("h1", { text: name }), state, buttons),
    el("p", { class: "muted" }, reason),
    error, rest,
  );
  return {
    title: name,
    node,
    close() {
      abort.abort();
      clearInterval(timer);
      live.removeEventListener("update", update);
      panel.close();
    },
  };
}
