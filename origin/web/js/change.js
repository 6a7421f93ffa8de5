// What an entry of the audit log changed: the fields that are others now, not two whole records.
import { el } from "./dom.js";
import { bytes, DASH, whenText } from "./format.js";

const FIELDS_MAX = 12;
const TEXT_MAX = 60;
const ID = /^[0-9a-f]{24,}$/;
const TOLD_BY_THE_ENTRY = new Set(["edge", "changed_wall_s"]);

/** "profile.region" -> its value, for every field of a record that is no record itself. */
function flat(value, path = "", into = new Map()) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [name, inner] of Object.entries(value)) flat(inner, path ? `${path}.${name}` : name, into);
  } else {
    into.set(path, Array.isArray(value) ? value.join(", ") : String(value ?? ""));
  }
  return into;
}

function read(text) {
  if (!text) return new Map();
  try {
    return flat(JSON.parse(text));
  } catch {
    return new Map([["", text]]);
  }
}

/** An identifier by its first digits, like a plan's name; other text as it is, if it is not long. */
export function shortText(text) {
  if (ID.test(text)) return text.slice(0, 8);
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}

function shown(name, text) {
  if (text && name.endsWith("_wall_s")) return whenText(Number(text));
  if (text && name.endsWith("_bytes")) return bytes(Number(text));
  return shortText(text ?? "") || DASH;
}

function fields({ before, after }) {
  const [was, is] = [read(before), read(after)];
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((name) => !TOLD_BY_THE_ENTRY.has(name) && was.get(name) !== is.get(name))
    .map((name) => ({ name, was: was.get(name), is: is.get(name) }));
}

/** Of an entry, one line a field: "profile.region: eu → us". Whole values stand in the tooltip. */
export function changeList(entry) {
  const isNew = !entry.before;
  // Of what was not there before, what is empty says nothing.
  const found = fields(entry).filter((one) => !isNew || one.is);
  const lines = found.slice(0, FIELDS_MAX).map(({ name, was, is }) => {
    const [from, to] = [was, is].map((text) => shown(name, text));
    const title = isNew ? is : `${was || DASH} → ${is || DASH}`;
    return el("li", { title },
      name && el("span", { class: "muted", text: `${name}: ` }), isNew ? to : `${from} → ${to}`);
  });
  if (found.length > FIELDS_MAX) lines.push(el("li", { class: "muted", text: `and ${found.length - FIELDS_MAX} more` }));
  return el("ul", { class: "change" }, lines);
}
