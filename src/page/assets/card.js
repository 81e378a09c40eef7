// One thing that the assistant wants to do: exactly what, to whom, why, what speaks against it, and the
// user's word on it.
//
// A card decides on what it shows: it sends the digest along, so whatever has changed meanwhile is a
// conflict and is looked at again. What was typed into it stays when anything fails.

import { get, post } from "./api.js";
import { confirm, dialog } from "./dialog.js";
import { difference } from "./diff.js";
import { announce, h, icon } from "./dom.js";
import { kindName } from "./source.js";
import { actionIcon, actionWords, failed, inZone, pill, sentence, when } from "./words.js";

const STATES = {
  pending: ["Waits for you", "waits"],
  approved: ["Approved", "good"],
  rejected: ["Rejected", "off"],
  expired: ["Expired", "off"],
  stale: ["Out of date", "off"],
  superseded: ["No longer needed", "off"],
};

/** What can be changed of each action: name, label, form. */
const FORMS = {
  send_email: [
    ["to", "To", "addresses"],
    ["cc", "Cc", "addresses"],
    ["bcc", "Bcc", "addresses"],
    ["subject", "Subject", "line"],
    ["text", "Text", "text"],
  ],
  create_event: [
    ["title", "Title", "line"],
    ["start", "Starts", "time"],
    ["end", "Ends", "time"],
    ["attendees", "With", "addresses"],
    ["location", "Where", "line"],
    ["description", "Description", "text"],
  ],
  update_event: [
    ["title", "Title", "line"],
    ["start", "Starts", "time"],
    ["end", "Ends", "time"],
    ["description", "Description", "text"],
  ],
  cancel_event: [
    ["title", "Title", "fixed"],
    ["attendees", "With", "fixed"],
  ],
  create_contact: [
    ["name", "Name", "line"],
    ["email", "Address", "line"],
    ["phone", "Phone", "line"],
    ["company", "Company", "line"],
    ["note", "Note", "text"],
  ],
  update_contact: [
    ["name", "Contact", "fixed"],
    ["changes", "Changes", "changes"],
  ],
  create_note: [
    ["contact", "On", "fixed"],
    ["text", "Text", "text"],
  ],
};

const drafts = {
  key: (id) => `draft:${id}`,
  get: (id) => JSON.parse(sessionStorage.getItem(drafts.key(id)) ?? "null"),
  set: (id, values) => sessionStorage.setItem(drafts.key(id), JSON.stringify(values)),
  drop: (id) => sessionStorage.removeItem(drafts.key(id)),
};

export class ApprovalCard {
  /** @type {Contract.Schema<"Approval">} */
  #approval;
  #hooks;
  #editing = false;
  #busy = false;
  #problem = "";

  /** `hooks`: `cite(source, button)`, `decided(approval)`. */
  constructor(approval, hooks) {
    this.#approval = approval;
    this.#hooks = hooks;
    this.node = h("article", { class: "card", tabindex: "0", "data-id": approval.id });
    this.#editing = approval.state === "pending" && drafts.get(approval.id) !== null;
    this.#draw();
  }

  get id() {
    return this.#approval.id;
  }

  get pending() {
    return this.#approval.state === "pending";
  }

  /** Whether something may still come of it. */
  get open() {
    return this.pending || (this.#approval.state === "approved" && !this.#approval.outcome);
  }

  /**
   * What the server has now. A draft of the user's stays.
   * @param {Contract.Schema<"Approval">} approval
   */
  show(approval) {
    if (JSON.stringify(approval) === JSON.stringify(this.#approval)) return;
    this.#approval = approval;
    if (approval.state !== "pending") {
      this.#editing = false;
      drafts.drop(approval.id);
    }
    if (!this.#editing) this.#draw();
  }

  async approve(input = undefined) {
    if (!this.pending || this.#busy) return;
    const { risk, preview, digest } = this.#approval;
    if (risk.length > 0) {
      const addresses = (input ? recipientsOf(input) : preview.recipients.map(({ address }) => address)).map((address) => h("li", {}, address));
      const words = h(
        "div",
        { class: "confirm-risk" },
        h("p", {}, "Look at this first:"),
        h("ul", { class: "risks" }, risk.map(({ text }) => h("li", {}, text))),
        addresses.length > 0 ? [h("p", {}, "It goes to:"), h("ul", { class: "plain" }, addresses)] : null,
      );
      if (!(await confirm("Do it all the same?", words, "Yes, do it", { careful: true }))) return;
    }
    await this.#decide("approve", input ? { expected_digest: digest, input } : { expected_digest: digest }, "Approved.");
  }

  async reject() {
    if (!this.pending || this.#busy) return;
    const reason = h("textarea", { rows: "3", maxlength: "2000", "aria-label": "Reason", placeholder: "What should be different? The assistant reads it.", autofocus: true });
    const given = () => ({ reason: reason.value.trim() || null });
    // What fails is said in the dialog, which keeps the reason.
    if (await dialog("Reject this?", reason, "Reject", given, { act: (said) => this.#decide("reject", said, "Rejected.", { dialog: true }) })) this.node.focus({ preventScroll: true });
  }

  edit() {
    if (!this.pending || !(FORMS[this.#approval.action] ?? []).some(([, , form]) => form !== "fixed")) return;
    this.#editing = true;
    this.#draw();
    this.node.querySelector("input, textarea")?.focus();
  }

  /**
   * @param {"approve" | "reject"} how
   * @param {{ expected_digest?: string, input?: object, reason?: string | null }} body
   */
  async #decide(how, body, words, from = { dialog: false }) {
    this.#busy = true;
    this.#problem = "";
    this.#lock();
    try {
      this.#approval = await post(`/api/approvals/${this.id}/${how}`, body);
      this.#editing = false;
      drafts.drop(this.id);
      announce(words);
      this.#hooks.decided?.(this.#approval);
    } catch (problem) {
      if (problem.status !== 409 && from.dialog) {
        this.#busy = false;
        this.#draw();
        throw problem;
      }
      this.#problem = problem.message;
      if (problem.status === 409) {
        this.#approval = await get(`/api/approvals/${this.id}`).catch(() => this.#approval);
        this.#hooks.decided?.(this.#approval);
      }
    }
    this.#busy = false;
    this.#draw();
    this.node.focus({ preventScroll: true });
  }

  #lock() {
    for (const control of this.node.querySelectorAll("button, input, textarea")) control.disabled = true;
  }

  #draw() {
    const { action, state, preview, risk, reason, outcome, decision, automatic } = this.#approval;
    this.node.dataset.state = state;
    this.node.dataset.risky = risk.length > 0;
    const [stateWords, kind] = STATES[state] ?? [sentence(state), ""];
    const name = `card-${this.id}`;
    this.node.setAttribute("aria-labelledby", name);
    this.node.replaceChildren(
      h(
        "header",
        { class: "card-head" },
        h("p", { class: "kicker" }, actionIcon(action), actionWords(action)),
        pill(automatic ? "Done unasked" : stateWords, kind),
        h("h2", { id: name }, preview.summary),
      ),
      ...(this.#editing ? [this.#form()] : this.#shown()),
      ...(risk.length > 0
        ? [h("div", { class: "risk-box" }, h("p", { class: "label" }, icon("warning"), "Look at this first"), h("ul", { class: "risks" }, risk.map(({ text }) => h("li", {}, text))))]
        : []),
      h("div", { class: "card-why" }, h("p", {}, h("span", { class: "label" }, "Why "), reason), this.#sources()),
      ...(decision ? [h("p", { class: "card-decision" }, h("span", { class: "label" }, state === "rejected" ? "You said " : "Because "), decision)] : []),
      ...(outcome ? [outcomeWords(outcome)] : []),
      ...(this.#problem ? [failed(this.#problem)] : []),
      ...(state === "pending" ? [this.#buttons()] : []),
    );
  }

  #sources() {
    const { sources } = this.#approval;
    if (sources.length === 0) return null;
    const items = sources.map(({ kind, id, title }) => {
      const open = h("button", { type: "button", class: "link" }, `${kindName(kind)}: ${title || "without a title"}`);
      open.addEventListener("click", () => this.#hooks.cite({ kind, source_id: id, title }, open));
      return h("li", {}, open);
    });
    return h("details", {}, h("summary", {}, sources.length === 1 ? "Uses one source" : `Uses ${sources.length} sources`), h("ul", { class: "plain" }, items));
  }

  #buttons() {
    const { expires_at: expires, risk, action } = this.#approval;
    if (this.#editing) return h("p", { class: "quiet" }, "Nothing has gone out yet.");
    const can = (FORMS[action] ?? []).some(([, , form]) => form !== "fixed");
    return h(
      "div",
      { class: "card-buttons" },
      h("button", { type: "button", class: "button", onclick: () => this.approve() }, risk.length > 0 ? "Approve…" : "Approve"),
      can ? h("button", { type: "button", class: "button second", onclick: () => this.edit() }, "Edit") : null,
      h("button", { type: "button", class: "button second", onclick: () => this.reject() }, "Reject…"),
      h("span", { class: "quiet" }, "Ends ", when(expires)),
    );
  }

  /** As it will be done; beside it what was first wanted, where the user has changed that. */
  #shown() {
    const { action, input, proposed, preview } = this.#approval;
    const ascii = new Map(preview.recipients.map(({ address, ascii: plain }) => [address, plain]));
    const rows = (FORMS[action] ?? Object.keys(input).map((name) => [name, sentence(name), "line"])).flatMap(([name, label, form]) => {
      const value = input[name];
      if (value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0)) return [];
      const changed = proposed && JSON.stringify(proposed[name]) !== JSON.stringify(value);
      const body = changed && form !== "changes" ? difference(asText(proposed[name], form, input), asText(value, form, input)) : shownAs(value, form, input, ascii);
      return [h("dt", {}, label), h("dd", { class: form === "text" ? "letter" : null }, body)];
    });
    return [h("dl", { class: "card-facts" }, rows)];
  }

  #form() {
    const { action, input, id } = this.#approval;
    const kept = drafts.get(id) ?? {};
    const fields = [];
    const read = () => {
      const changed = structuredClone(input);
      for (const field of fields) field.into(changed);
      return changed;
    };
    const changes = h("div", { class: "changes", "aria-live": "polite" });
    const send = h("button", { type: "submit", class: "button" }, "Approve as changed");
    const look = () => {
      const values = read();
      drafts.set(id, Object.fromEntries(fields.map(({ name, control }) => [name, control.value])));
      const differing = fields.filter(({ name }) => JSON.stringify(values[name]) !== JSON.stringify(input[name]));
      const rows = differing.map(({ name, label, form }) => [h("dt", {}, label), h("dd", { class: form === "text" ? "letter" : null }, difference(asText(input[name], form, input), asText(values[name], form, input)))]);
      changes.replaceChildren(rows.length > 0 ? h("div", {}, h("p", { class: "label" }, "What you change"), h("dl", { class: "card-facts" }, rows)) : h("p", { class: "quiet" }, "Nothing is changed yet."));
      send.textContent = rows.length > 0 ? "Approve as changed" : "Approve";
    };
    const rows = (FORMS[action] ?? []).flatMap(([name, label, form]) => {
      if (form === "fixed") return [];
      if (form === "changes") return changesOf(input).map((change, place) => row(`changes.${place}`, sentence(change.property), "line", change.to, (changed, value) => (changed.changes[place].to = value)));
      return [row(name, label, form, editable(input[name], form), (changed, value) => (changed[name] = parsed(value, form, input[name])))];
    });
    function row(name, label, form, value, into) {
      const props = { id: `${id}-${name}`, name };
      const control = form === "text" ? h("textarea", { ...props, rows: "8" }) : h("input", { ...props, type: form === "time" ? "datetime-local" : "text" });
      control.value = kept[name] ?? value;
      control.addEventListener("input", look);
      fields.push({ name: name.split(".")[0], label, form: name.startsWith("changes.") ? "changes" : form, control, into: (changed) => into(changed, control.value) });
      const hint = form === "addresses" ? " (separated by commas)" : form === "time" ? " (your computer's time)" : "";
      return h("p", { class: "field" }, h("label", { for: props.id }, label, h("span", { class: "quiet" }, hint)), control);
    }
    const leave = h("button", { type: "button", class: "button second" }, "Leave as it was");
    leave.addEventListener("click", () => {
      drafts.drop(id);
      this.#editing = false;
      this.#problem = "";
      this.#draw();
      this.node.focus();
    });
    const form = h("form", { class: "card-form" }, rows, changes, h("div", { class: "card-buttons" }, send, leave));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.approve(read());
    });
    look();
    return form;
  }
}

/** @returns {{ property: string, from: string | null, to: string }[]} */
const changesOf = (input) => input.changes;

const recipientsOf = (input) => [input.to, input.cc, input.bcc, input.attendees].flat().filter(Boolean);

const asText = (value, form, input) => {
  if (form === "time") return value ? inZone(value, input.time_zone) : "";
  if (form === "changes") return (value ?? []).map(({ property, to }) => `${sentence(property)}: ${to}`).join("\n");
  return Array.isArray(value) ? value.join(", ") : String(value ?? "");
};

function shownAs(value, form, input, ascii) {
  if (form === "addresses" || (form === "fixed" && Array.isArray(value))) {
    return h(
      "ul",
      { class: "addresses" },
      value.map((address) => {
        const plain = ascii.get(address);
        return h("li", {}, address, plain && plain !== address ? h("span", { class: "ascii" }, ` written ${plain}`) : null);
      }),
    );
  }
  if (form === "changes") {
    return h("ul", { class: "plain" }, value.map(({ property, from, to }) => h("li", {}, `${sentence(property)}: `, from ? h("del", {}, from) : null, from ? " " : null, h("ins", {}, to))));
  }
  return asText(value, form, input);
}

function editable(value, form) {
  if (form === "addresses") return (value ?? []).join(", ");
  if (form !== "time") return value ?? "";
  if (!value) return "";
  const at = new Date(value);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function parsed(text, form, before) {
  if (form === "addresses") {
    return text
      .split(/[,;]/)
      .map((address) => address.trim())
      .filter(Boolean);
  }
  if (form === "time") {
    // What wasn't touched keeps its seconds.
    if (text === editable(before, "time")) return before;
    return text ? new Date(text).toISOString() : null;
  }
  return text === "" && (before === null || before === undefined) ? before : text;
}

/** @param {Contract.Schema<"Outcome">} outcome */
function outcomeWords({ state, error }) {
  if (state === "done") return h("p", { class: "outcome", "data-state": "done" }, "Done.");
  const words = { failed: "It could not be done", unknown: "Nobody knows whether it was done" }[state] ?? sentence(state);
  return h("p", { class: "outcome", "data-state": "failed" }, error ? `${words}: ${error}` : `${words}.`);
}
