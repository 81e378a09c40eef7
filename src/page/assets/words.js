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

/** @param {unknown} name */
export const sentence = (name) => {
  const text = String(name);
  // Names of things have no blanks; sentences keep what they quote.
  const words = text.includes(" ") ? text : text.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "5 minutes ago", "in 3 days"; the moment itself stands in the tooltip. */
export function when(time) {
  if (!time) return null;
  const seconds = (new Date(time).getTime() - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["minute", 60];
  const amount = Math.trunc(seconds / size);
  const words = amount === 0 ? "just now" : relative.format(amount, unit);
  return h("time", { datetime: time, title: moment(time) }, words);
}

/** A time as it is on the clocks of a zone, with the zone. */
export function inZone(time, zone) {
  /** @type {Intl.DateTimeFormatOptions} */
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

/** Rows that are drawn in one go. */
const AT_ONCE = 20;
/** By host, what ends the list that it shows. */
const shown = new WeakMap();

/**
 * A list that grows by pages as its end comes into view: `draw(item)` makes a row. Resolves when the first page
 * is there; what the host showed before stays until then.
 * @template {string} P
 * @param {HTMLElement} host
 * @param {P} path
 * @param {(item: Contract.Item<P>) => Node} draw
 * @param {{ signal: AbortSignal, none: Node }} how
 */
export async function pages(host, path, draw, { signal, none }) {
  shown.get(host)?.abort();
  const over = new AbortController();
  shown.set(host, over);
  const until = AbortSignal.any([signal, over.signal]);
  const list = h("ul", { class: "rows" });
  const end = h("div", { class: "rows-end" });
  let next = null;
  let busy = false;
  const more = async () => {
    if (busy || until.aborted) return;
    busy = true;
    try {
      const address = next ? `${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(next)}` : path;
      const page = /** @type {{ items: Contract.Item<P>[], next_cursor: string | null }} */ (/** @type {unknown} */ (await get(address, { signal: until })));
      next = page.next_cursor;
      for (let from = 0; from < page.items.length; from += AT_ONCE) {
        // Between two portions the reader may scroll on.
        if (from > 0) await new Promise((resolve) => setTimeout(resolve));
        list.append(...page.items.slice(from, from + AT_ONCE).map((item) => h("li", {}, draw(item))));
      }
      end.replaceChildren(next ? button("Show more", more) : "");
    } catch (problem) {
      if (problem.name === "AbortError") return;
      end.replaceChildren(failed(problem.message), button("Try again", more));
    } finally {
      busy = false;
    }
  };
  await more();
  if (until.aborted) return;
  host.replaceChildren(...(list.childElementCount === 0 && end.childElementCount === 0 ? [none] : [list, end]));
  const watch = new IntersectionObserver((seen) => {
    if (next && seen.some(({ isIntersecting }) => isIntersecting)) more();
  });
  watch.observe(end);
  until.addEventListener("abort", () => watch.disconnect());
}
