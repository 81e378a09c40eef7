// The panel with the source behind a citation, its passage marked.
//
// One <dialog> in two manners: a column beside the conversation where there is room, a sheet over it
// where there isn't. A mail is shown from its text, never from its HTML. The passage is searched in
// what the server has stored, so a mark is evidence; when it isn't there, the panel says so.

import { get } from "./api.js";
import { announce, bytes, day, h, icon, iconButton, moment } from "./dom.js";

/** What each kind is called, how it is read, and its title, facts for the head, and the text that quotes come from. */
const KINDS = {
  email: {
    name: "Mail",
    read: async (id) => {
      const { subject, from, to, cc, date, text, attachments } = await get(`/api/emails/${id}`);
      return { title: subject, facts: { From: address(from), To: addresses(to), Cc: addresses(cc), Date: moment(date) }, text, attachments };
    },
  },
  contact: {
    name: "Contact",
    read: async (id) => {
      const { name, text } = await get(`/api/contacts/${id}`);
      return { title: name, facts: {}, text };
    },
  },
  event: {
    name: "Meeting",
    read: async (id) => {
      const event = await get(`/api/calendar/${id}`);
      return { title: event.title, facts: { When: span(event), Where: event.location, With: addresses(event.attendees) }, text: event.text };
    },
  },
  document: {
    name: "Document",
    read: async (id) => {
      const { title, file_name: file, text } = await get(`/api/documents/${id}`);
      return { title: title || file, facts: { File: file === title ? "" : file }, text };
    },
  },
  note: {
    name: "Note",
    read: async (id) => {
      const { contacts, at, text } = await get(`/api/notes/${id}`);
      return { title: contacts.map(({ name }) => name).join(", ") || "Note", facts: { Date: moment(at) }, text };
    },
  },
  deal: {
    name: "Deal",
    read: async (id) => {
      const { name, contacts, amount, stage, closes_on: closes, text } = await get(`/api/deals/${id}`);
      return { title: name, facts: { About: contacts.map((person) => person.name).join(", "), Amount: amount, Stage: stage, Closes: closes && day(`${closes}T00:00:00`) }, text };
    },
  },
};

export const kindName = (kind) => KINDS[kind]?.name ?? "Source";

/** What a citation points at, in words. */
export const describe = ({ kind, title, occurred_at }) =>
  [`${kindName(kind)}: ${title || "without a title"}`, day(occurred_at)].filter(Boolean).join(", ");

/** Where `quote` stands in `text`, runs of white space treated alike: `[from, to]`, or null. */
export function findQuote(text, quote) {
  const wanted = quote.trim().replace(/\s+/gu, " ");
  if (wanted === "") return null;
  const offsets = [];
  let flat = "";
  for (const match of text.matchAll(/\s+|\S+/gu)) {
    const piece = match[0].trim() === "" ? " " : match[0];
    for (let unit = 0; unit < piece.length; unit += 1) offsets.push(match.index + unit);
    flat += piece;
  }
  const at = flat.indexOf(wanted);
  return at < 0 ? null : [offsets[at], offsets[at + wanted.length - 1] + 1];
}

export class SourcePanel {
  #dialog;
  #wide = matchMedia("(min-width: 1100px)");
  #opener = null;
  #turn = 0;
  #onclose;

  constructor(dialog, onclose = () => {}) {
    this.#dialog = dialog;
    this.#onclose = onclose;
    dialog.addEventListener("close", () => this.#closed());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog && !this.#wide.matches) dialog.close();
    });
    // A dialog beside the page isn't modal, so the browser leaves Escape to us.
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault();
        dialog.close();
      }
    });
    this.#wide.addEventListener("change", () => {
      if (!dialog.open) return;
      dialog.close();
      this.#show();
    });
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  /** Opens `{kind, source_id, title, quote, occurred_at}`; all but the first two may be missing. */
  async open(citation, opener = document.activeElement) {
    this.#turn += 1;
    const turn = this.#turn;
    this.#opener = opener;
    this.#draw(citation, citation.title ?? "", [h("p", { class: "quiet" }, "Opening…")]);
    this.#show();
    const kind = KINDS[citation.kind];
    if (!kind) {
      this.#draw(citation, citation.title ?? "", onlyQuote(citation, "This kind of source can't be opened on its own. The passage:"));
      return;
    }
    try {
      const source = await kind.read(encodeURIComponent(citation.source_id));
      if (turn === this.#turn && this.#dialog.open) this.#drawSource(citation, source);
    } catch (problem) {
      if (turn !== this.#turn || !this.#dialog.open) return;
      const gone = problem.status === 404 ? "This source is no longer here." : problem.message;
      this.#draw(citation, citation.title ?? "", onlyQuote(citation, gone));
    }
  }

  #show() {
    if (!this.#dialog.open) {
      if (this.#wide.matches) this.#dialog.show();
      else this.#dialog.showModal();
    }
    this.#dialog.querySelector(".paper")?.focus({ preventScroll: true });
  }

  #closed() {
    // The event comes late: by now the panel may be open again, in its other manner or with another source.
    if (this.#dialog.open) return;
    this.#turn += 1;
    this.#dialog.replaceChildren();
    const opener = this.#opener;
    this.#opener = null;
    // By now somebody may be typing elsewhere already: only a focus that went nowhere is put back.
    if (opener?.isConnected && document.activeElement === document.body) opener.focus();
    this.#onclose();
  }

  #drawSource(citation, { title, facts, text, attachments = [] }) {
    const body = marked(text, citation.quote);
    // A subject can be quoted too.
    const head = body.found ? { nodes: [title] } : marked(title ?? "", citation.quote);
    const found = body.found || head.found;
    const missing = citation.quote && !found;
    this.#draw(
      citation,
      title && head.nodes,
      [missing ? notFound(citation.quote) : null, h("div", { class: "source-text" }, text ? body.nodes : h("p", { class: "quiet" }, "There is no text in it.")), attached(attachments)],
      Object.entries(facts).filter(([, value]) => value),
    );
    const mark = this.#dialog.querySelector("mark");
    mark?.scrollIntoView({ block: "center", behavior: "instant" });
    announce(found ? "The cited passage is marked." : missing ? "The cited passage was not found in this source." : "The source is open.");
  }

  #draw(citation, title, body, facts = []) {
    const paper = h("div", { class: "paper", tabindex: "0", role: "region", "aria-label": `Text of the ${kindName(citation.kind).toLowerCase()}` }, body);
    const focused = this.#dialog.contains(document.activeElement);
    this.#dialog.replaceChildren(
      h(
        "div",
        { class: "source-head" },
        h("p", { class: "kicker" }, icon(citation.kind), kindName(citation.kind)),
        iconButton("close", "Close the source", () => this.#dialog.close()),
        h("h2", { id: "source-title" }, title || "Without a title"),
        facts.length > 0 ? h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])) : null,
      ),
      paper,
    );
    if (focused) paper.focus({ preventScroll: true });
  }
}

/** @param {Contract.Schema<"Person"> | null} person */
const address = (person) => (person ? (person.name ? `${person.name} <${person.address}>` : person.address) : "");

const addresses = (people) => people.map(address).join(", ");

/** A day without a time is that day wherever the reader is, hence the local midnight. */
const span = ({ start, end, start_date, all_day }) =>
  all_day ? day(start_date ? `${start_date}T00:00:00` : start) : [moment(start), moment(end)].filter(Boolean).join(" to ");

function marked(text, quote) {
  const place = quote ? findQuote(text, quote) : null;
  if (!place) return { nodes: [text], found: false };
  const [from, to] = place;
  return { nodes: [text.slice(0, from), h("mark", {}, text.slice(from, to)), text.slice(to)], found: true };
}

const notFound = (quote) =>
  h("div", { class: "notice" }, h("p", {}, "The cited passage was not found in this text:"), h("blockquote", {}, quote));

const onlyQuote = ({ quote }, words) => [h("div", { class: "notice" }, h("p", {}, words), quote ? h("blockquote", {}, quote) : null)];

function attached(attachments = []) {
  if (attachments.length === 0) return null;
  const items = attachments.map(({ name, size }) => h("li", {}, icon("clip"), `${name || "Without a name"}${size ? ` (${bytes(size)})` : ""}`));
  return h("div", { class: "attached" }, h("h3", {}, "Attachments"), h("ul", {}, items));
}
