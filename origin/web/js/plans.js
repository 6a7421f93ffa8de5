// All plans, newest first.
import { get, may, post } from "./api.js";
import { confirm } from "./dialog.js";
import { el, setText } from "./dom.js";
import { bytes, count, planName, time } from "./format.js";
import { live } from "./live.js";
import { Table } from "./table.js";

const SIGNS = { applied: "● in force", proposed: "○ proposed", superseded: "– superseded" };

const timeCell = (field) => (cell, row) => {
  const stamp = String(row[field]);
  if (cell.dataset.at === stamp) return;
  cell.dataset.at = stamp;
  cell.replaceChildren(time(row[field]));
};

export function plansView() {
  const abort = new AbortController();
  const error = el("p", { class: "notice", role: "alert", hidden: true });
  const table = new Table({
    caption: "Plans", key: (row) => row.plan_id, sort: { id: "made", descends: true },
    empty: el("div", {}, el("p", { text: "There is no plan yet. The origin makes one by the clock once edges report; or now:" }),
      el("pre", { text: "nearcast origin plan make" })),
    columns: [
      {
        id: "plan", label: "Plan",
        set: (cell, row) => cell.firstChild ?? cell.append(el("a", { class: "mono", href: `#/plans/${row.plan_id}`, text: planName(row.plan_id) })),
      },
      { id: "state", label: "State", value: (row) => row.state, text: (row) => SIGNS[row.state] ?? row.state },
      { id: "made", label: "Made", descends: true, value: (row) => row.made_wall_s, set: timeCell("made_wall_s") },
      { id: "until", label: "Valid until", class: "p2", value: (row) => row.valid_until_wall_s, set: timeCell("valid_until_wall_s") },
      { id: "applied", label: "Put in force", class: "p3", value: (row) => row.applied_wall_s, set: timeCell("applied_wall_s") },
      { id: "edges", label: "Edges", class: "num p2", value: (row) => row.edge_count, text: (row) => count(row.edge_count) },
      { id: "files", label: "Files", class: "num p2", value: (row) => row.file_count, text: (row) => count(row.file_count) },
      { id: "stored", label: "To hold", class: "num p3", value: (row) => row.stored_bytes, text: (row) => bytes(row.stored_bytes) },
      { id: "fill", label: "To fetch", class: "num", value: (row) => row.fill_bytes, text: (row) => bytes(row.fill_bytes) },
      { id: "value", label: "Expected to save", class: "num p2", value: (row) => row.value_bytes, text: (row) => bytes(row.value_bytes) },
    ],
  });

  async function read() {
    try {
      table.setRows((await get("/plans", abort.signal)).plans);
      error.hidden = true;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      error.hidden = false;
      setText(error, problem.message);
    }
  }

  const make = el("button", {
    type: "button", text: "Make a plan now", hidden: !may("operator"),
    on: {
      click: () => confirm({
        title: "Make a plan now", action: "Make it",
        text: "It is only proposed: look at what it changes, then put it in force.",
        act: async () => {
          const made = await post("/plans");
          location.hash = `#/plans/${made.plan_id}`;
          return "A plan was made";
        },
      }),
    },
  });
  live.addEventListener("plan", read);
  read();
  return {
    title: "Plans",
    node: el("div", {}, el("div", { class: "page-head" }, el("h1", { text: "Plans" }), make), error, table.node),
    close() {
      abort.abort();
      live.removeEventListener("plan", read);
    },
  };
}
