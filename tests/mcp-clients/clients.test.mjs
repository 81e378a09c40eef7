// Both generations of the official TypeScript SDK, unmodified, against a running Paraplanner.
//
// BASE_URL is the server's PUBLIC_URL, ADVISORS what `advisors.mjs` printed.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as second from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const { BASE_URL } = process.env;
const advisors = JSON.parse(process.env.ADVISORS);
const ENDPOINT = new URL("/mcp", BASE_URL);
const ME = { name: "paraplanner-tests", version: "1.0.0" };

const GENERATIONS = [
  {
    name: "@modelcontextprotocol/sdk, by handshake",
    client: () => new Client(ME),
    version: (client) => client.transport.protocolVersion,
    speaks: "2025-11-25",
    transport: (options) => new StreamableHTTPClientTransport(ENDPOINT, options),
  },
  {
    name: "@modelcontextprotocol/client, without handshake",
    client: () => new second.Client(ME, { versionNegotiation: { mode: "auto" } }),
    version: (client) => client.getNegotiatedProtocolVersion(),
    speaks: "2026-07-28",
    transport: (options) => new second.StreamableHTTPClientTransport(ENDPOINT, options),
  },
];

for (const { name, client: make, transport, version, speaks } of GENERATIONS) {
  const connected = async (token, story, headers = {}) => {
    const client = make();
    const sent = token ? { authorization: `Bearer ${token}`, ...headers } : headers;
    await client.connect(transport({ requestInit: { headers: sent } }));
    try {
      await story(client);
    } finally {
      await client.close();
    }
  };
  const names = async (client) => (await client.listTools()).tools.map((tool) => tool.name);

  test(`${name}: lists and calls the tools`, () =>
    connected(advisors.all, async (client) => {
      assert.equal(version(client), speaks);
      assert.equal(client.getServerVersion().name, "paraplanner");
      assert.match(client.getInstructions(), /never an instruction/);
      const { tools } = await client.listTools();
      assert.ok(tools.length > 15);
      for (const { annotations, title } of tools) assert.ok(title && annotations.destructiveHint === false);
      // The client holds what comes against the announced schema.
      const call = async (tool, args) => {
        const result = await client.callTool({ name: tool, arguments: args });
        assert.notEqual(result.isError, true, `${tool}: ${JSON.stringify(result.content)}`);
        return result.structuredContent;
      };
      const found = await call("search", { query: "annual review", kinds: ["email"] });
      assert.match(found.trust, /never obeyed/);
      const [mail] = (await call("get_email", { id: found.results[0].id })).results;
      assert.equal(mail.ref, found.results[0].ref);
      assert.ok((await call("get_thread", { thread_id: mail.thread_id })).results.length > 0);
      const [contact] = (await call("find_contacts", { name: "a" })).results;
      const [person] = (await call("get_person", { id: contact.id })).results;
      assert.equal(person.name, contact.name);
      const draft = await call("draft_email", { to: [contact.addresses[0]], subject: "Tea", text: "Shall we?" });
      assert.equal(draft.note, "Nothing was sent.");
      const rule = 'when gmail.message.received if subject~"review" then log';
      const [rehearsal] = (await call("preview_rule", { text: rule })).results;
      assert.equal(rehearsal.rule.trigger, "gmail.message.received");
      assert.equal((await call("propose_rule", { text: rule })).enabled, false);
      const wrong = await client.callTool({ name: "get_email", arguments: { id: "seven" } });
      assert.equal(wrong.isError, true);
    }));

  test(`${name}: lists and reads the sources`, () =>
    connected(advisors.reads, async (client) => {
      const { resourceTemplates } = await client.listResourceTemplates();
      assert.equal(resourceTemplates.length, 7);
      const first = await client.listResources();
      const [resource] = first.resources;
      const { contents } = await client.readResource({ uri: resource.uri });
      assert.match(JSON.parse(contents[0].text).trust, /never obeyed/);
      if (first.nextCursor) {
        const next = await client.listResources({ cursor: first.nextCursor });
        assert.ok(!next.resources.some(({ uri }) => uri === resource.uri));
      }
    }));

  test(`${name}: a token does what its scopes say`, async () => {
    await connected(advisors.reads, async (client) => {
      assert.ok(!(await names(client)).includes("create_task"));
      const refused = await client.callTool({ name: "create_task", arguments: { title: "Tea" } });
      assert.equal(refused.isError, true);
      assert.match(refused.content[0].text, /lacks the scope/);
      await assert.rejects(client.callTool({ name: "send_email", arguments: {} }), /no such tool/);
    });
    await connected(advisors.writes, async (client) => {
      assert.deepEqual((await names(client)).sort(), ["create_task", "propose_rule"]);
      await assert.rejects(client.listResources(), /lacks the scope/);
    });
  });

  test(`${name}: another user's ids are nobody's`, () =>
    connected(advisors.other, async (client) => {
      const result = await client.callTool({ name: "get_email", arguments: { id: advisors.mail } });
      assert.equal(result.isError, true);
      await assert.rejects(client.readResource({ uri: `paraplanner://email/${advisors.mail}` }), /no mail/);
    }));

  test(`${name}: no token, an unknown one, and a foreign page are refused`, async () => {
    const never = () => assert.fail("it is connected");
    await assert.rejects(connected(null, never), /401|nauthorized|not signed in/);
    await assert.rejects(connected("ppt_forged", never), /401|nauthorized|not signed in/);
    await assert.rejects(connected(advisors.reads, never, { origin: "https://evil.example" }), /403|another site/);
  });
}
