// One plan: what it changes, edge by edge, before it is put in force.
import { get, may, post } from "./api.js";
import { confirm } from "./dialog.js";
import { el, setText } from "./dom.js";
import { DASH, bytes, count, kbps, planName, time, windows } from "./format.js";
import { live } from "./live.js";
import { Table } from "./table.js";

const SIGNS = { added: "+", grown: "+", removed: "−", shrunk: "−" };

function changesOf(edge) {
  if (!edge.changes.length) return el("p", { class: "muted", text: "It changes nothing there." });
  const shown = edge.added_files + edge.removed_files > edge.changes.length
    ? el("p", { class: "hint", text: `Those ${edge.changes.length} that matter most.` }) : null;
  return el("div", {},
    el("p", { class: "muted", text: `Fetched in ${windows(edge.windows)}, at up to ${kbps(edge.fill_kbps_max)}.` }),
    el("ul", { class: "diff" }, edge.changes.map((one) =>
      el("li", { data: { change: one.change } },
        el("span", { class: "sign", text: `${SIGNS[one.change]} ${one.change}` }),
        el("a", { href: `#/titles/${encodeURIComponent(one.title)}`, text: one.title }),
        el("span", { class: "mono", text: ` ${one.rendition}` }),
        el("span", { class: "muted", text: ` ${bytes(one.size_bytes)}${one.change === "added" || one.change === "grown" ? `, expected to save ${bytes(one.value_bytes)}` : ""}${one.from_edges.length ? `, from ${one.from_edges.join(", ")}` : ""}` })))),
    shown);
}

const note = (row) =>
  row.refusal || (row.is_new ? "new" : row.is_gone ? "gone" : row.windows.length ? windows(row.windows.slice(0, 1)) : DASH);

export function planView(id) {
  const abort = new AbortController();
  const path = `/plans/${encodeURIComponent(id)}`;
  const error = el("p", { class: "notice", role: "alert", hidden: true });
  const facts = el("dl", { class: "facts card" });
  const heading = el("h1", {}, "Plan ", el("span", { class: "mono", text: planName(id) }));
  const against = el("p", { class: "muted" });
  const chosen = el("div", { "aria-live": "polite" });
  let plan = null;
  let diff = null;

  const apply = el("button", { type: "button", class: "primary", text: "Put in force", hidden: true, on: { click: ask } });

  const search = el("input", {
    type: "search", placeholder: "Find edges  /", "aria-label": "Find edges by name or note", "aria-keyshortcuts": "/",
    on: { input: () => { table.first(); list(); } },
  });
  const found = el("span", { class: "muted", role: "status" });
  const files = (number, size) => (number ? `${count(number)} (${bytes(size)})` : DASH);

  const table = new Table({
    caption: "What the plan changes at each edge", key: (row) => row.edge, sort: { id: "added", descends: true },
    empty: "It has nothing for any edge.",
    columns: [
      {
        id: "edge", label: "Edge", value: (row) => row.edge,
        set: (cell, row) => cell.firstChild ?? cell.append(el("a", { href: `#/edges/${row.edge}`, text: row.edge })),
      },
      { id: "added", label: "Added", class: "num", descends: true, value: (row) => row.added_bytes, text: (row) => files(row.added_files, row.added_bytes) },
      { id: "removed", label: "Removed", class: "num", descends: true, value: (row) => row.removed_bytes, text: (row) => files(row.removed_files, row.removed_bytes) },
      { id: "kept", label: "Kept", class: "num p2", descends: true, value: (row) => row.kept_bytes, text: (row) => files(row.kept_files, row.kept_bytes) },
      { id: "fill", label: "To fetch", class: "num p2", descends: true, value: (row) => row.fill_bytes, text: (row) => (row.fill_bytes ? bytes(row.fill_bytes) : DASH) },
      { id: "value", label: "Expected to save", class: "num p2", descends: true, value: (row) => row.value_bytes, text: (row) => (row.value_bytes ? bytes(row.value_bytes) : DASH) },
      { id: "note", label: "Note", class: "p3", text: note },
      {
        id: "files", label: "Files",
        set: (cell, row) => cell.firstChild ?? cell.append(el("button", {
          type: "button", class: "small", text: "Show", "aria-label": `Show files of ${row.edge}`, on: { click: () => choose(row) },
        })),
      },
    ],
  });

  function list() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = diff.edges.filter((row) => words.every((word) => `${row.edge} ${note(row)}`.toLowerCase().includes(word)));
    table.setRows(rows);
    search.hidden = diff.edges.length < 2;
    setText(found, rows.length === diff.edges.length ? "" : `${count(rows.length)} of ${count(diff.edges.length)}`);
  }

  function choose(edge) {
    chosen.replaceChildren(el("section", { class: "card" }, el("h2", { text: `At ${edge.edge}` }), changesOf(edge)));
    chosen.scrollIntoView({ block: "nearest" });
  }

  function ask() {
    confirm({
      title: `Put plan ${planName(plan.plan_id)} in force`,
      text: `${count(diff?.edges.length ?? 0)} edges: ${bytes(diff?.added_bytes ?? 0)} are added, ${bytes(diff?.removed_bytes ?? 0)} removed, ${bytes(diff?.kept_bytes ?? 0)} kept, and ${bytes(diff?.fill_bytes ?? 0)} fetched in their windows. Edges begin with their next heartbeat.`,
      action: "Put in force",
      act: async () => {
        await post(`${path}/apply`);
        await read();
        return "The plan is in force";
      },
    });
  }

  function figures(summary) {
    const pairs = [
      ["State", { applied: "● in force", proposed: "○ proposed", superseded: "– superseded" }[plan.state]],
      ["Made", time(plan.made_wall_s)],
      ["Valid until", time(plan.valid_until_wall_s)],
      ["Put in force", plan.applied_wall_s == null ? "not yet" : time(plan.applied_wall_s)],
      ["Edges", `${count(plan.edge_count)}${plan.refused_edges ? `, ${count(plan.refused_edges)} with nothing to fetch` : ""}`],
      ["Files", count(plan.file_count)],
      ["To hold", bytes(plan.stored_bytes)],
      ["To fetch", `${bytes(plan.fill_bytes)} of at most ${bytes(summary.fill_bytes_max)}`],
      ["Expected to save", bytes(plan.value_bytes)],
    ];
    const lacking = summary.edges.filter((edge) => edge.missing_bytes);
    if (lacking.length) {
      const missing = lacking.reduce((sum, edge) => sum + edge.missing_bytes, 0);
      const who = lacking.slice(0, 3).map((edge) => edge.edge).join(", ");
      pairs.push(["Missing", `${bytes(missing)} that should be held, as ${who}${lacking.length > 3 ? ` and ${count(lacking.length - 3)} more` : ""} said`]);
    }
    facts.replaceChildren(...pairs.map(([key, value]) =>
      el("div", {}, el("dt", { text: key }), el("dd", {}, value))));
  }

  async function read() {
    try {
      const detail = await get(path, abort.signal);
      plan = detail.plan;
      figures(detail.summary);
      heading.lastChild.textContent = planName(plan.plan_id);
      apply.hidden = plan.state === "applied" || !may("operator");
      diff = await get(`${path}/diff`, abort.signal);
      setText(against, plan.state === "applied"
        ? "It is in force. This is all that it wants held, as if nothing had been: what edges have of it by now is on their pages."
        : `Against ${diff.before_id ? `the plan in force, ${planName(diff.before_id)}` : "no plan"}: ${bytes(diff.added_bytes)} added, ${bytes(diff.removed_bytes)} removed, ${bytes(diff.kept_bytes)} kept.`);
      list();
      error.hidden = true;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error.hidden = false;
      setText(error, problem.message);
    }
  }

  live.addEventListener("plan", read);
  read();
  return {
    title: `Plan ${planName(id)}`,
    node: el("div", {},
      el("p", { class: "crumbs" }, el("a", { href: "#/plans", text: "Plans" }), " / plan"),
      el("div", { class: "page-head" }, heading, apply),
      error, facts,
      el("div", { class: "section-head" }, el("h2", { text: "What it changes" }),
        el("div", { class: "filters", role: "search" }, search, found)),
      against, table.node, chosen),
    close() {
      abort.abort();
      live.removeEventListener("plan", read);
    },
  };
}
