// An answer as it arrives: the AI SDK's UI message stream, folded part by part into one `Answer`.
//
// Parts of a type that this page doesn't know are passed over, so the server may add to them.
// Nothing here touches the document; `conversation.js` draws what this holds.

/** The data of each server-sent event of a response, comments and event names left out. */
export async function* serverSentEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      pending += value;
      const lines = pending.split(/\r\n|\n|\r(?!$)/);
      pending = lines.pop();
      for (const line of lines) {
        if (line === "" && data.length > 0) {
          yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export class Answer {
  /** Texts and look-ups in the order in which they came. */
  parts = [];
  /** By the number that stands for it in the text. */
  citations = new Map();
  /** What waits for the user's word, by id; null until it is looked up. */
  approvals = new Map();
  warnings = [];
  mode = null;
  conversationId = null;
  error = null;
  state = "running";

  /** An answer of the past, as `GET /api/conversations/{id}` has it. */
  static fromStored(message) {
    const answer = new Answer();
    for (const { name, input, output, ok } of message.tool_calls ?? []) {
      if (output?.approval_id) answer.approvals.set(output.approval_id, null);
      else if (name !== "assistant_run") answer.parts.push({ kind: "look-up", name, input, output, state: ok === false ? "failed" : "done" });
    }
    answer.parts.push({ kind: "text", id: message.id, text: message.text ?? "" });
    for (const citation of message.citations ?? []) answer.citations.set(citation.index, citation);
    answer.warnings = message.warnings ?? [];
    answer.mode = message.mode ?? null;
    answer.state = "done";
    return answer;
  }

  get text() {
    return this.parts
      .filter((part) => part.kind === "text" && part.text.trim() !== "")
      .map((part) => part.text.trim())
      .join("\n\n");
  }

  /** Takes in one part of the stream. */
  apply(part) {
    switch (part.type) {
      case "start":
      case "message-metadata":
        this.conversationId = part.messageMetadata?.conversation_id ?? this.conversationId;
        this.mode = part.messageMetadata?.mode ?? this.mode;
        break;
      case "text-start":
        this.parts.push({ kind: "text", id: part.id, text: "" });
        break;
      case "text-delta":
        this.#textPart(part.id).text += part.delta;
        break;
      case "data-text":
        this.#textPart(part.data.id).text = part.data.text;
        break;
      case "tool-input-available":
        this.parts.push({ kind: "look-up", id: part.toolCallId, name: part.toolName, input: part.input, state: "running" });
        break;
      case "tool-output-available":
        this.#endLookUp(part.toolCallId, { state: "done", output: part.output });
        break;
      case "tool-output-error":
        this.#endLookUp(part.toolCallId, { state: "failed" });
        break;
      case "tool-approval-request":
        // It looked nothing up: it waits, and has a card.
        this.parts = this.parts.filter(({ kind, id }) => kind !== "look-up" || id !== part.toolCallId);
        break;
      case "data-approval":
        this.approvals.set(part.data.id, part.data);
        break;
      case "data-citation":
        this.citations.set(part.data.index, part.data);
        break;
      case "data-warning":
        this.warnings.push(part.data);
        break;
      case "error":
        this.error = part.errorText || "The answer broke off.";
        break;
      default:
    }
  }

  /** The last part with this id: a later step may use an id again. */
  #textPart(id) {
    const found = this.parts.findLast((part) => part.kind === "text" && part.id === id);
    if (found) return found;
    const made = { kind: "text", id, text: "" };
    this.parts.push(made);
    return made;
  }

  #endLookUp(id, outcome) {
    const wanted = outcome.output?.approval_id;
    if (wanted) {
      this.parts = this.parts.filter((part) => part.kind !== "look-up" || part.id !== id);
      if (!this.approvals.has(wanted)) this.approvals.set(wanted, null);
      return;
    }
    const found = this.parts.findLast((part) => part.kind === "look-up" && part.id === id);
    if (found) Object.assign(found, outcome);
  }
}
