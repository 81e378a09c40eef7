// AI SDK's own client, unmodified: what `useChat` is made of, and the reader of its stream.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport, readUIMessageStream } from "ai";

import { ADVISOR, BASE_URL, MAIL, signedIn, tell, until } from "./advisor.mjs";

const QUOTE = "the mooring fee doubles in October";
let headers;

const get = async (path) => (await fetch(BASE_URL + path, { headers })).json();

const chat = () => new Chat({ transport: new DefaultChatTransport({ api: `${BASE_URL}/api/chat/stream`, headers }) });

before(async () => {
  headers = await signedIn();
  const form = new FormData();
  form.append("file", new Blob([MAIL]), "houseboat.eml");
  const { task_id: id } = await (await fetch(`${BASE_URL}/api/ingest/documents`, { method: "POST", headers, body: form })).json();
  await until(() => get(`/api/tasks/${id}`), ({ state }) => state === "done");
});

/** The model searches, and answers with a quote. */
async function willAnswer(words) {
  await tell("/sim/model/turns", { when: words, tool_calls: [{ name: "search", arguments: { query: "houseboat" } }] });
  await tell("/sim/model/turns", { when: "houseboat", text: `It has to go [1: "${QUOTE}"].` });
}

const part = (message, type) => message.parts.find((one) => one.type === type);

test("a cited answer arrives as parts: the tool, the text, the source, the citation", async () => {
  await willAnswer("Why does Ottoline sell it?");
  const talk = chat();
  await talk.sendMessage({ text: "Why does Ottoline sell it?" });
  assert.equal(talk.error, undefined);
  assert.equal(talk.status, "ready");
  const answer = talk.messages.at(-1);
  assert.equal(answer.role, "assistant");
  const tool = part(answer, "tool-search");
  assert.equal(tool.state, "output-available");
  assert.deepEqual(tool.input, { query: "houseboat" });
  assert.match(part(answer, "text").text, /It has to go \[1\]/);
  const { data: citation } = part(answer, "data-citation");
  assert.equal(citation.index, 1);
  assert.equal(citation.quote, QUOTE);
  assert.equal(part(answer, "source-document").sourceId, citation.source_id);
  const mail = await get(`/api/emails/${citation.source_id}`);
  assert.ok(mail.text.includes(QUOTE), "the quote stands in the stored mail");
});

test("the conversation goes on by what the first part says", async () => {
  const talk = chat();
  await tell("/sim/model/turns", { when: "First question", text: "First answer." });
  await talk.sendMessage({ text: "First question" });
  await tell("/sim/model/turns", { when: "Second question", text: "Second answer." });
  await talk.sendMessage({ text: "Second question" });
  const ids = new Set(talk.messages.filter(({ role }) => role === "assistant").map(({ metadata }) => metadata.conversation_id));
  assert.equal(ids.size, 1);
  const kept = await get(`/api/conversations/${[...ids][0]}`);
  assert.deepEqual(kept.messages.map(({ text }) => text), ["First question", "First answer.", "Second question", "Second answer."]);
});

test("what goes out asks for approval in the stream, and is decided by the API", async () => {
  const words = "Write to Ottoline that Tuesday suits me";
  await tell("/sim/model/turns", { when: words, tool_calls: [{ name: "send_email", arguments: { to: ["ottoline.brandt@example.com"], subject: "Tuesday", text: "Tuesday suits me." } }] });
  const talk = chat();
  await talk.sendMessage({ text: words });
  assert.equal(talk.error, undefined);
  const answer = talk.messages.at(-1);
  const tool = part(answer, "tool-send_email");
  assert.equal(tool.state, "approval-requested");
  const { data: approval } = part(answer, "data-approval");
  assert.equal(approval.id, tool.approval.id);
  assert.equal(approval.state, "pending");
  const said = await fetch(`${BASE_URL}/api/approvals/${approval.id}/approve`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ expected_digest: approval.digest }),
  });
  assert.equal(said.status, 200, await said.clone().text());
  const sent = await until(() => tell(`/sim/google/${ADVISOR}/sent`), (all) => all.some(({ text }) => /Tuesday suits me/.test(text)));
  assert.ok(sent.length > 0);
});

test("a model that fails is an error part, and an error of the chat", async () => {
  await tell("/sim/model/turns", { when: "Fail, please", oddities: [{ refused: 400 }] });
  const talk = chat();
  await talk.sendMessage({ text: "Fail, please" });
  assert.equal(talk.status, "error");
  assert.match(talk.error.message, /\w+ \w+/, "in words");
});

test("the stream can be read without a chat, message by message", async () => {
  await willAnswer("Say it once more");
  const transport = new DefaultChatTransport({ api: `${BASE_URL}/api/chat/stream`, headers });
  const messages = [{ id: "1", role: "user", parts: [{ type: "text", text: "Say it once more" }] }];
  const stream = await transport.sendMessages({ trigger: "submit-message", chatId: "one", messageId: undefined, messages, abortSignal: undefined });
  let last;
  let seen = 0;
  for await (const message of readUIMessageStream({ stream })) {
    last = message;
    seen += 1;
  }
  assert.ok(seen > 2, "it grows");
  assert.match(part(last, "text").text, /It has to go/);
});

test("an answer that is taking its time can be stopped, and what was said is kept", async () => {
  await tell("/sim/model/turns", { when: "Tell me slowly", text: "One two three four five six seven eight nine ten.", oddities: [{ slow: 400 }] });
  const talk = chat();
  const asked = talk.sendMessage({ text: "Tell me slowly" });
  await until(async () => talk.messages.at(-1)?.parts.some(({ type, text }) => type === "text" && text), (begun) => Boolean(begun));
  await talk.stop();
  await asked;
  assert.equal(talk.status, "ready");
  const id = talk.messages.at(-1).metadata.conversation_id;
  const kept = await until(() => get(`/api/conversations/${id}`), ({ messages }) => messages.length === 2);
  assert.equal(kept.messages[1].complete, false);
});
