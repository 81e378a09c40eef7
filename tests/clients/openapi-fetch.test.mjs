// @ts-check
// The client that openapi-fetch makes of the published contract, unmodified, with the types that openapi-typescript
// generates: this file is checked by tsc, and run.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import createClient from "openapi-fetch";

import { BASE_URL, MAIL, signedIn, until } from "./advisor.mjs";

/** @typedef {import("openapi-fetch").Client<import("./contract").paths>} Client */

/** @type {Client} */
let api;

before(async () => {
  api = createClient({ baseUrl: BASE_URL, headers: await signedIn() });
});

/**
 * @template T
 * @param {{ data?: T, error?: unknown }} reply
 */
function good({ data, error }) {
  assert.ok(data !== undefined, JSON.stringify(error));
  return data;
}

test("who is signed in, with what is connected", async () => {
  const me = good(await api.GET("/api/auth/me"));
  assert.match(me.email, /@/);
  for (const { provider, status, features } of me.connections) {
    assert.equal(status, "connected");
    assert.ok(features.some(({ name, on }) => name === (provider === "google" ? "mail" : "contacts") && on));
  }
});

test("a file becomes a source that is found, opened and quoted", async () => {
  const { task_id: id } = good(
    await api.POST("/api/ingest/documents", {
      body: { file: [MAIL] },
      bodySerializer({ file }) {
        const form = new FormData();
        for (const one of file) form.append("file", new Blob([one]), "houseboat.eml");
        return form;
      },
    }),
  );
  const task = await until(async () => good(await api.GET("/api/tasks/{id}", { params: { path: { id } } })), ({ state }) => state === "done" || state === "failed");
  assert.equal(task.state, "done", task.last_error ?? "");
  const { items } = good(await api.POST("/api/embeddings/search", { body: { query: "Ottoline Brandt, mooring fee of the houseboat", top_k: 3, kinds: ["email"] } }));
  const mail = good(await api.GET("/api/emails/{id}", { params: { path: { id: items[0].source_id } } }));
  assert.equal(mail.from?.address, "ottoline.brandt@example.com");
  const status = good(await api.GET("/api/ingest/status"));
  assert.ok(status.items.some(({ source, total }) => source === "documents" && total > 0));
});

test("a rule is rehearsed, made, changed, listed and deleted", async () => {
  const text = "when gmail.message.received then log";
  const said = good(await api.POST("/api/rules/preview", { body: { text } }));
  assert.deepEqual(said.rule.actions, ["log"]);
  const made = good(await api.POST("/api/rules", { body: { text, enabled: false, autonomy: "inherit" } }));
  assert.ok(made.id);
  const path = { id: made.id };
  const changed = good(await api.PUT("/api/rules/{id}", { params: { path }, body: { text, enabled: true, autonomy: "inherit" } }));
  assert.equal(changed.enabled, true);
  const { items, next_cursor: next } = good(await api.GET("/api/rules", { params: { query: { limit: 50 } } }));
  assert.ok(items.some(({ id }) => id === made.id));
  assert.equal(next, null);
  assert.equal((await api.DELETE("/api/rules/{id}", { params: { path } })).response.status, 204);
  const { error, response } = await api.GET("/api/rules/{id}", { params: { path } });
  assert.equal(response.status, 404);
  assert.equal(error?.title, "not found");
});

test("what is wrong is said by field, and typed", async () => {
  const { error } = await api.POST("/api/rules", { body: { text: "when", enabled: true, autonomy: "inherit" } });
  assert.equal(error?.errors?.[0].field, "text");
});

test("settings are read, changed in part, and written down", async () => {
  const before = good(await api.GET("/api/settings"));
  const after = good(await api.PUT("/api/settings", { body: { working_hours: { days: ["mon", "tue"], start: "08:30", end: "16:00" } } }));
  assert.deepEqual(after.working_hours.days, ["mon", "tue"]);
  assert.equal(after.daily_token_budget, before.daily_token_budget);
  const { items } = good(await api.GET("/api/activity", { params: { query: { limit: 5 } } }));
  assert.ok(items.some(({ actor, action }) => actor === "user" && action === "change_settings"));
  assert.equal(good(await api.GET("/api/activity/verify")).ok, true);
});

test("lists have pages, and tasks are asked for by several states and types at once", async () => {
  assert.ok(Array.isArray(good(await api.GET("/api/contacts", { params: { query: { limit: 1 } } })).items));
  assert.ok(Array.isArray(good(await api.GET("/api/calendar", { params: { query: { after: "2026-01-01T00:00:00Z" } } })).items));
  assert.ok(Array.isArray(good(await api.GET("/api/conversations")).items));
  assert.ok(Array.isArray(good(await api.GET("/api/approvals", { params: { query: { state: "pending" } } })).items));
  assert.ok(Array.isArray(good(await api.GET("/api/usage")).items));
  const { items } = good(await api.GET("/api/tasks", { params: { query: { state: "done,failed", type: "import_documents,follow_up" } } }));
  assert.ok(items.length > 0);
  for (const { state, type } of items) {
    assert.ok(state === "done" || state === "failed");
    assert.ok(["import_documents", "follow_up"].includes(type));
  }
  const { response } = await api.GET("/api/tasks", { params: { query: { state: "done,tired" } } });
  assert.equal(response.status, 422);
});

test("what only a person may do is refused to a token", async () => {
  const { error, response } = await api.GET("/api/auth/tokens");
  assert.equal(response.status, 403);
  assert.ok(error?.request_id);
});
