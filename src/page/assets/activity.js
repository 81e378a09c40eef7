// Activity: what was done in the user's name and why, what was changed in it, and taking it back. Beside it what
// providers told us.

import { get, post } from "./api.js";
import { confirm } from "./dialog.js";
import { difference } from "./diff.js";
import { announce, count, h, moment } from "./dom.js";
import { whenChanged } from "./events.js";
import { actionIcon, actionWords, button, empty, failed, pages, pill, roomHead, sentence, when } from "./words.js";

const WHO = { user: "You", assistant: "The assistant", rule: "A rule", system: "Paraplanner" };
const BAD = ["rejected", "failed", "stale", "expired", "superseded", "unknown", "stopped", "switched_off"];
/** A task that takes something back is looked at for so long. */
const PATIENCE = 20;

export const activity = {
  title: "Activity",
  async show(main, { rest, signal, say }) {
    const inbox = rest[0] === "inbox";
    const chain = h("p", { class: "quiet", role: "status" });
    const list = h("div", {});
    const fresh = h("div", {});
    const tab = (words, href, current) => h("a", { href, "aria-current": current ? "page" : null }, words);
    main.append(
      roomHead("Activity", "What was done in your name, what was refused, and why.", chain),
      h("nav", { class: "tabs", "aria-label": "Activity" }, tab("What was done", "#/activity", !inbox), tab("What came in", "#/activity/inbox", inbox)),
      fresh,
      list,
    );
    if (inbox) return showInbox(list, { signal, say });

    const draw = () => pages(list, "/api/activity?limit=100", (entry) => row(entry, { say, again: draw }), { signal, none: empty("Nothing yet.") });
    const verify = async () => {
      chain.replaceChildren("Checking the chain…");
      try {
        const { ok, entries, first_bad_id: bad } = await get("/api/activity/verify", { signal });
        chain.replaceChildren(
          ok ? pill(`Chain verified: ${count(entries, "entry", "entries")}`, "good") : pill("The log was changed", "bad"),
          ok || !bad ? "" : ` The first entry that doesn't fit is ${bad}.`,
        );
      } catch (problem) {
        if (problem.name !== "AbortError") chain.replaceChildren(problem.message);
      }
    };
    await draw();
    verify();
    // Rows don't move under the reader: new ones are offered.
    whenChanged(
      ["activity"],
      async () => {
        if (main.closest(".scroller")?.scrollTop > 200 || list.contains(document.activeElement)) {
          fresh.replaceChildren(
            h("p", { class: "fresh" }, button("Show what is new", () => {
              fresh.replaceChildren();
              draw();
              verify();
            })),
          );
        } else {
          await draw();
        }
      },
      signal,
    );
  },
};

/** @param {Contract.Schema<"EntryBody">} entry */
function row(entry, { say, again }) {
  const { action, actor, target, at, why, proposed, final: done, result, undo, undoes } = entry;
  const links = [
    why.conversation_id ? h("a", { href: `#/conversations/${why.conversation_id}` }, "the conversation") : null,
    why.rule_id ? h("a", { href: `#/rules/${why.rule_id}` }, "the rule") : null,
    result?.approval_id ? h("a", { href: `#/approvals/${result.approval_id}` }, "the approval") : null,
  ].filter(Boolean);
  const changed = proposed && done && JSON.stringify(proposed) !== JSON.stringify(done);
  const exactly = () => {
    // Of thousands of entries, few are opened.
    const details = h("details", {}, h("summary", {}, changed ? "What was changed" : "What exactly"));
    details.addEventListener("toggle", () => details.append(h("dl", { class: "card-facts" }, fields(proposed ?? {}, done ?? proposed)), h("p", { class: "quiet hash" }, moment(at), " · ", entry.hash)), { once: true });
    return details;
  };
  const take = async (event) => {
    const asked = event.currentTarget;
    if (!(await confirm("Take this back?", h("p", {}, `This will ${undo.how}. It is done only while things are as they were left.`), "Take it back", { careful: true }))) return;
    asked.disabled = true;
    try {
      const { task_id: id } = await post(`/api/activity/${entry.id}/undo`, {});
      announce("Taking it back.");
      const words = await outcome(id);
      if (words) say(words);
      again();
    } catch (problem) {
      asked.disabled = false;
      say(problem.message);
    }
  };
  return h(
    "article",
    { class: "entry" },
    h("p", { class: "entry-head" }, actionIcon(action), h("span", { class: "entry-what" }, `${actionWords(action)}${target ? `: ${target}` : ""}`), BAD.includes(String(result?.state)) ? pill(sentence(result.state), "off") : null, undo?.undone_by ? pill("Taken back", "off") : null, when(at)),
    h("p", { class: "quiet" }, WHO[actor] ?? sentence(actor), links.length > 0 ? ", because of " : "", links.flatMap((link, place) => (place > 0 ? [", ", link] : [link])), undoes ? ", taking back an earlier entry" : ""),
    result?.reason || result?.error ? h("p", { class: "quiet" }, String(result.reason ?? result.error)) : null,
    proposed || done ? exactly() : null,
    undo?.possible ? h("p", {}, button("Undo", take, { class: "quiet-button" })) : null,
  );
}

/** Each field, with what was changed of it. */
function fields(before, after) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const text = (value) => (value === null || value === undefined ? "" : typeof value === "object" ? (Array.isArray(value) && value.every((one) => typeof one === "string") ? value.join(", ") : JSON.stringify(value)) : String(value));
  return names.flatMap((name) => {
    const [old, fresh] = [text(before?.[name]), text(after?.[name])];
    if (old === "" && fresh === "") return [];
    if ((old === "[]" || old === "") && (fresh === "[]" || fresh === "")) return [];
    return [h("dt", {}, sentence(name)), h("dd", { class: fresh.includes("\n") ? "letter" : null }, old === fresh ? fresh : difference(old, fresh))];
  });
}

/** Nothing when it went well; else why not. */
async function outcome(id) {
  for (let look = 0; look < PATIENCE; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, look < 5 ? 300 : 1000));
    const { state, reason, last_error: error, result } = await get(`/api/tasks/${id}`);
    if (state === "done") return reason === "conflict" || result?.reason === "conflict" ? "It was not taken back: somebody has changed it since." : null;
    if (state === "failed") return `It was not taken back: ${error ?? "it failed"}.`;
  }
  return "It is being taken back; the log will say so.";
}

async function showInbox(list, { signal, say }) {
  const draw = (delivery) => {
    const again = async (event) => {
      event.currentTarget.disabled = true;
      try {
        await post(`/api/webhook-events/${delivery.id}/replay`, {});
        announce("It is acted upon once more.");
      } catch (problem) {
        say(problem.message);
      }
    };
    const came = delivery.caused.filter(({ name }) => name).map(({ name }) => h("li", {}, name));
    return h(
      "article",
      { class: "entry" },
      h("p", { class: "entry-head" }, h("span", { class: "entry-what" }, `${sentence(delivery.provider)}: ${delivery.type}`), pill(sentence(delivery.state), delivery.state === "done" ? "good" : "waits"), when(delivery.received_at)),
      h("details", {}, h("summary", {}, "What it came to"), came.length > 0 ? h("ul", { class: "plain" }, came) : h("p", { class: "quiet" }, "Nothing that rules know of."), h("pre", {}, JSON.stringify(delivery.content, null, 2)), button("Act upon it once more", again, { class: "quiet-button" })),
    );
  };
  await pages(list, "/api/webhook-events?limit=50", draw, {
    signal,
    none: empty("Nothing came in yet.", h("p", { class: "quiet" }, "Google and HubSpot tell us here when something changes.")),
  }).catch((problem) => list.replaceChildren(failed(problem.message)));
}
