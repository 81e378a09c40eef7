// Approvals: what waits for the user's word, and what had it.

import { get } from "./api.js";
import { ApprovalCard } from "./card.js";
import { h } from "./dom.js";
import { whenChanged } from "./events.js";
import { empty, failed, pages, roomHead } from "./words.js";

export const approvals = {
  title: "Approvals",
  async show(main, { rest, signal, cite }) {
    const one = rest[0];
    const waiting = h("div", { class: "cards" });
    const over = h("div", { class: "cards" });
    const cards = new Map();
    const decided = () => look();
    const card = (approval) => {
      const known = cards.get(approval.id);
      if (known) {
        known.show(approval);
        return known;
      }
      const made = new ApprovalCard(approval, { cite, decided });
      cards.set(approval.id, made);
      return made;
    };

    async function look() {
      try {
        const { items } = one ? { items: [await get(`/api/approvals/${encodeURIComponent(one)}`, { signal })] } : await get("/api/approvals?state=pending&limit=200", { signal });
        // What was decided just now stays where it was, with its answer.
        for (const known of [...cards.values()]) {
          if (waiting.contains(known.node) && !items.some(({ id }) => id === known.id)) {
            if (known.open) known.show(await get(`/api/approvals/${known.id}`, { signal }));
          }
        }
        const nodes = items.map((approval) => card(approval).node);
        for (const node of nodes) if (!waiting.contains(node)) waiting.append(node);
        waiting.querySelector(".empty")?.remove();
        if (waiting.childElementCount === 0) {
          waiting.append(empty("Nothing waits for you.", h("p", { class: "quiet" }, "When the assistant or a rule wants to send, book or write something, it is here first. Ask for something, or make a rule."), h("p", {}, h("a", { class: "button second", href: "#/" }, "Ask"), " ", h("a", { class: "button second", href: "#/rules" }, "Rules"))));
        }
      } catch (problem) {
        if (problem.name === "AbortError") return;
        waiting.replaceChildren(failed(problem.status === 404 ? "This isn't here." : problem.message));
      }
    }

    const held = () => cards.get(document.activeElement?.closest?.(".card")?.getAttribute("data-id"));
    main.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
      const nodes = [...main.querySelectorAll(".card")];
      const place = nodes.indexOf(document.activeElement?.closest?.(".card"));
      const go = (step) => {
        event.preventDefault();
        nodes[Math.max(0, Math.min(nodes.length - 1, place + step))]?.focus();
      };
      const act = (what) => {
        event.preventDefault();
        held()?.[what]();
      };
      if (event.key === "j" || event.key === "ArrowDown") go(1);
      else if (event.key === "k" || event.key === "ArrowUp") go(-1);
      else if (event.key === "a") act("approve");
      else if (event.key === "e") act("edit");
      else if (event.key === "r") act("reject");
    });

    const keys = h("p", { class: "quiet keys" }, h("kbd", {}, "j"), " ", h("kbd", {}, "k"), " next, previous · ", h("kbd", {}, "a"), " approve · ", h("kbd", {}, "e"), " edit · ", h("kbd", {}, "r"), " reject");
    main.append(roomHead("Approvals", "Exactly what will be done, and nothing until you say so.", keys), waiting);
    await look();
    whenChanged(["approval"], look, signal);
    if (one) return;
    const earlier = h("details", { class: "earlier" }, h("summary", {}, "Decided before"), over);
    earlier.addEventListener(
      "toggle",
      () =>
        pages(over, "/api/approvals?limit=50", (approval) => (approval.state === "pending" ? h("span", { hidden: true }) : new ApprovalCard(approval, { cite }).node), {
          signal,
          none: empty("Nothing was decided yet."),
        }),
      { once: true },
    );
    main.append(earlier);
  },
};
