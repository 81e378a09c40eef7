// Today: what waits for a decision, whom the assistant waits for, what comes next, what was done.

import { get, post } from "./api.js";
import { announce, count, day, h } from "./dom.js";
import { whenChanged } from "./events.js";
import { render } from "./markdown.js";
import { actionIcon, actionWords, button, empty, failed, inZone, roomHead, sentence, when } from "./words.js";

const MEETINGS = 6;
const DONE = 12;
const BAD = ["rejected", "failed", "stale", "expired"];
/** What the user's rules and they themselves have put on the list. */
const KINDS = "follow_up,generic,welcome_email,meeting_brief,reminder";

export const today = {
  title: "Today",
  async show(main, { signal, me, cite, say, options, pending }) {
    const parts = {
      decide: section("Waits for you"),
      meet: section("Next meetings"),
      wait: section("The assistant waits for"),
      tasks: section("Open tasks"),
      done: section("Done lately"),
    };
    const name = (me.name || "").split(" ")[0];
    const letter = async (event) => {
      const asked = event.currentTarget;
      asked.disabled = true;
      try {
        const { from, subject } = await post("/api/demo/letter");
        announce(`${from} has written: ${subject}.`);
        asked.textContent = `${from.split(" ")[0]} has written. Once more?`;
      } catch (problem) {
        say(problem.message);
      }
      asked.disabled = false;
    };
    const demo = options.demo_controls && me.connections.some(({ provider }) => provider === "google") ? button("Let a client write (demo)", letter) : null;
    main.append(roomHead(name ? `Hello, ${name}` : "Today", new Intl.DateTimeFormat("en-GB", { dateStyle: "full" }).format(new Date()), demo), h("div", { class: "today" }, Object.values(parts).map(({ node }) => node)));

    const fill = async ({ body }, load) => {
      try {
        body.replaceChildren(...[await load()].flat());
      } catch (problem) {
        if (problem.name !== "AbortError") body.replaceChildren(failed(problem.message));
      }
    };
    const decide = () =>
      fill(parts.decide, async () => {
        const { items, next_cursor: more } = pending.value ?? (await pending.look());
        if (items.length === 0) return empty("Nothing waits for you.");
        const rows = items.slice(0, 5).map(({ id, action, preview, risk, created_at: at }) => [
          actionIcon(action),
          h("a", { href: `#/approvals/${id}` }, preview.summary),
          risk.length > 0 ? h("span", { class: "pill", "data-kind": "waits" }, "Look first") : null,
          when(at),
        ]);
        return [rowsOf(rows), h("p", {}, h("a", { class: "button", href: "#/approvals" }, items.length === 1 ? "Decide" : `Decide ${items.length}${more ? "+" : ""}`))];
      });
    const wait = async () => {
      const [waiting, open] = [get("/api/tasks?state=waiting&limit=50", { signal }), get(`/api/tasks?type=${KINDS}&state=pending,waiting,failed&limit=8`, { signal })];
      await Promise.all([
        fill(parts.wait, async () => {
          const { items } = await waiting;
          const waits = items.filter(({ waiting_on: on }) => on?.addresses || on?.budget_resets_at || on?.paused);
          if (waits.length === 0) return empty("Nobody.", h("p", { class: "quiet" }, "Ask it to arrange an appointment, and it waits for the answer for days if need be."));
          return rowsOf(
            waits.map(({ waiting_on: on, caused_by: by }) => [
              by?.kind === "conversation" ? h("a", { href: `#/conversations/${by.id}` }, whom(on)) : h("span", {}, whom(on)),
              on.nudge_at ? h("span", { class: "quiet" }, "reminds them ", when(on.nudge_at)) : null,
            ]),
          );
        }),
        fill(parts.tasks, async () => {
          const { items } = await open;
          if (items.length === 0) return empty("None.");
          return rowsOf(items.map(({ type, state, run_at: at, result, last_error: error }) => [h("span", {}, titleOf(result) || sentence(type)), state === "failed" ? h("span", { class: "pill", "data-kind": "off" }, error ? `Failed: ${error}` : "Failed") : h("span", { class: "quiet" }, "due ", when(at))]));
        }),
      ]);
    };
    const meet = () =>
      fill(parts.meet, async () => {
        const [{ items }, { items: done }] = await Promise.all([
          get(`/api/calendar?after=${encodeURIComponent(new Date().toISOString())}&limit=${MEETINGS}`, { signal }),
          get("/api/tasks?type=meeting_brief&state=done&limit=20", { signal }),
        ]);
        /** @type {Map<string, any>} */
        const briefs = new Map(/** @type {any[]} */ (done).filter(({ result }) => result?.text).map(({ result }) => [result.item?.id, result]));
        if (items.length === 0) return empty("No meetings ahead.");
        return rowsOf(
          items.map((event) => {
            const open = h("button", { type: "button", class: "link" }, event.title || "Without a title");
            open.addEventListener("click", () => cite({ kind: "event", source_id: event.id, title: event.title }, open));
            const ask = h("a", { class: "quiet-button", href: `#/?ask=${encodeURIComponent(`What should I know before “${event.title}”?`)}` }, "Brief me");
            const brief = briefs.get(event.id);
            return [open, h("span", { class: "quiet" }, event.all_day ? day(`${event.start_date}T00:00:00`) : inZone(event.start)), brief ? briefOf(brief, cite) : ask];
          }),
        );
      });
    const done = () =>
      fill(parts.done, async () => {
        const { items } = await get(`/api/activity?limit=${DONE}`, { signal });
        if (items.length === 0) return empty("Nothing yet.", h("p", { class: "quiet" }, "Everything that is done in your name is written down here, refusals too."));
        return [
          rowsOf(items.map(({ action, target, at, result }) => [actionIcon(action), h("span", {}, `${actionWords(action)}${target ? `: ${target}` : ""}`), BAD.includes(String(result?.state)) ? h("span", { class: "pill", "data-kind": "off" }, sentence(result.state)) : null, when(at)])),
          h("p", {}, h("a", { href: "#/activity" }, "All of it")),
        ];
      });
    await Promise.all([decide(), wait(), meet(), done()]);
    // Each change is asked about where it shows.
    pending.follow(decide, signal);
    whenChanged(["task"], wait, signal);
    whenChanged(["ingest"], meet, signal);
    whenChanged(["activity"], done, signal);
  },
};

function section(title) {
  const body = h("div", {});
  return { body, node: h("section", { class: "panel", "aria-label": title }, h("h2", {}, title), body) };
}

/** A brief that was written, folded; its citations open their sources. */
function briefOf({ text, citations }, cite) {
  const body = h("div", {});
  const cited = new Map((citations ?? []).map((citation) => [citation.index, citation]));
  render(body, text, {
    knows: (number) => cited.has(number),
    node: (number) => {
      const button = h("button", { type: "button", class: "citation" }, String(number));
      button.addEventListener("click", () => cite(cited.get(number), button));
      return button;
    },
  });
  return h("details", { class: "brief" }, h("summary", {}, "The brief"), body);
}

/** What a rule called the task that it made. */
const titleOf = (result) => result?.draft?.parameters?.title;

const rowsOf = (rows) => h("ul", { class: "rows tight" }, rows.map((cells) => h("li", { class: "row" }, cells)));

function whom(on) {
  if (on.addresses) return `An answer from ${on.addresses.join(", ")}${on.round > 1 ? ` (round ${on.round})` : ""}`;
  if (on.budget_resets_at) return "Tomorrow's tokens";
  return "The pause to end";
}

/** How many decisions are due, for the page's head. */
export const due = ({ items, next_cursor: more }) => ({ number: items.length, words: more ? `${items.length}+` : String(items.length), said: count(items.length, "decision waits", "decisions wait") });
