// Making elements. Text from data goes in as text, never as markup.

export function el(name, options = {}, ...children) {
  const node = document.createElement(name);
  const { class: classes, text, on, data, ...attributes } = options;
  if (classes) node.className = classes;
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, String(value));
  }
  for (const [key, value] of Object.entries(data ?? {})) node.dataset[key] = value;
  for (const [kind, listener] of Object.entries(on ?? {})) node.addEventListener(kind, listener);
  for (const child of children.flat()) {
    if (child != null && child !== false) node.append(child);
  }
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

const SVG = "http://www.w3.org/2000/svg";

/** A small line of figures; gaps where nobody knows. */
export function sparkline(values, width = 96, height = 22) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  drawSparkline(svg, values, width, height);
  return svg;
}

export function drawSparkline(svg, values, width = 96, height = 22) {
  const max = Math.max(...values.filter((one) => one != null), 1e-9);
  const step = width / Math.max(1, values.length - 1);
  let path = "";
  let isDown = false;
  values.forEach((value, index) => {
    if (value == null) {
      isDown = false;
      return;
    }
    const y = height - 2 - (height - 4) * (value / max);
    path += `${isDown ? "L" : "M"}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
    isDown = true;
  });
  const line = svg.firstChild ?? svg.appendChild(document.createElementNS(SVG, "path"));
  line.setAttribute("d", path);
}

/** A share as a bar with its figure; `warn` from where it is too much. */
export function makeBar() {
  return el("span", { class: "bar" }, el("span", { class: "bar-fill" }));
}

export function setBar(bar, share, warn = 2) {
  const width = `${Math.round(Math.min(1, Math.max(0, share || 0)) * 100)}%`;
  const fill = bar.firstChild;
  if (fill.style.width !== width) fill.style.width = width;
  bar.classList.toggle("bar-warn", share >= warn);
}

let said = [];
let timer = 0;

/** Say it to those who cannot see it; what comes at once is said together. */
export function announce(text) {
  said.push(text);
  if (timer) return;
  timer = setTimeout(() => {
    const line = said.length > 3 ? `${said.length} changes; last: ${said.at(-1)}` : said.join(". ");
    document.getElementById("announce").textContent = line;
    said = [];
    timer = 0;
  }, 300);
}
