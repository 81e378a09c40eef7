// The small frontend of `examples/`, served from an origin of its own.
//
//   BASE_URL=… FRONTEND_URL=http://localhost:5173 SIMULATOR=… node --test frontend.test.mjs
//
// Against `paraplanner serve` with this FRONTEND_URL, beside `paraplanner simulator`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { BASE_URL, elsewhere } from "./harness.mjs";
import { ADVISOR, mail, tell, until } from "./providers.mjs";

const FRONTEND_URL = process.env.FRONTEND_URL ?? "http://localhost:5173";
const KINDS = { html: "text/html", js: "text/javascript" };

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, FRONTEND_URL);
  const name = { "/": "index.html", "/frontend.js": "frontend.js" }[pathname];
  if (!name) return response.writeHead(204).end();
  response.setHeader("content-type", KINDS[name.split(".")[1]]);
  return response.end(await readFile(new URL(`../../examples/frontend/${name}`, import.meta.url)));
});

before(() => new Promise((resolve) => server.listen(Number(new URL(FRONTEND_URL).port), "localhost", resolve)));
after(() => server.close());

test("the contract can be read and tried without the net", async () => {
  await elsewhere(`${BASE_URL}/docs`, async (page) => {
    const foreign = [];
    page.on("request", (request) => {
      if (/^http/.test(request.url()) && new URL(request.url()).origin !== BASE_URL) foreign.push(request.url());
    });
    const operation = page.locator("#operations-rules-post_rules_preview");
    await operation.locator(".opblock-summary-control").click();
    await operation.getByText("gmail.message.received").first().waitFor();
    await operation.getByText("would_do").first().waitFor();
    assert.deepEqual(foreign, []);
  });
});

test("from another origin one signs in, asks, is told, and decides", async () => {
  await tell("/sim/google/decisions", { do: "allow", email: ADVISOR });
  await elsewhere(`${FRONTEND_URL}/?api=${encodeURIComponent(BASE_URL)}`, async (page) => {
    await page.getByText("Please sign in.").waitFor();
    await page.getByRole("link", { name: "Sign in with Google" }).click();
    await page.getByText(`Signed in as ${ADVISOR}`).waitFor();
    assert.equal(new URL(page.url()).origin, FRONTEND_URL);
    await page.getByText("Nothing.").waitFor();

    const ask = async (words) => {
      await page.getByLabel("Your question").fill(words);
      await page.getByRole("button", { name: "Ask" }).click();
      await page.getByRole("heading", { name: words }).waitFor();
    };
    await tell("/sim/model/turns", { when: "How are you?", text: "Well, thank you." });
    await ask("How are you?");
    await page.locator("#answer").getByText("Well, thank you.").waitFor();

    const words = "Write to Ottoline about Tuesday";
    await tell("/sim/model/turns", { when: words, tool_calls: [mail(["ottoline@example.com"], "Tuesday suits me.")] });
    await ask(words);
    // By the event alone: nothing here was pressed.
    const card = page.locator("#approvals > li", { hasText: "Tuesday suits me." });
    await card.waitFor();
    await card.getByText("ottoline@example.com", { exact: true }).first().waitFor();
    page.once("dialog", (dialog) => dialog.accept());
    await card.getByRole("button", { name: "Approve" }).click();
    await page.getByText("Nothing.").waitFor();
    await until(() => tell(`/sim/google/${ADVISOR}/sent`), (all) => all.some(({ text }) => /Tuesday suits me/.test(text)));
  });
});
