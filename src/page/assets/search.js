// Plain search beside the questions: the passages nearest to some words, without an answer.

import { post } from "./api.js";
import { announce, count, day, h, icon } from "./dom.js";
import { kindName } from "./source.js";

/** Draws what is found for `query` into `host`; `open(citation, button)` opens one. */
export async function search(query, host, open) {
  host.replaceChildren(h("p", { class: "quiet" }, "Searching…"));
  let found;
  try {
    found = await post("/api/embeddings/search", { query, top_k: 20 }, { reads: true });
  } catch (problem) {
    host.replaceChildren();
    throw problem;
  }
  const { items, took_ms: took } = found;
  const words = items.length === 0 ? "Nothing was found for" : `${count(items.length, "passage")} for`;
  host.replaceChildren(
    h("h1", {}, `${words} “${query}”`, items.length > 0 ? h("small", {}, ` in ${Math.round(took)} ms`) : null),
    h("ol", {}, items.map((item) => h("li", {}, hit(item, open)))),
  );
  announce(`${words} ${query}`);
}

function hit(item, open) {
  const { kind, title, snippet, occurred_at } = item;
  const button = h(
    "button",
    { type: "button", class: "hit" },
    h("span", { class: "hit-head" }, icon(kind), h("span", { class: "hit-title" }, title || kindName(kind)), h("span", { class: "hit-day" }, day(occurred_at))),
    h("span", { class: "hit-snippet" }, snippet),
  );
  // A snippet cut short ends in an ellipsis that the source doesn't have.
  const quote = (snippet ?? "").replace(/^\s*…\s*|\s*…\s*$/g, "");
  button.addEventListener("click", () => open({ ...item, quote }, button));
  return button;
}
