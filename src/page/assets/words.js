// What the server calls things, in words; and the pieces that several rooms are built of.

import { get } from "./api.js";
import { h, icon, moment } from "./dom.js";

const ACTIONS = {
  send_email: ["Mail", "email"],
  create_event: ["New appointment", "event"],
  update_event: ["Changed appointment", "event"],
  cancel_event: ["Cancelled appointment", "event"],
  create_contact: ["New contact", "contact"],
  update_contact: ["Changed contact", "contact"],
  create_note: ["Note in HubSpot", "note"],
  change_settings: ["Settings", "settings"],
  log: ["Logged", "document"],
  archive: ["Archived", "bin"],
  stop_assistant: ["Assistant stopped", "stop"],
  switch_off_rule: ["Rule switched off", "rules"],
};

/** `undo_create_event` is what took the appointment back. */
export function actionWords(action) {
  const undone = action.startsWith("undo_");
  const [words] = ACTIONS[undone ? action.slice(5) : action] ?? [sentence(action)];
  return undone ? `Taken back: ${words.toLowerCase()}` : words;
}

export const actionIcon = (action) => icon((ACTIONS[action.replace(/^undo_/, "")] ?? [null, "document"])[1]);

export const sentence = (name) => {
  const text = String(name);
  // Names of things have no blanks; sentences keep what they quote.
  const words = text.includes(" ") ? text : text.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "5 minutes ago", "in 3 days"; the moment itself stands in the tooltip. */
export function when(time) {
  if (!time) return null;
  const seconds = (new Date(time) - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["minute", 60];
  const amount = Math.trunc(seconds / size);
  const words = amount === 0 ? "just now" : relative.format(amount, unit);
  return h("time", { datetime: time, title: moment(time) }, words);
}

/** A time as it is on the clocks of a zone, with the zone. */
export function inZone(time, zone) {
  const options = { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone }).format(new Date(time));
  } catch {
    return new Intl.DateTimeFormat("en-GB", options).format(new Date(time));
  }
}

/** The head of a room: its name, a sentence, and what can be done. */
export const roomHead = (title, words, ...tools) =>
  h("header", { class: "room-head" }, h("div", {}, h("h1", { tabindex: "-1" }, title), words ? h("p", { class: "quiet" }, words) : null), tools.some(Boolean) ? h("div", { class: "room-tools" }, tools) : null);

export const empty = (words, ...more) => h("div", { class: "empty" }, h("p", {}, words), more);

export const pill = (words, kind = "") => h("span", { class: "pill", "data-kind": kind }, words);

export const failed = (words) => h("p", { class: "note", "data-state": "failed", role: "alert" }, words);

export const button = (words, onclick, props = {}) => h("button", { type: "button", class: "button second", onclick, ...props }, words);

/**
 * A list that grows by pages as its end comes into view: `draw(item)` makes a row. Resolves when the first page
 * is there.
 */
export async function pages(host, path, draw, { signal, none }) {
  const list = h("ul", { class: "rows" });
  const end = h("div", { class: "rows-end" });
  let next = null;
  let busy = false;
  const more = async () => {
    if (busy || signal.aborted) return;
    busy = true;
    try {
      const glue = path.includes("?") ? "&" : "?";
      const page = await get(next ? `${path}${glue}cursor=${encodeURIComponent(next)}` : path, { signal });
      next = page.next_cursor;
      list.append(...page.items.map((item) => h("li", {}, draw(item))));
      end.replaceChildren(next ? button("Show more", more) : "");
      if (list.childElementCount === 0) host.replaceChildren(none);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      end.replaceChildren(failed(problem.message), button("Try again", more));
    } finally {
      busy = false;
    }
  };
  host.replaceChildren(list, end);
  await more();
  const watch = new IntersectionObserver((seen) => {
    if (next && seen.some(({ isIntersecting }) => isIntersecting)) more();
  });
  watch.observe(end);
  signal.addEventListener("abort", () => watch.disconnect());
}
