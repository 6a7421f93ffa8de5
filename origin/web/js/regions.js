// One tile for each region: a dot for each edge, so that what is wrong is seen among a thousand.
import { el, setAttribute, setText } from "./dom.js";
import { count, kbps, percent } from "./format.js";
import { live } from "./live.js";
import { STATES } from "./states.js";

const DOTS_MAX = 2000;

export class RegionTiles {
  #tiles = new Map();
  #pick;
  #box = el("div", { class: "regions" });

  constructor(pick) {
    this.#pick = pick;
    this.node = el("section", { "aria-label": "Regions", hidden: true }, el("h2", { text: "Regions" }), this.#box);
  }

  update() {
    const regions = new Map();
    for (const row of live.edges.values()) {
      const known = regions.get(row.region);
      if (known) known.push(row);
      else regions.set(row.region, [row]);
    }
    // One small region says nothing that the table does not.
    this.node.hidden = live.edges.size < 2;
    const names = [...regions.keys()].sort();
    for (const [name, tile] of this.#tiles) {
      if (!regions.has(name)) {
        tile.node.remove();
        this.#tiles.delete(name);
      }
    }
    for (const name of names) {
      const tile = this.#tiles.get(name) ?? this.#make(name);
      this.#fill(tile, regions.get(name));
    }
    names.forEach((name, index) => {
      const { node } = this.#tiles.get(name);
      if (this.#box.children[index] !== node) this.#box.insertBefore(node, this.#box.children[index] ?? null);
    });
  }

  #make(name) {
    const tile = {
      title: el("span", { class: "region-name", text: name || "(no region)" }),
      figures: el("span", { class: "muted" }),
      states: el("span", { class: "region-states" }),
      dots: el("span", { class: "dots", "aria-hidden": "true" }),
      byEdge: new Map(),
    };
    tile.node = el(
      "button",
      { type: "button", class: "card region", on: { click: () => this.#pick(name) } },
      tile.title, tile.states, tile.figures, tile.dots,
    );
    this.#tiles.set(name, tile);
    return tile;
  }

  #fill(tile, rows) {
    let client = 0;
    let hits = 0;
    const counts = {};
    for (const row of rows) {
      client += row.recent.client_kbps;
      hits += row.recent.client_kbps * (row.recent.hit_ratio ?? 0);
      counts[row.group] = (counts[row.group] ?? 0) + 1;
    }
    const words = Object.keys(STATES).filter((state) => counts[state])
      .map((state) => `${STATES[state].sign} ${count(counts[state])} ${state}`.replaceAll(" ", "\u00a0"));
    setText(tile.states, words.join("   "));
    setText(tile.figures, client > 0 ? `${kbps(client)}, ${percent(hits / client, 0)} hits` : "no viewers now");
    const names = new Set();
    for (const row of rows.slice(0, DOTS_MAX)) {
      names.add(row.edge);
      let dot = tile.byEdge.get(row.edge);
      if (!dot) {
        dot = el("span", { class: "dot", title: row.edge });
        tile.byEdge.set(row.edge, dot);
        tile.dots.append(dot);
      }
      setAttribute(dot, "data-state", row.group);
    }
    for (const [name, dot] of tile.byEdge) {
      if (!names.has(name)) {
        dot.remove();
        tile.byEdge.delete(name);
      }
    }
  }
}
