// What is connected: Google and HubSpot, how far each has been read, and what is off and why.
//
// Connecting leaves the page for the provider's and comes back; disconnecting asks first. How far the
// reading is comes from the ingest status, which the page asks for once for all who show it.

import { call, get } from "./api.js";
import { announce, count, h } from "./dom.js";

const PROVIDERS = { google: "Google", hubspot: "HubSpot" };
const SOURCES = {
  gmail: { provider: "google", one: "mail", many: "mails" },
  calendar: { provider: "google", one: "meeting", many: "meetings" },
  hubspot_contacts: { provider: "hubspot", one: "contact", many: "contacts" },
  hubspot_notes: { provider: "hubspot", one: "note", many: "notes" },
  hubspot_deals: { provider: "hubspot", one: "deal", many: "deals" },
};
const FEATURES = {
  mail: "Mail",
  calendar: "The calendar",
  free_busy: "Seeing when you are busy",
  contacts: "Contacts",
  write_contacts: "Writing to HubSpot",
  deals: "Deals",
};
/** Seconds behind the provider that are worth a word. */
const STALE = 20 * 60;

export const connectUrl = (provider) => `/api/auth/${provider}/start?return_to=/`;

export class Connections {
  #host;
  #offered;
  #status;
  #confirm;
  #say;
  /** @type {Contract.Schema<"Connection">[]} */
  #connections = [];
  /** @type {Contract.Schema<"SourceStatus">[]} */
  #sources = [];
  /** What of the status says that a connection is another than before. */
  #known = null;

  /** `status` is the shared ingest status; `confirm` and `say` are the page's. */
  constructor(host, options, { status, confirm, say }) {
    this.#host = host;
    this.#offered = Object.keys(PROVIDERS).filter((provider) => options[provider]);
    this.#status = status;
    this.#confirm = confirm;
    this.#say = say;
  }

  /** Offered and not connected. */
  get open() {
    return this.#offered.filter((provider) => !this.#of(provider));
  }

  /** Stays true to the server until `signal` ends it. */
  follow(connections, signal) {
    this.#connections = connections;
    this.#draw();
    this.#status.follow(({ items }) => this.#show(items), signal);
  }

  /** The ingest status of all sources. The connections themselves are asked for when it tells of others. */
  #show(sources) {
    this.#sources = sources.filter(({ source }) => SOURCES[source]);
    const known = JSON.stringify(this.#sources.map(({ source, state, error }) => [source, state === "needs_reauth", error]));
    const changed = this.#known !== null && known !== this.#known;
    this.#known = known;
    this.#draw();
    if (changed) this.#ask().catch(() => {});
  }

  async #ask() {
    this.#connections = (await get("/api/auth/me")).connections;
    this.#draw();
  }

  #of(provider) {
    return this.#connections.find((connection) => connection.provider === provider);
  }

  #draw() {
    if (this.#offered.length === 0) return;
    // Whoever is on a button here stays there.
    const held = document.activeElement?.closest?.("[data-connection]")?.getAttribute("data-connection");
    const rows = this.#offered.map((provider) => this.#row(provider));
    this.#host.replaceChildren(h("h2", {}, "Connections"), h("ul", {}, rows));
    if (held) this.#host.querySelector(`[data-connection="${held}"]`)?.focus();
  }

  #row(provider) {
    const connection = this.#of(provider);
    const name = PROVIDERS[provider];
    const words = connection ? this.#states(connection) : ["Not connected"];
    const dead = connection?.status === "needs_reauth";
    const off = (connection?.features ?? []).filter(({ why }) => why === "scope_missing");
    const link = (text) => h("a", { class: "quiet-button", href: connectUrl(provider), "data-connection": `${provider} connect` }, text);
    const part = () => this.#disconnect(provider);
    return h(
      "li",
      { "data-state": dead ? "dead" : connection ? "connected" : "open" },
      h("p", { class: "connection-name" }, name, connection ? h("span", { class: "connection-account" }, connection.account) : null),
      words.map((text) => h("p", { class: "connection-state" }, text)),
      off.map((feature) => h("p", { class: "connection-state" }, `${FEATURES[feature.name] ?? feature.name} is off: it was not allowed.`)),
      h(
        "div",
        { class: "connection-buttons" },
        !connection ? link(`Connect ${name}`) : dead ? link(`Connect ${name} again`) : off.length > 0 ? link("Allow what is off") : null,
        connection ? h("button", { type: "button", class: "quiet-button", onclick: part, "data-connection": `${provider} part` }, `Disconnect ${name}`) : null,
      ),
    );
  }

  #states(connection) {
    if (connection.status === "needs_reauth") return ["The access has ended. What waits for it goes on when you connect again."];
    const own = this.#sources.filter(({ source }) => SOURCES[source].provider === connection.provider);
    const on = own.filter(({ error, state }) => !(error && state === "idle"));
    const lines = on.map(({ source, state, done, total, error, unreadable, lag_seconds: lag }) => {
      const { one, many } = SOURCES[source];
      if (state === "running") return total > done ? `Reading: ${done} of about ${count(total, one, many)}` : `Reading: ${count(done, one, many)}`;
      if (state === "failing") return `Reading ${many} fails, ${count(done, one, many)} so far: ${error}`;
      const bad = unreadable > 0 ? `, ${count(unreadable, "can't be read", "can't be read")}` : "";
      const stale = lag > STALE ? `, as of ${count(Math.round(lag / 60), "minute", "minutes")} ago` : "";
      return `${count(done, one, many)}${bad}${stale}`;
    });
    return lines.length > 0 ? lines : ["Connected"];
  }

  async #disconnect(provider) {
    const name = PROVIDERS[provider];
    if (!(await this.#confirm(`Disconnect ${name}?`, "The access is given back. What was read so far stays in your book.", "Disconnect"))) return;
    try {
      await call("delete", provider === "google" ? "/api/auth/google" : "/api/auth/hubspot");
      announce(`${name} is disconnected.`);
      await Promise.all([this.#ask(), this.#status.look()]);
    } catch (problem) {
      this.#say(problem.message);
    }
  }
}
