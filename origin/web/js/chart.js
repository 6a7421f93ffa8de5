// Charts over time, drawn by uPlot: one figure with its name, its newest value, and for those who
// cannot see it the same in words.
import { DASH, dayText, hourText } from "./format.js";
import { el, setText } from "./dom.js";

const HEIGHT = 150;
const DAYS = [86400, 2 * 86400, 7 * 86400];
const DASHES = [undefined, [6, 4], [2, 3]];

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * `series`: [{label, color: name of a CSS variable, fills, bars, steps}], `format(value)`.
 * `set(times, columns)` draws; a null is a gap. `max`: what the axis reaches at least; without
 * any values it reaches `idle`.
 */
export class Chart {
  #options;
  #plot = null;
  #data = null;
  #place = el("div", { class: "plot" });
  #newest = el("span", { class: "newest" });
  #size;
  #theme = () => this.#draw();

  constructor(options) {
    this.#options = options;
    this.#place.setAttribute("role", "img");
    this.node = el(
      "figure",
      { class: "chart card" },
      el("figcaption", {}, el("span", { class: "chart-name", text: options.name }), this.#newest),
      this.#place,
    );
    this.#size = new ResizeObserver(() => this.#resize());
    this.#size.observe(this.#place);
    document.documentElement.addEventListener("theme", this.#theme);
  }

  set(times, columns) {
    const isSame = this.#data !== null && this.#plot !== null;
    this.#data = [times, ...columns];
    const { series, format, name } = this.#options;
    const texts = columns.map((column, index) => {
      const last = column.findLast((value) => value != null);
      return { label: series[index].label, last: last == null ? DASH : format(last), values: column };
    });
    setText(this.#newest, texts[0].last);
    const words = texts.map(({ label, last, values }) => {
      const known = values.filter((value) => value != null);
      if (!known.length) return `${label}: no data`;
      return `${label}: newest ${last}, from ${format(Math.min(...known))} to ${format(Math.max(...known))}`;
    });
    this.#place.setAttribute("aria-label", `${name}. ${words.join("; ")}`);
    if (isSame) {
      this.#plot.setData(this.#data);
      this.#rest();
    } else this.#draw();
  }

  close() {
    this.#size.disconnect();
    document.documentElement.removeEventListener("theme", this.#theme);
    this.#plot?.destroy();
    this.#plot = null;
  }

  #draw() {
    const width = Math.floor(this.#place.clientWidth);
    if (this.#data === null || width === 0) return;
    this.#plot?.destroy();
    const { series, format, max = 0, idle = 1, isDaily = false } = this.#options;
    const text = color("--muted");
    const grid = { stroke: color("--grid"), width: 1 };
    const font = "11px system-ui, sans-serif";
    const axis = { stroke: text, grid, ticks: { show: false }, font };
    this.#plot = new uPlot(
      {
        width,
        height: HEIGHT,
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        padding: [8, 18, 0, 0],
        scales: { x: { time: true }, y: { range: (_, __, top) => [0, ((top ?? 0) <= max ? max : top * 1.08) || idle] } },
        axes: [
          {
            ...axis, size: 22, space: 60, incrs: isDaily ? DAYS : undefined,
            values: (_, ticks) =>
              ticks.map((at) => (isDaily || ticks.at(-1) - ticks[0] > 36 * 3600 ? dayText(at) : hourText(at))),
          },
          { ...axis, size: 74, space: 32, values: (_, ticks) => ticks.map((value) => format(value)) },
        ],
        series: [
          { label: "at", value: (_, at) => (at == null ? DASH : isDaily ? dayText(at) : hourText(at)) },
          ...series.map((one, index) => ({
            label: one.label,
            stroke: color(one.color),
            width: 1.75,
            dash: one.bars ? undefined : DASHES[index],
            fill: one.fills || one.bars ? `${color(one.color)}2e` : undefined,
            paths: one.bars
              ? uPlot.paths.bars({ size: [0.7, 200], align: 1 })
              : one.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
            points: { show: (u, at) => sparse(u.data[at]) && !one.bars, size: 4 },
            value: (_, value) => (value == null ? DASH : format(value)),
          })),
        ],
        hooks: { setCursor: [(u) => u.cursor.idx == null && this.#rest()] },
      },
      this.#data,
      this.#place,
    );
    this.#rest();
  }

  /** The legend shows the newest values while nobody points. */
  #rest() {
    const last = this.#data[1].findLastIndex((value) => value != null);
    if (last >= 0 && this.#plot?.cursor.idx == null) this.#plot?.setLegend({ idx: last }, false);
  }

  #resize() {
    const width = Math.floor(this.#place.clientWidth);
    if (this.#plot === null) this.#draw();
    else if (width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }
}

/** Few values, or none beside another: points, or they would not be seen. */
function sparse(values) {
  let known = 0;
  for (const value of values) known += value != null;
  return known <= 12;
}
