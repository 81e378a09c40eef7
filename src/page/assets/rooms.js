// The rooms beside the conversation: their links, and what is shown in which. A room is loaded when it is first
// opened, draws into an element of its own, and ends with the signal that it is given.

import { h, icon } from "./dom.js";
import { failed } from "./words.js";

/** The fragment's first part, the words, the picture, and the module with what it shows. */
/** @type {[string, string, string, (() => Promise<any>) | null][]} */
const ROOMS = [
  ["", "Ask", "ask", null],
  ["today", "Today", "today", () => import("./today.js")],
  ["approvals", "Approvals", "approvals", () => import("./approvals.js")],
  ["rules", "Rules", "rules", () => import("./rules.js")],
  ["people", "People", "contact", () => import("./people.js")],
  ["activity", "Activity", "activity", () => import("./activity.js")],
  ["settings", "Settings", "settings", () => import("./settings.js")],
];

export class Rooms {
  #nav;
  #host;
  #given;
  #leave = null;
  #badge = h("span", { class: "count", hidden: true });

  /** `given` is what every room is handed beside its own part of the address. */
  constructor(nav, host, given) {
    this.#nav = nav;
    this.#host = host;
    this.#given = given;
    const items = ROOMS.map(([name, words, picture]) => h("li", {}, h("a", { href: `#/${name}`, "data-room": name }, icon(picture), h("span", {}, words), name === "approvals" ? this.#badge : null)));
    nav.append(h("ul", {}, items));
  }

  /** So many decisions are due. */
  due({ number, words, said }) {
    this.#badge.hidden = number === 0;
    this.#badge.textContent = words;
    this.#badge.setAttribute("aria-label", said);
  }

  static has(name) {
    return ROOMS.some(([room, , , load]) => room === name && load);
  }

  /** Shows where we are among the links; leaves the room that was open. */
  at(name) {
    this.#leave?.abort();
    this.#leave = null;
    for (const link of this.#nav.querySelectorAll("a")) {
      if (link.dataset.room === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  async open(name, rest, query) {
    const again = this.#leave !== null;
    this.at(name);
    const leave = new AbortController();
    this.#leave = leave;
    const [, words, , load] = ROOMS.find(([room]) => room === name);
    const problem = h("p", { class: "note", "data-state": "failed", role: "alert", hidden: true });
    const say = (text) => {
      problem.textContent = text;
      problem.hidden = text === "";
      if (text) problem.scrollIntoView({ block: "nearest" });
    };
    const main = h("div", { class: "room-content" });
    this.#host.replaceChildren(problem, main);
    delete this.#host.dataset.shows;
    this.#host.parentElement.scrollTop = 0;
    document.title = `${words} · Paraplanner`;
    try {
      const module = await load();
      if (leave.signal.aborted) return;
      await module[name].show(main, { ...this.#given, rest, query, signal: leave.signal, say });
      if (!leave.signal.aborted) this.#host.dataset.shows = name;
      if (!leave.signal.aborted && again) main.querySelector("h1")?.focus({ preventScroll: true });
    } catch (error) {
      if (!leave.signal.aborted) main.replaceChildren(failed(error.message || "This could not be shown. Load the page again."));
    }
  }

  leave() {
    this.#leave?.abort();
  }
}
