// The conversation in the middle: its messages, an answer that is arriving, stop, retry and copy.
//
// The server owns the history; this draws it, adds what is asked now and folds the stream into an
// `Answer`. Leaving a conversation stops its stream, and the server keeps what was said so far.

import { get, Problem, request } from "./api.js";
import { ApprovalCard } from "./card.js";
import { announce, h, icon } from "./dom.js";
import { render } from "./markdown.js";
import { describe, kindName } from "./source.js";
import { Answer, serverSentEvents } from "./stream.js";

const BROKEN = "The answer broke off. What was said so far is kept; ask again to have the rest.";
const LOOK_UPS = { search: "Searched", search_book: "Searched" };

export class Conversation {
  id = null;
  #log;
  #scroller;
  #hooks;
  #stop = null;
  /** Of the server's messages, as many as are drawn. */
  #drawn = 0;
  #views = new Set();

  /** `hooks`: `cite(citation, button)`, `began(id)`, `refused(question)`, `ended()`, `running(is)`, `mode(mode)`. */
  constructor(log, scroller, hooks) {
    this.#log = log;
    this.#scroller = scroller;
    this.#hooks = hooks;
  }

  get running() {
    return this.#stop !== null;
  }

  get empty() {
    return this.#log.childElementCount === 0;
  }

  clear() {
    this.stop();
    this.id = null;
    this.#log.replaceChildren();
    this.#drawn = 0;
    this.#views.clear();
    this.#hooks.mode(null);
  }

  stop() {
    this.#stop?.abort();
  }

  /** Shows a conversation of the past and returns it. */
  async load(id) {
    this.clear();
    this.id = id;
    const stored = await get(`/api/conversations/${encodeURIComponent(id)}`);
    if (this.id !== id) return stored;
    this.#append(stored.messages);
    this.#toEnd();
    return stored;
  }

  /**
   * Adds what was said meanwhile: the assistant speaks days later, too. What was decided is shown as it is;
   * `pending` is the shared list of what waits for the user.
   */
  async refresh(pending) {
    const { id } = this;
    if (!id || this.running) return;
    for (const view of this.#views) await view.look(pending);
    if (this.id !== id || this.running) return;
    const stored = await get(`/api/conversations/${encodeURIComponent(id)}`);
    if (this.id !== id || this.running) return;
    const fresh = stored.messages.slice(this.#drawn);
    if (fresh.length === 0) return;
    const follow = this.#atEnd();
    this.#append(fresh);
    announce("The assistant has said something.");
    if (follow) this.#toEnd();
  }

  #append(messages) {
    let question = "";
    for (const message of messages) {
      if (message.role === "user") {
        question = message.text;
        this.#log.append(asked(question));
      } else {
        const view = this.#view(question);
        // Drawn before it is shown: a live region would read the past aloud.
        view.draw(Answer.fromStored(message));
        this.#log.append(view.node);
        this.#hooks.mode(message.mode ?? null);
      }
    }
    this.#drawn += messages.length;
  }

  /** Asks and draws the answer while it arrives. */
  async ask(question) {
    this.stop();
    const stop = new AbortController();
    this.#stop = stop;
    this.#hooks.running(true);
    const view = this.#view(question);
    const top = asked(question);
    this.#log.append(top, view.node);
    this.#toEnd();
    announce("Looking for an answer.");
    const answer = new Answer();
    const draw = framed(() => {
      if (!view.node.isConnected) return;
      const follow = this.#atEnd();
      view.draw(answer);
      if (follow) this.#toEnd(top);
    });
    draw();
    try {
      await this.#receive(question, answer, stop.signal, draw);
      if (answer.state === "running") answer.state = "done";
    } catch (problem) {
      answer.state = stop.signal.aborted ? "stopped" : "done";
      if (!stop.signal.aborted) answer.error = problem instanceof Problem ? problem.message : BROKEN;
      if (problem instanceof Problem) this.#hooks.refused(question);
    }
    draw.now();
    if (this.#stop !== stop) return;
    this.#stop = null;
    await this.#count();
    this.#hooks.running(false);
    this.#hooks.ended();
  }

  /** What the server keeps of what was drawn just now. */
  async #count() {
    const { id } = this;
    const stored = id ? await get(`/api/conversations/${encodeURIComponent(id)}`).catch(() => null) : null;
    if (stored && this.id === id) this.#drawn = stored.messages.length;
  }

  async #receive(question, answer, signal, draw) {
    const response = await request("POST", "/api/chat/stream", {
      json: { message: question, conversation_id: this.id },
      accept: "text/event-stream",
      signal,
    });
    let finished = false;
    for await (const data of serverSentEvents(response)) {
      if (data === "[DONE]") return;
      const part = JSON.parse(data);
      finished ||= part.type === "finish" || part.type === "error";
      answer.apply(part);
      if (answer.conversationId && answer.conversationId !== this.id && !signal.aborted) {
        this.id = answer.conversationId;
        this.#hooks.began(this.id);
      }
      if (answer.mode && !signal.aborted) this.#hooks.mode(answer.mode);
      draw();
    }
    if (!finished) answer.error ??= BROKEN;
  }

  #view(question) {
    const view = new AnswerView((citation, button) => this.#hooks.cite(citation, button), () => this.ask(question));
    this.#views.add(view);
    return view;
  }

  #atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < 80;
  }

  /** To the end, but not so far that the question `top` goes out of sight. */
  #toEnd(top = null) {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    const over = top ? this.#scroller.getBoundingClientRect().top + 20 - top.getBoundingClientRect().top : 0;
    if (over > 0) this.#scroller.scrollTop -= over;
  }
}

const asked = (question) => h("article", { class: "asked", "aria-label": "You asked" }, h("p", {}, question));

class AnswerView {
  #steps = h("div", { class: "steps" });
  #texts = h("div", { class: "prose", "aria-live": "polite" });
  #approvals = h("div", { class: "cards" });
  #cards = new Map();
  #sources = h("div", { class: "sources" });
  #notes = h("div", { class: "notes" });
  #actions = h("div", { class: "actions" });
  #answer = null;
  #cite;
  #again;

  constructor(cite, again) {
    this.#cite = cite;
    this.#again = again;
    this.node = h("article", { class: "answer", "aria-label": "Answer" }, this.#steps, this.#texts, this.#approvals, this.#sources, this.#notes, this.#actions);
  }

  draw(answer) {
    this.#answer = answer;
    const running = answer.state === "running";
    this.#texts.setAttribute("aria-busy", String(running));
    this.#drawSteps(running);
    this.#drawTexts(running);
    this.#drawApprovals();
    if (running) return;
    this.#drawSources();
    this.#drawNotes();
    this.#drawActions();
  }

  #drawSteps(running) {
    const steps = this.#answer.parts.filter(({ kind }) => kind === "look-up");
    const waiting = running && this.#answer.text === "";
    if (waiting) {
      const now = steps.at(-1)?.state === "running" ? inWords(steps.at(-1), "Searching") : "Looking through your book";
      this.#steps.replaceChildren(h("p", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), `${now}…`));
    } else if (steps.length === 0) {
      this.#steps.replaceChildren();
    } else {
      const items = steps.map((step) => h("li", { "data-state": step.state }, inWords(step, LOOK_UPS[step.name]), step.state === "failed" ? " (failed)" : ""));
      const open = this.#steps.querySelector("details")?.open ?? false;
      this.#steps.replaceChildren(
        h("details", { open }, h("summary", {}, steps.length === 1 ? "Looked once" : `Looked ${steps.length} times`), h("ul", {}, items)),
      );
    }
  }

  #drawTexts(running) {
    const texts = this.#answer.parts.filter(({ kind, text }) => kind === "text" && text.trim() !== "");
    while (this.#texts.childElementCount > texts.length) this.#texts.lastElementChild.remove();
    const cite = {
      knows: (number) => this.#answer.citations.has(number),
      node: (number) => this.#citationButton(this.#answer.citations.get(number)),
    };
    for (const [position, { text }] of texts.entries()) {
      const block = this.#texts.children[position] ?? this.#texts.appendChild(h("div"));
      // A citation that is still being written would flicker as an open bracket.
      render(block, running ? text.replace(/\[\d*$/, "") : text, cite);
    }
  }

  #drawApprovals() {
    for (const [id, approval] of this.#answer.approvals) {
      if (this.#cards.has(id)) continue;
      this.#cards.set(id, null);
      if (approval) this.#addCard(approval);
      else get(`/api/approvals/${id}`).then((found) => this.#addCard(found)).catch(() => {});
    }
  }

  #addCard(approval) {
    const card = new ApprovalCard(approval, { cite: this.#cite });
    this.#cards.set(approval.id, card);
    this.#approvals.append(card.node);
  }

  /** Looks how things stand with what waits here. */
  async look(pending) {
    const open = [...this.#cards.values()].filter((card) => card?.open);
    if (open.length === 0) return;
    const { items } = await pending.soon();
    for (const card of open) card.show(items.find(({ id }) => id === card.id) ?? (await get(`/api/approvals/${card.id}`)));
  }

  #citationButton(citation) {
    const button = h("button", { type: "button", class: "citation", title: describe(citation) }, String(citation.index));
    button.addEventListener("click", () => this.#cite(citation, button));
    return button;
  }

  #drawSources() {
    const citations = [...this.#answer.citations.values()].sort((one, other) => one.index - other.index);
    if (citations.length === 0) return this.#sources.replaceChildren();
    const items = citations.map((citation) => {
      const button = h(
        "button",
        { type: "button", class: "source-card" },
        h("span", { class: "source-card-title" }, citation.title || kindName(citation.kind)),
        h("span", { class: "source-card-quote" }, citation.quote ?? ""),
        h("span", { class: "source-card-kind" }, describe({ ...citation, title: null }).replace(": without a title", "")),
      );
      button.addEventListener("click", () => this.#cite(citation, button));
      return h("li", { value: citation.index }, button);
    });
    return this.#sources.replaceChildren(h("p", { class: "label" }, citations.length === 1 ? "Source" : "Sources"), h("ol", {}, items));
  }

  #drawNotes() {
    const { warnings, error, state } = this.#answer;
    this.#notes.replaceChildren(
      ...warnings.map(({ text }) => h("p", { class: "note" }, text)),
      ...(state === "stopped" ? [h("p", { class: "note" }, "Stopped.")] : []),
      ...(error ? [h("p", { class: "note", "data-state": "failed", role: "alert" }, error)] : []),
    );
  }

  #drawActions() {
    const { text, error, state } = this.#answer;
    const actions = [];
    if (text !== "" && navigator.clipboard) {
      const copy = h("button", { type: "button", class: "quiet-button" }, icon("copy"), h("span", {}, "Copy"));
      copy.addEventListener("click", async () => {
        await navigator.clipboard.writeText(this.#asPlainText());
        copy.lastChild.textContent = "Copied";
        announce("Copied.");
        setTimeout(() => (copy.lastChild.textContent = "Copy"), 2000);
      });
      actions.push(copy);
    }
    const words = error || state === "stopped" ? "Retry" : "Ask again";
    actions.push(h("button", { type: "button", class: "quiet-button", onclick: this.#again }, icon("retry"), h("span", {}, words)));
    this.#actions.replaceChildren(...actions);
  }

  /** The answer and what it cites, for a mail or a note. */
  #asPlainText() {
    const sources = [...this.#answer.citations.values()].map((citation) => `[${citation.index}] ${describe(citation)}: “${citation.quote}”`);
    return [this.#answer.text, ...sources].join("\n\n");
  }
}

function inWords({ name, input }, verb) {
  const query = input?.query ?? input?.name;
  const what = verb ?? String(name).replaceAll("_", " ");
  return query ? `${what}: “${query}”` : `${what}`;
}

/** Calls `draw` at most once a frame; `.now()` draws what is still due. */
function framed(draw) {
  let due = null;
  const later = () => {
    due ??= requestAnimationFrame(() => {
      due = null;
      draw();
    });
  };
  later.now = () => {
    cancelAnimationFrame(due);
    due = null;
    draw();
  };
  return later;
}
