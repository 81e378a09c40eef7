// Bringing files in: choosing or dropping them, and a card for each import with how far it is.
//
// An import is three stretches: the upload (bytes sent), the reading (bytes read, on the task) and
// the indexing (passages, on the ingest status). A reload loses the first and finds the others
// again by the task's id, which is kept for the tab.

import { get, post, upload } from "./api.js";
import { announce, bytes, count, h, icon, iconButton } from "./dom.js";
import { changes } from "./events.js";

export const ACCEPTED = [".mbox", ".eml", ".txt", ".md", ".html", ".pdf", ".vcf", ".ics", ".csv"];

const REMEMBERED = "paraplanner.imports";
const ENDED = new Set(["done", "failed", "cancelled"]);
/** Files in one upload, as many as the server takes. */
const AT_ONCE = 100;
/** Looks without progress after which the import is left to itself. */
const PATIENCE = 30;

export class Imports {
  #host;
  #shared;
  /** Whether an invented book is being written: one at a time. */
  #writing = false;

  /** `shared` is the ingest status, asked for once for all who show it. */
  constructor(host, shared) {
    this.#host = host;
    this.#shared = shared;
  }

  /** Shows what was under way when the page was left. */
  async resume() {
    for (const { task, name } of remembered()) this.#follow(this.#card(name), task);
    const status = documentsOf(this.#shared.value ?? (await this.#shared.look()));
    if (status?.state === "running" && remembered().length === 0) this.#index(this.#card("Your book"));
  }

  /** Imports what can be read of `files`, a folder of many in portions, one after the other. */
  async add(files) {
    const taken = files.filter(({ name }) => ACCEPTED.some((ending) => name.toLowerCase().endsWith(ending)));
    const skipped = files.length - taken.length;
    const cards = [];
    for (let from = 0; from < taken.length; from += AT_ONCE) {
      const portion = taken.slice(from, from + AT_ONCE);
      const card = this.#card(inWords(portion));
      card.step("Waiting for its turn");
      cards.push([card, portion]);
    }
    if (skipped > 0) {
      const words = `${count(skipped, "file")} left out: only ${ACCEPTED.join(", ")} can be read.`;
      if (cards.length === 0) this.#card(inWords(files)).fail(words);
      else cards[0][0].note(words);
    }
    for (const [card, portion] of cards) await this.#addPortion(card, portion);
  }

  async #addPortion(card, taken) {
    card.step("Uploading", 0, taken.reduce((sum, { size }) => sum + size, 0), bytes);
    try {
      const { task_id: task } = await upload("/api/ingest/documents", taken, (done, total) => card.step("Uploading", done, total, bytes));
      remember(task, card.name);
      await this.#follow(card, task);
    } catch (problem) {
      card.fail(problem.message);
    }
  }

  async addBook() {
    if (this.#writing) return;
    this.#writing = true;
    const card = this.#card("An invented book of clients");
    card.step("Writing it");
    try {
      const { task_id: task } = await post("/api/demo/book");
      remember(task, card.name);
      await this.#follow(card, task);
    } catch (problem) {
      card.fail(problem.message);
    } finally {
      this.#writing = false;
    }
  }

  /** Takes away the cards that have nothing left to say. */
  tidy() {
    for (const node of this.#host.querySelectorAll('[data-state="done"]:not(:has(details))')) node.remove();
  }

  async #follow(card, id) {
    card.step("Reading");
    const change = changes(["task"]);
    try {
      for (;;) {
        const task = await get(`/api/tasks/${encodeURIComponent(id)}`);
        if (task.state === "done") {
          card.result(task.result?.files ?? []);
          return await this.#index(card);
        }
        if (ENDED.has(task.state)) return card.fail(task.last_error || "The import stopped.", task.result?.files);
        card.step(task.state === "in_progress" ? "Reading" : "Waiting for its turn", task.progress?.done, task.progress?.total, bytes);
        await change();
      }
    } catch (problem) {
      return card.fail(problem.message);
    } finally {
      forget(id);
    }
  }

  async #index(card) {
    const passages = (number) => count(number, "passage");
    const change = changes(["ingest", "task"]);
    let before = -1;
    try {
      for (let looks = 0; looks < PATIENCE; looks += 1) {
        const status = documentsOf(await this.#shared.soon());
        if (!status) return card.finish();
        if (status.state === "failing") return card.fail(status.error || "What was imported can't be made searchable yet.");
        if (status.state === "idle" && status.done >= status.total) return card.finish();
        card.step("Making it searchable", status.done, status.total, passages);
        if (status.done !== before) looks = 0;
        before = status.done;
        await change();
      }
      return card.finish();
    } catch (problem) {
      return card.fail(problem.message);
    }
  }

  #card(name) {
    const card = new Card(name);
    this.#host.append(card.node);
    return card;
  }
}

class Card {
  #label = h("p", { class: "import-step" });
  #bar = h("progress", { max: "1" });
  #details = h("div", { class: "import-details" });
  #spoken = "";
  /** Whether the files turned out to hold nothing that can be asked about. */
  #barren = false;

  constructor(name) {
    this.name = name;
    this.#bar.setAttribute("aria-label", `Progress of ${name}`);
    this.node = h(
      "section",
      { class: "import", "aria-label": `Import of ${name}` },
      h("p", { class: "import-name" }, icon("document"), h("span", {}, name)),
      this.#label,
      this.#bar,
      this.#details,
    );
  }

  step(words, done = 0, total = 0, unit = String) {
    const part = total > 0 ? Math.min(done / total, 1) : null;
    if (part === null) this.#bar.removeAttribute("value");
    else this.#bar.value = part;
    this.#label.textContent = part === null ? `${words}…` : `${words}: ${unit(done)} of ${unit(total)}`;
    // Said once a quarter: a screen reader isn't a ticker.
    const spoken = part === null ? words : `${words}, ${Math.floor(part * 4) * 25} percent`;
    if (spoken !== this.#spoken) announce(`${this.name}: ${spoken}`);
    this.#spoken = spoken;
  }

  note(words) {
    this.#details.append(h("p", {}, words));
  }

  result(files) {
    this.#barren = files.length > 0 && files.every(({ imported = 0, unchanged = 0 }) => imported + unchanged === 0);
    for (const { name, imported = 0, unchanged = 0, unreadable = [], unreadable_count: bad = unreadable.length } of files) {
      const words = [imported > 0 || unchanged === 0 ? `${count(imported, "item")} imported` : null];
      if (unchanged > 0) words.push(`${count(unchanged, "item")} already here`);
      if (bad > 0) words.push(`${count(bad, "item")} unreadable`);
      const sentence = words.filter(Boolean).join(", ");
      this.note(files.length > 1 ? `${name}: ${sentence}.` : `${sentence}.`);
      if (unreadable.length > 0) this.#details.append(unreadableList(bad, unreadable));
    }
  }

  finish() {
    if (this.#barren) this.#end("failed", "Nothing in it could be imported.");
    else this.#end("done", "Imported and ready to ask.");
  }

  fail(words, files = []) {
    this.result(files ?? []);
    this.#end("failed", words);
  }

  #end(state, words) {
    this.node.dataset.state = state;
    this.#bar.remove();
    this.#label.textContent = words;
    announce(`${this.name}: ${words}`);
    this.node.append(iconButton("close", `Dismiss the import of ${this.name}`, () => this.node.remove()));
  }
}

function unreadableList(total, unreadable) {
  const items = unreadable.map(({ position, reason }) => h("li", {}, `${position}: ${reason}`));
  const more = total > unreadable.length ? h("p", {}, `… and ${count(total - unreadable.length, "more", "more")}.`) : null;
  return h("details", {}, h("summary", {}, "What could not be read"), h("ul", {}, items), more);
}

/** Of the ingest status, what concerns files and passages. */
export const documentsOf = ({ items }) => items.find(({ source }) => source === "documents") ?? null;

/** The names of a few files, the number of many. */
function inWords(files) {
  const names = files.slice(0, 2).map(({ name }) => name);
  const others = files.length - names.length;
  return names.join(", ") + (others > 0 ? ` and ${count(others, "other")}` : "");
}

const remembered = () => JSON.parse(sessionStorage.getItem(REMEMBERED) ?? "[]");

const remember = (task, name) => sessionStorage.setItem(REMEMBERED, JSON.stringify([...remembered(), { task, name }]));

const forget = (id) => sessionStorage.setItem(REMEMBERED, JSON.stringify(remembered().filter(({ task }) => task !== id)));

/** Lets files be dropped anywhere on `host`; folders are opened. */
export function acceptDrops(host, veil, add) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const leave = () => {
    depth = 0;
    veil.hidden = true;
  };
  host.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  host.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) leave();
  });
  host.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  host.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    leave();
    // The entries must be taken before the first await: the list is emptied after the event.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = entries.length > 0 ? (await Promise.all(entries.map(filesOf))).flat() : [...event.dataTransfer.files];
    add(files);
  });
}

async function filesOf(entry) {
  if (entry.isFile) return new Promise((resolve) => entry.file((file) => resolve([file]), () => resolve([])));
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A reader hands a folder out in portions, until one is empty.
    const portion = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (portion.length === 0) break;
    found.push(...(await Promise.all(portion.map(filesOf))).flat());
  }
  return found;
}
