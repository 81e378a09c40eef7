// People: whom the book knows, and all that is known of one of them.

import { get } from "./api.js";
import { day, h, icon } from "./dom.js";
import { empty, failed, inZone, pages, roomHead, when } from "./words.js";

/** Between two letters of a search. */
const PAUSE = 200;
export const people = {
  title: "People",
  async show(main, { rest, signal, cite }) {
    if (rest[0]) return showPerson(main, rest[0], { signal, cite });
    const kept = sessionStorage.getItem("people") ?? "";
    const field = h("input", { type: "search", id: "people-search", placeholder: "A name, an address, a phone number", value: kept, autocomplete: "off" });
    const list = h("div", {});
    let due = null;
    let turn = new AbortController();
    const look = () => {
      turn.abort();
      turn = new AbortController();
      const wanted = field.value.trim();
      sessionStorage.setItem("people", wanted);
      const path = /** @type {const} */ (`/api/contacts?limit=50${wanted ? `&q=${encodeURIComponent(wanted)}` : ""}`);
      const none = wanted ? empty(`Nobody is called “${wanted}”.`) : empty("Nobody yet.", h("p", { class: "quiet" }, "Connect HubSpot, or drop a file of contacts on the Ask page."));
      return pages(list, path, personRow, { signal: AbortSignal.any([signal, turn.signal]), none });
    };
    field.addEventListener("input", () => {
      clearTimeout(due);
      due = setTimeout(look, PAUSE);
    });
    main.append(roomHead("People"), h("p", { class: "field" }, h("label", { for: "people-search" }, "Find somebody"), field), list);
    await look();
  },
};

/** @param {Contract.Schema<"Contact">} person */
const personRow = ({ id, name, emails, organisation }) =>
  h("a", { class: "person", href: `#/people/${id}` }, icon("contact"), h("span", { class: "person-name" }, name || emails[0] || "Without a name"), h("span", { class: "quiet" }, [emails[0], organisation].filter(Boolean).join(" · ")));

async function showPerson(main, id, { signal, cite }) {
  const back = h("p", {}, h("a", { href: "#/people" }, "All people"));
  /** @type {Contract.Schema<"ContactPage">} */
  let person;
  try {
    person = await get(`/api/contacts/${encodeURIComponent(id)}`, { signal });
  } catch (problem) {
    if (problem.name === "AbortError") return;
    main.append(roomHead("People"), back, failed(problem.status === 404 ? "This person is no longer here." : problem.message));
    return;
  }
  const name = person.name || person.emails[0] || "Without a name";
  const fact = (label, value) => (value ? [h("dt", {}, label), h("dd", {}, value)] : []);
  const source = (kind, item, title, at, snippet) => {
    const open = h(
      "button",
      { type: "button", class: "hit" },
      h("span", { class: "hit-head" }, icon(kind), h("span", { class: "hit-title" }, title || "Without a title"), h("span", { class: "hit-day" }, day(at))),
      snippet ? h("span", { class: "hit-snippet" }, snippet) : null,
    );
    open.addEventListener("click", () => cite({ kind, source_id: item, title }, open));
    return h("li", {}, open);
  };
  const section = (title, items, none) => h("section", { "aria-label": title }, h("h2", {}, title), items.length > 0 ? h("ul", { class: "rows" }, items) : empty(none));
  const { next_meeting: next, last_contact: last } = person;
  main.append(
    back,
    roomHead(name, [person.title, person.organisation].filter(Boolean).join(", "), h("a", { class: "button second", href: `#/?ask=${encodeURIComponent(`What do I know about ${name}?`)}` }, "Ask about them")),
    h(
      "dl",
      { class: "card-facts panel" },
      fact("Mail", person.emails.join(", ")),
      fact("Phone", person.phones.join(", ")),
      fact("Address", person.addresses.join("; ")),
      fact("Birthday", person.birthday),
      fact("Also known as", person.also_known_as.join(", ")),
      person.extra.flatMap(({ label, value }) => fact(label, value)),
      fact("Remarks", person.remarks),
      last ? [h("dt", {}, "Last contact"), h("dd", {}, when(last.at), `, ${last.title}`)] : null,
      next ? [h("dt", {}, "Next meeting"), h("dd", {}, `${inZone(next.start)}, ${next.title}`)] : null,
      person.household.length > 0 ? [h("dt", {}, "Household"), h("dd", {}, person.household.flatMap(({ id: other, name: words }, place) => [place > 0 ? ", " : "", h("a", { href: `#/people/${other}` }, words)]))] : null,
    ),
    section("Mail", person.mails.map((mail) => source("email", mail.id, mail.subject, mail.date, mail.snippet)), "No mail yet."),
    section("Notes", person.notes.map((note) => source("note", note.id, note.text.split("\n")[0].slice(0, 80), note.at, note.text)), "No notes yet."),
    ...(person.deals.length > 0 ? [section("Deals", person.deals.map((deal) => source("deal", deal.id, deal.name, deal.closes_on && `${deal.closes_on}T00:00:00`, [deal.stage, deal.amount].filter(Boolean).join(", "))), "")] : []),
  );
}
