// Rules: standing orders, written in words or in the grammar, rehearsed before they are trusted.

import { call, get, post } from "./api.js";
import { confirm } from "./dialog.js";
import { announce, count, h, icon } from "./dom.js";
import { whenChanged } from "./events.js";
import { button, empty, failed, pages, pill, roomHead, sentence, when } from "./words.js";

const DAYS = 90;
/** Rows of a rehearsal that are drawn at once. */
const SHOWN = 20;
const EXAMPLES = [
  ["Remember who writes for the first time", 'when gmail.message.received if sender_in_crm=no and automatic=no then create_contact note="Wrote about {subject}"'],
  ["Thank a client for their mail", "when gmail.message.received if sender_in_crm=yes and is_reply=no then send_email template=thanks"],
  ["Welcome a new contact", "when hubspot.contact.creation then create_task type=welcome_email priority=high"],
  ["Prepare meetings with clients", 'when calendar.event.created if attendee_in_crm=yes then create_task type=meeting_brief title="Brief for {title}"'],
  ["Keep a line of every mail", "when gmail.message.received then log"],
];

export const rules = {
  title: "Rules",
  async show(main, { rest, query, signal, say }) {
    if (rest[0]) return showEditor(main, rest[0], query, { signal, say });
    const list = h("div", {});
    const draw = () => pages(list, "/api/rules?limit=100", (rule) => row(rule, { say, again: draw }), { signal, none: empty("No rules yet.", h("p", { class: "quiet" }, "A rule does something whenever something happens: file it, note it, draft an answer. Rehearse it on what has happened before you trust it."), examples()) });
    main.append(roomHead("Rules", "What is to be done whenever something happens.", h("a", { class: "button", href: "#/rules/new" }, icon("plus"), "New rule")), list);
    await draw();
    // Nothing is redrawn under somebody's fingers.
    whenChanged(["task"], () => (list.contains(document.activeElement) ? null : draw()), signal);
  },
};

const examples = () => h("ul", { class: "examples" }, EXAMPLES.map(([words, text]) => h("li", {}, h("a", { class: "example", href: `#/rules/new?text=${encodeURIComponent(text)}` }, words))));

/** @param {Contract.Schema<"RuleBody">} rule */
function row(rule, { say, again }) {
  const name = `rule-${rule.id}`;
  const box = h("input", { type: "checkbox", role: "switch", id: name, "aria-label": `On: ${rule.text}` });
  box.checked = rule.enabled;
  box.addEventListener("change", async () => {
    try {
      await call("put", `/api/rules/${rule.id}`, { json: { text: rule.text, enabled: box.checked, autonomy: rule.autonomy } });
      announce(box.checked ? "The rule is on." : "The rule is off.");
      again();
    } catch (problem) {
      box.checked = !box.checked;
      say(problem.message);
    }
  });
  return h(
    "article",
    { class: "entry rule" },
    h("span", { class: "switch" }, box),
    h("div", {}, h("p", {}, h("a", { href: `#/rules/${rule.id}` }, parts(rule))), rule.notice ? h("p", { class: "note", "data-state": "failed" }, rule.notice) : null, h("p", { class: "quiet" }, rule.enabled ? "On" : "Off", " · ", rule.match_count === 0 ? "has not matched yet" : [`matched ${count(rule.match_count, "time")}, last `, when(rule.last_matched_at)], rule.autonomy === "auto" ? " · acts without asking" : "")),
  );
}

/**
 * A rule as it is understood.
 * @param {Contract.Schema<"RuleBody">} rule
 */
function parts({ trigger, condition, actions, text }) {
  if (!trigger) return text;
  return h("span", { class: "rule-text" }, h("b", {}, "when "), trigger, condition ? [h("b", {}, " if "), condition] : null, h("b", {}, " then "), actions.join(" and "));
}

async function showEditor(main, id, query, { signal, say }) {
  const isNew = id === "new";
  /** @type {Contract.Schema<"RuleBody">} */
  let rule = null;
  if (!isNew) {
    try {
      rule = await get(`/api/rules/${encodeURIComponent(id)}`, { signal });
    } catch (problem) {
      if (problem.name === "AbortError") return;
      main.append(roomHead("Rules"), h("p", {}, h("a", { href: "#/rules" }, "All rules")), failed(problem.status === 404 ? "This rule is no longer here." : problem.message));
      return;
    }
  }
  const draft = `rule:${id}`;
  const box = h("textarea", { id: "rule-text", rows: "4", maxlength: "4000", spellcheck: "false", placeholder: "In plain words or as: when gmail.message.received if sender_in_crm=no then create_contact" });
  box.value = query.get("text") ?? sessionStorage.getItem(draft) ?? rule?.text ?? "";
  const wrong = h("div", { role: "alert" });
  const became = h("div", {});
  const found = h("div", { "aria-live": "polite" });
  const auto = h("input", { type: "checkbox", id: "rule-auto" });
  auto.checked = rule?.autonomy === "auto";
  const tools = h("div", { class: "card-buttons" });

  box.addEventListener("input", () => {
    sessionStorage.setItem(draft, box.value);
    wrong.replaceChildren();
  });
  auto.addEventListener("change", async () => {
    if (!auto.checked) return;
    const words = "What this rule sends, books or writes is done at once, as long as nothing speaks against it: a stranger's address, another client's words, links, talk of payments. Everything is written down in Activity.";
    auto.checked = Boolean(await confirm("Let this rule act without asking?", words, "Let it act", { careful: true }));
  });

  const show = (problem) => {
    const said = problem.fields?.find(({ field }) => field === "text")?.message ?? problem.message;
    became.replaceChildren();
    wrong.replaceChildren(failed(sentence(said)));
    const column = Number(/column (\d+)/.exec(said)?.[1]);
    const line = box.value.split("\n")[Number(/line (\d+)/.exec(said)?.[1] ?? 1) - 1] ?? box.value;
    if (column > 0) wrong.append(h("pre", { class: "caret", "aria-hidden": "true" }, `${line.slice(Math.max(0, column - 60), column + 30)}\n${" ".repeat(Math.min(column, 60) - (column > 60 ? 0 : 1))}^`));
  };

  const busy = (is) => {
    for (const control of tools.querySelectorAll("button")) control.disabled = is;
  };

  async function rehearse() {
    busy(true);
    wrong.replaceChildren();
    found.replaceChildren(h("p", { class: "quiet" }, "Rehearsing…"));
    try {
      const since = new Date(Date.now() - DAYS * 86_400_000).toISOString();
      const said = await post("/api/rules/preview", { text: box.value, since }, { signal });
      if (said.rule.text !== box.value.trim()) {
        box.value = said.rule.text;
        sessionStorage.setItem(draft, box.value);
        became.replaceChildren(h("p", { class: "note" }, "Your words became the rule above. Read it before you save it."));
      } else became.replaceChildren();
      became.append(understood(said.rule));
      found.replaceChildren(rehearsal(said));
      announce(`It would have acted ${count(said.matches.length, "time")}.`);
    } catch (problem) {
      found.replaceChildren();
      if (problem.name !== "AbortError") show(problem);
    }
    busy(false);
  }

  async function save(enabled) {
    busy(true);
    wrong.replaceChildren();
    /** @type {Contract.Body<"post", "/api/rules">} */
    const json = { text: box.value.trim(), enabled, autonomy: auto.checked ? "auto" : "inherit" };
    try {
      const saved = await (isNew ? post("/api/rules", json) : call("put", `/api/rules/${id}`, { json }));
      sessionStorage.removeItem(draft);
      announce(enabled ? "Saved, and on." : "Saved, and off.");
      location.hash = isNew ? "#/rules" : `#/rules/${saved.id}`;
      if (!isNew) location.hash = "#/rules";
    } catch (problem) {
      show(problem);
      busy(false);
    }
  }

  async function remove() {
    if (!(await confirm("Delete this rule?", "What it has done stays, and stays in the log.", "Delete", { careful: true }))) return;
    try {
      await call("delete", `/api/rules/${id}`);
      sessionStorage.removeItem(draft);
      location.hash = "#/rules";
    } catch (problem) {
      say(problem.message);
    }
  }

  tools.append(
    h("button", { type: "button", class: "button", onclick: rehearse }, "Rehearse"),
    button("Save and switch on", () => save(true)),
    button("Save, switched off", () => save(false)),
    ...(isNew ? [] : [button("Delete", remove)]),
  );
  main.append(
    h("p", {}, h("a", { href: "#/rules" }, "All rules")),
    roomHead(isNew ? "New rule" : "Rule", isNew ? "Say it in words, or write it down as it is." : "", rule?.notice ? pill("Switched off", "off") : null),
    ...(rule?.notice ? [failed(rule.notice)] : []),
    h("p", { class: "field" }, h("label", { for: "rule-text" }, "The rule"), box),
    wrong,
    became,
    h("p", { class: "check" }, auto, h("label", { for: "rule-auto" }, "It may act without asking me")),
    tools,
    h("p", { class: "quiet" }, `Rehearse looks at what happened in the last ${DAYS} days, and does nothing.`),
    found,
    ...(isNew ? [h("h2", {}, "To begin with"), examples()] : [became]),
  );
  if (rule && !became.hasChildNodes()) became.append(understood(rule));
  if (query.get("text")) rehearse();
}

const understood = ({ trigger, condition, actions, text }) =>
  trigger
    ? h("dl", { class: "card-facts panel" }, h("dt", {}, "When"), h("dd", {}, trigger), h("dt", {}, "If"), h("dd", {}, condition ?? "always"), h("dt", {}, "Then"), h("dd", {}, h("ul", { class: "plain" }, actions.map((action) => h("li", {}, action)))))
    : h("p", { class: "note" }, text);

/** @param {Contract.Reply<"post", "/api/rules/preview">} said */
function rehearsal({ matches, misses, undecided, estimated_tokens: tokens }) {
  const all = matches.length + misses.length + undecided.length;
  if (all === 0) return empty(`Nothing that this rule waits for has happened in the last ${DAYS} days.`, h("p", { class: "quiet" }, "It will be looked at when it does."));
  const event = ({ title, name, occurred_at: at }) => [h("span", { class: "entry-what" }, title || name), h("span", { class: "quiet" }, name), when(at)];
  const does = (actions) => h("ul", { class: "plain" }, actions.map(({ action, parameters }) => h("li", {}, `${sentence(action)}: `, Object.entries(parameters).map(([name, value]) => `${name} ${value}`).join(", "))));
  const groups = new Map();
  for (const miss of misses) {
    const clause = miss.failed.replace(/ \(.*$/s, "");
    groups.set(clause, [...(groups.get(clause) ?? []), miss]);
  }
  return h(
    "section",
    { class: "panel", "aria-label": "Rehearsal" },
    h("h2", {}, `Would have acted on ${matches.length} of ${count(all, "event")}`),
    tokens > 0 ? h("p", { class: "quiet" }, `Its questions would have cost about ${count(tokens, "token")}.`) : null,
    matches.length > 0 ? h("div", {}, some(matches, (match) => h("div", { class: "entry" }, h("p", { class: "entry-head" }, event(match.event)), does(match.would_do)))) : null,
    undecided.length > 0 ? h("details", {}, h("summary", {}, `${count(undecided.length, "event hangs", "events hang")} on a question to the model`), some(undecided, (one) => h("div", { class: "entry" }, h("p", { class: "entry-head" }, event(one.event)), h("p", { class: "quiet" }, one.asks.join(" ")), does(one.would_do)))) : null,
    [...groups].map(([clause, missed]) => h("details", {}, h("summary", {}, `${count(missed.length, "miss", "misses")}: ${clause}`), some(missed, (miss) => h("div", { class: "entry" }, h("p", { class: "entry-head" }, event(miss.event)), h("p", { class: "quiet" }, miss.failed))))),
  );
}

/** The first of many, and a button for more. */
function some(items, draw) {
  const host = h("div", { class: "rows" });
  let shown = 0;
  const more = button("Show more", () => add());
  const add = () => {
    more.remove();
    host.append(...items.slice(shown, shown + SHOWN).map(draw));
    shown += SHOWN;
    if (shown < items.length) host.append(more);
  };
  add();
  return host;
}
