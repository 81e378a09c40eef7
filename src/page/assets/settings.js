// Settings: what may be done unasked, when, with what, by whom; and the big stop.

import { call, get, post } from "./api.js";
import { confirm, dialog, prompt } from "./dialog.js";
import { announce, count, day, h } from "./dom.js";
import { hush, listen } from "./events.js";
import { button, empty, failed, roomHead, sentence, when } from "./words.js";

const DAYS = { mon: "Mon", tue: "Tue", wed: "Wed", thu: "Thu", fri: "Fri", sat: "Sat", sun: "Sun" };
const LEAVE = [
  ["send_email", "Send mails"],
  ["create_event", "Book and change appointments"],
  ["write_crm", "Write into HubSpot"],
];
const RECIPIENTS = { known: "people in my contacts", own_domain: "people at my own domain", anyone: "anyone whom I named" };
const UPDATES = { all: "everybody", externalOnly: "guests from outside", none: "nobody" };
/** @type {[Contract.Schema<"TokenScope">, string][]} */
const SCOPES = [
  ["read", "read"],
  ["write", "write"],
  ["approve", "approve what goes out"],
];

export const settings = {
  title: "Settings",
  async show(main, { signal, me, say, connections, signedOut, kept }) {
    const host = h("div", { class: "settings" });
    main.append(roomHead("Settings", me.email), host);
    let now;
    try {
      now = await kept.look();
    } catch (problem) {
      if (problem.name !== "AbortError") host.append(failed(problem.message));
      return;
    }
    /** Saves these fields and says so beside what was changed. */
    const save = async (fields, note) => {
      try {
        now = await call("put", "/api/settings", { json: fields });
        kept.tell(now);
        note?.replaceChildren("Saved.");
        announce("Saved.");
        return true;
      } catch (problem) {
        note?.replaceChildren(failed(problem.message));
        return false;
      }
    };

    host.append(
      stop(),
      leaveToAct(),
      working(),
      scope(),
      budget(),
      panel("Connections", connections(signal)),
      tokens(),
      account(),
    );

    function stop() {
      const words = h("p", {});
      const press = h("button", { type: "button" });
      const problem = h("p", { class: "quiet", role: "status" });
      const draw = () => {
        words.textContent = now.paused ? "Everything is stopped: nothing is sent, booked or written, by anybody." : "One press, and nothing more is sent, booked or written, whatever was allowed before.";
        press.className = now.paused ? "button" : "button danger";
        press.textContent = now.paused ? "Go on" : "Stop everything";
      };
      press.addEventListener("click", async () => {
        const going = now.paused;
        if (going && !(await confirm("Go on?", "What was allowed before the stop goes out now.", "Go on", { careful: true }))) return;
        press.disabled = true;
        await save({ paused: !going }, problem);
        press.disabled = false;
        draw();
      });
      draw();
      // Another tab may have pressed it.
      kept.follow((fresh) => {
        now = { ...now, paused: fresh.paused };
        draw();
      }, signal);
      return panel("The big stop", words, h("p", {}, press), problem);
    }

    function leaveToAct() {
      const note = h("p", { class: "quiet", role: "status" });
      const rows = LEAVE.map(([name, words]) => {
        const select = choose(`leave-${name}`, { ask: "ask me first", auto: "without asking, if harmless" }, now.autonomy[name]);
        select.addEventListener("change", async () => {
          if (select.value === "auto" && !(await confirm(`${words} without asking?`, "Only for those whom you or what you point at name, and only while nothing speaks against it. Everything is written down in Activity.", "Allow it", { careful: true }))) select.value = "ask";
          await save({ autonomy: { ...now.autonomy, [name]: select.value } }, note);
        });
        return field(words, select);
      });
      const whom = choose("recipients", RECIPIENTS, now.auto_recipients);
      whom.addEventListener("change", () => save({ auto_recipients: whom.value }, note));
      const updates = choose("updates", UPDATES, now.send_updates);
      updates.addEventListener("change", () => save({ send_updates: updates.value }, note));
      const words = h("textarea", { id: "instructions", rows: "4", maxlength: "8000" });
      words.value = now.instructions;
      words.addEventListener("change", () => save({ instructions: words.value }, note));
      return panel("What the assistant may do", rows, field("Unasked, write only to", whom), field("Told of changes in the calendar", updates), field("What it is to keep in mind", words), note);
    }

    function working() {
      const note = h("p", { class: "quiet", role: "status" });
      const zones = h("datalist", { id: "zones" }, (Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => h("option", { value: zone })));
      const zone = h("input", { type: "text", id: "zone", list: "zones", value: now.time_zone });
      zone.addEventListener("change", () => save({ time_zone: zone.value }, note));
      const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const here = own && own !== now.time_zone ? button(`Use this computer's: ${own}`, () => ((zone.value = own), save({ time_zone: own }, note)), { class: "quiet-button" }) : null;
      const from = h("input", { type: "time", id: "from", value: now.working_hours.start });
      const until = h("input", { type: "time", id: "until", value: now.working_hours.end });
      const boxes = Object.entries(DAYS).map(([name, words]) => {
        const box = h("input", { type: "checkbox", id: `day-${name}`, value: name });
        box.checked = now.working_hours.days.includes(name);
        return { box, node: h("span", { class: "check" }, box, h("label", { for: `day-${name}` }, words)) };
      });
      const change = () => save({ working_hours: { days: boxes.filter(({ box }) => box.checked).map(({ box }) => box.value), start: from.value, end: until.value } }, note);
      for (const control of [from, until, ...boxes.map(({ box }) => box)]) control.addEventListener("change", change);
      return panel("When you work", zones, field("Time zone", zone), here, field("From", from), field("Until", until), h("fieldset", { class: "days" }, h("legend", {}, "Days"), boxes.map(({ node }) => node)), note);
    }

    function scope() {
      const note = h("p", { class: "quiet", role: "status" });
      const lists = [
        ["labels", "Labels that are never read"],
        ["never_senders", "Senders who are never read"],
        ["never_domains", "Domains that are never read"],
      ].map(([name, words]) => {
        const input = h("input", { type: "text", id: `scope-${name}`, value: now.import_scope[name].join(", ") });
        input.addEventListener("change", () => save({ import_scope: { ...now.import_scope, [name]: items(input.value) } }, note));
        return field(words, input, "separated by commas");
      });
      const own = h("input", { type: "text", id: "own", value: now.own_addresses.join(", ") });
      own.addEventListener("change", () => save({ own_addresses: items(own.value) }, note));
      return panel("What is read", lists, field("My other addresses", own, "separated by commas"), h("p", { class: "quiet" }, "What is newly left out disappears from search and answers."), note);
    }

    function budget() {
      const note = h("p", { class: "quiet", role: "status" });
      const use = h("div", {});
      const input = h("input", { type: "number", id: "budget", min: "0", step: "1000", value: now.daily_token_budget });
      input.addEventListener("change", async () => {
        await save({ daily_token_budget: Number(input.value) }, note);
        look();
      });
      const look = async () => {
        try {
          const { items: days, used_today: used, budget: whole, budget_resets_at: resets } = await get("/api/usage", { signal });
          const bar = h("progress", { max: Math.max(whole, 1), value: Math.min(used, whole), "aria-label": "Tokens used today" });
          const rows = days.slice(0, 10).map(({ day: date, purpose, input_tokens: asked, output_tokens: said }) => h("tr", {}, h("td", {}, day(`${date}T00:00:00`)), h("td", {}, sentence(purpose)), h("td", { class: "number" }, (asked + said).toLocaleString("en"))));
          use.replaceChildren(
            h("p", {}, `${count(used, "token")} of ${whole.toLocaleString("en")} used today; begins anew `, when(resets), "."),
            bar,
            ...(rows.length > 0 ? [h("details", {}, h("summary", {}, "By day and purpose"), h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "Day"), h("th", {}, "For"), h("th", { class: "number" }, "Tokens"))), h("tbody", {}, rows)))] : []),
          );
        } catch (problem) {
          if (problem.name !== "AbortError") use.replaceChildren(failed(problem.message));
        }
      };
      look();
      return panel("Tokens of the language model", use, field("At most in a day", input), note);
    }

    function tokens() {
      const list = h("div", {});
      const fresh = h("div", { "aria-live": "polite" });
      const look = async () => {
        try {
          const { items: held } = await get("/api/auth/tokens?limit=100", { signal });
          list.replaceChildren(
            held.length === 0
              ? empty("None.")
              : h("ul", { class: "rows tight" }, held.map((token) => h("li", { class: "row" }, h("span", {}, token.name), h("span", { class: "quiet" }, `may ${token.scopes.map((scope) => new Map(SCOPES).get(scope) ?? scope).join(", ")}`, token.expires_at ? [", ends ", when(token.expires_at)] : "", token.last_used_at ? [", used ", when(token.last_used_at)] : ""), button("Revoke", () => revoke(token), { class: "quiet-button" })))),
          );
        } catch (problem) {
          if (problem.name !== "AbortError") list.replaceChildren(failed(problem.message));
        }
      };
      const revoke = async ({ id, name }) => {
        if (!(await confirm(`Revoke “${name}”?`, "Whatever uses it stops working at once.", "Revoke", { careful: true }))) return;
        await call("delete", `/api/auth/tokens/${id}`).catch((problem) => say(problem.message));
        look();
      };
      const make = async () => {
        const name = h("input", { type: "text", required: true, maxlength: "100", id: "token-name" });
        const boxes = SCOPES.map(([scope, words]) => {
          const box = h("input", { type: "checkbox", id: `scope-of-${scope}`, value: scope });
          box.checked = scope === "read";
          return { box, scope, node: h("p", { class: "check" }, box, h("label", { for: `scope-of-${scope}` }, sentence(words))) };
        });
        const wanted = () => ({ name: name.value.trim(), scopes: boxes.filter(({ box }) => box.checked).map(({ scope }) => scope) });
        const act = async (asked) => {
          const { token } = await post("/api/auth/tokens", asked);
          const value = h("input", { type: "text", readonly: true, value: token, "aria-label": "The new token", class: "token" });
          const copy = button("Copy", async () => {
            await navigator.clipboard?.writeText(token);
            announce("Copied.");
          });
          fresh.replaceChildren(h("div", { class: "note" }, h("p", {}, "This is shown once. Keep it like a password."), h("p", { class: "token-row" }, value, copy)));
        };
        if (await dialog("New token", h("div", {}, field("Name", name), boxes.map(({ node }) => node)), "Make it", wanted, { act })) look();
      };
      look();
      return panel("Tokens for scripts and other assistants", list, fresh, h("p", {}, button("Make a token", make)));
    }

    function account() {
      const remove = async () => {
        const words = `Everything that is held on you here is deleted: mail, contacts, conversations, rules, the log. Nothing is deleted at Google or HubSpot. Export it first if you need it. Type ${me.email} to go on.`;
        if (!(await confirm("Delete everything?", words, "Go on", { careful: true }))) return;
        const typed = await prompt("Delete everything", `Type ${me.email}`, "", "Delete for ever", { autocomplete: "off", placeholder: me.email });
        if (typed === null) return;
        if (typed.toLowerCase() !== me.email.toLowerCase()) return say("That isn't your address, so nothing was deleted.");
        // What is told from now on concerns nobody.
        hush();
        try {
          await call("delete", "/api/account");
          signedOut("Everything was deleted.");
        } catch (problem) {
          listen();
          say(problem.message);
        }
        return undefined;
      };
      return panel(
        "Your data",
        h("p", {}, "A zip file of all that is held on you, in open formats."),
        h("p", { class: "card-buttons" }, h("a", { class: "button second", href: "/api/account/export", download: true }, "Export everything"), h("button", { type: "button", class: "button danger", onclick: remove }, "Delete everything…")),
      );
    }

  },
};

const items = (text) =>
  text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);

const panel = (title, ...content) => h("section", { class: "panel", "aria-label": title }, h("h2", {}, title), content);

const field = (words, control, hint) => h("p", { class: "field" }, h("label", { for: control.id }, words, hint ? h("span", { class: "quiet" }, ` (${hint})`) : null), control);

function choose(id, options, value) {
  const select = h("select", { id }, Object.entries(options).map(([name, words]) => h("option", { value: name }, words)));
  select.value = value;
  return select;
}

