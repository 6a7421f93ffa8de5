// Figures for people. Null is a dash: nobody knows.
import { el } from "./dom.js";

export const DASH = "–";
const SIZES = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const RATES = ["kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
const whole = new Intl.NumberFormat("en");

function scaled(value, units) {
  let at = 0;
  while (Math.abs(value) >= 999.5 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  const digits = Number.isInteger(value) || at === 0 || Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[at]}`;
}

export const count = (value) => (value == null ? DASH : whole.format(value));
export const bytes = (value) => (value == null ? DASH : scaled(value, SIZES));
export const kbps = (value) => (value == null ? DASH : scaled(value, RATES));
export const percent = (ratio, digits = 1) =>
  ratio == null ? DASH : `${(ratio * 100).toFixed(ratio >= 0.9995 ? 0 : digits)} %`;

export function seconds(value) {
  if (value == null) return DASH;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

export function span(value_s) {
  if (value_s == null) return DASH;
  if (value_s < 90) return `${Math.max(0, Math.round(value_s))} s`;
  if (value_s < 90 * 60) return `${Math.round(value_s / 60)} min`;
  if (value_s < 36 * 3600) return `${Math.round(value_s / 3600)} h`;
  return `${Math.round(value_s / 86400)} d`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayHour = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const clockText = (wall_s) => clock.format(wall_s * 1000);
export const hourText = (wall_s) => hour.format(wall_s * 1000);
export const dayText = (wall_s) => day.format(wall_s * 1000);

export function whenText(wall_s) {
  const isToday = new Date(wall_s * 1000).toDateString() === new Date().toDateString();
  return (isToday ? clock : dayHour).format(wall_s * 1000);
}

/** Local time, with UTC where one points. */
export function time(wall_s) {
  if (wall_s == null) return document.createTextNode(DASH);
  const iso = new Date(wall_s * 1000).toISOString();
  const utc = `${iso.slice(0, 19).replace("T", " ")} UTC`;
  return el("time", { datetime: iso, title: utc, text: whenText(wall_s) });
}

function untilText({ from_wall_s, until_wall_s }) {
  const isSameDay = dayText(from_wall_s) === dayText(until_wall_s);
  return (isSameDay ? hour : dayHour).format(until_wall_s * 1000);
}

export const planName = (plan_id) => (plan_id ? plan_id.slice(0, 8) : "none");

export function zone(profile) {
  if (profile.time_zone) return profile.time_zone;
  const hours = profile.utc_offset_h || 0;
  return hours ? `UTC${hours > 0 ? "+" : "−"}${Math.abs(hours)}, all the year` : "UTC";
}

export function windows(list) {
  if (!list?.length) return "no window";
  return list
    .slice(0, 3)
    .map((one) => `${whenText(one.from_wall_s)} to ${untilText(one)}`)
    .join(", ") + (list.length > 3 ? ` and ${list.length - 3} more` : "");
}
