// The built-in page in a real browser, against a running Paraplanner in demo mode.
//
//   BASE_URL=http://localhost:8000 node --test page.test.mjs
//
// BASE_URL must be the server's PUBLIC_URL and its book may hold other mail already.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { DESKTOP, PATIENT, PHONE, accessible, answered, ask, citation, question, signIn, visit } from "./harness.mjs";

const QUESTION = "Why does Ottoline Brandt want to sell the houseboat?";
const MAILS = [
  {
    from: "Ottoline Brandt <ottoline.brandt@example.com>",
    subject: "The houseboat has to go",
    date: "Tue, 12 May 2026 09:14:00 +0000",
    text: [
      "Hello,",
      "",
      "we want to sell the houseboat because the mooring fee doubles in",
      "October, and put what it brings into the college fund for Linus.",
      "",
      "My notes say <b>not bold</b> & <img src=x onerror=alert(1)>: keep them as they are.",
      "",
      "Ottoline Brandt",
    ].join("\n"),
  },
  {
    from: "Casimir Holt <casimir.holt@example.com>",
    subject: "Review meeting",
    date: "Wed, 13 May 2026 10:00:00 +0000",
    text: "Hello,\n\ncan we move our review meeting to the second week of June?\n\nCasimir Holt",
  },
];

let folder;
let mbox;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "paraplanner-page-"));
  mbox = join(folder, "archive.mbox");
  await writeFile(mbox, asMbox(MAILS));
});

after(async () => {
  if (folder) await rm(folder, { recursive: true });
});

for (const colorScheme of ["light", "dark"]) {
  test(`an mbox becomes an answer whose citation opens the mail with its passage marked, ${colorScheme}`, async () => {
    await visit({ ...DESKTOP, colorScheme }, async (page) => {
      await accessible(page, "the door");
      await signIn(page);
      await accessible(page, "the empty workspace");
      await importMbox(page);
      await accessible(page, "after the import");
      await ask(page, QUESTION);
      await accessible(page, "the answer");

      await citation(page).click();
      const panel = page.getByRole("dialog");
      const mark = panel.locator("mark");
      await mark.waitFor();

      const passage = flat(await mark.textContent());
      assert.notEqual(passage, "");
      assert.ok(
        MAILS.some(({ subject, text }) => flat(`${subject}\n${text}`).includes(passage)),
        `the marked words are not in the mail: ${passage}`,
      );
      assert.ok(await inView(page, mark), "the mark is scrolled to");
      await accessible(page, "the source");
    });
  });
}

test("all of it can be done by keyboard", async () => {
  await visit(DESKTOP, async (page) => {
    await tabTo(page, /demo/i);
    await page.keyboard.press("Enter");
    await question(page).waitFor();
    await importMbox(page);

    await question(page).focus();
    await page.keyboard.type("Why sell");
    await page.keyboard.press("Shift+Enter");
    assert.equal(await question(page).inputValue(), "Why sell\n", "Shift+Enter is a new line");
    await page.keyboard.press("Control+A");
    await page.keyboard.type(QUESTION);
    await page.keyboard.press("Enter");
    await answered(page);

    await tabTo(page, /^1$/, "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").locator("mark").waitFor();
    assert.ok(await page.evaluate(() => document.querySelector("dialog").contains(document.activeElement)), "the source has the focus");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "1", "the focus is back on the citation");
  });
});

test("the skip link leads to the content", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await page.reload();
    await question(page).waitFor();
    await page.keyboard.press("Tab");
    assert.match(await focusedText(page), /skip/i);
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  });
});

for (const viewport of [PHONE.viewport, { width: 360, height: 640 }]) {
  test(`a phone of ${viewport.width} pixels shows all of it`, async () => {
    await visit({ ...PHONE, viewport }, async (page) => {
      await fits(page, "the door");
      await signIn(page);
      await fits(page, "the workspace");
      await importMbox(page);
      await ask(page, QUESTION);
      await fits(page, "the answer");
      await accessible(page, "the answer on a phone");

      await citation(page).tap();
      const panel = page.getByRole("dialog");
      const mark = panel.locator("mark");
      await mark.waitFor();
      assert.ok(await page.evaluate(() => document.querySelector("dialog").matches(":modal")), "the source lies over the page");
      assert.ok(await inView(page, mark), "the mark is scrolled to");
      await fits(page, "the source");
      await accessible(page, "the source on a phone");
      await panel.getByRole("button", { name: /close/i }).tap();
      await panel.waitFor({ state: "hidden" });

      await page.getByRole("button", { name: "Conversations" }).tap();
      await page.getByRole("link", { name: "New conversation" }).waitFor();
      await fits(page, "the conversations");
      await accessible(page, "the conversations on a phone");
    });
  });
}

test("files are taken wherever they are dropped", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    const transfer = await page.evaluateHandle((text) => {
      const data = new DataTransfer();
      data.items.add(new File([text], "dropped.mbox", { type: "application/mbox" }));
      return data;
    }, asMbox(MAILS));
    await page.locator(".log, .welcome").first().dispatchEvent("dragenter", { dataTransfer: transfer });
    await page.getByText("Drop to import").waitFor();
    await page.locator(".workspace").dispatchEvent("drop", { dataTransfer: transfer });
    await imported(page, "dropped.mbox");
    assert.equal(await page.getByText("Drop to import").isVisible(), false);
  });
});

test("a file of a kind that can't be read is refused in words", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await page.locator('input[type="file"]').setInputFiles({ name: "holiday.png", mimeType: "image/png", buffer: Buffer.from("x") });
    await page.getByRole("region", { name: "Import of holiday.png" }).getByText("1 file left out").waitFor();
  });
});

test("markup in a mail stays text", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await importMbox(page);
    await ask(page, QUESTION);
    await citation(page).click();
    const panel = page.getByRole("dialog");
    await panel.locator("mark").waitFor();
    assert.match(await panel.textContent(), /<b>not bold<\/b> & <img src=x onerror=alert\(1\)>/);
    assert.equal(await panel.locator("b, img").count(), 0);
  });
});

test("search finds the mail without an answer", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await importMbox(page);
    await page.getByText("Search", { exact: true }).click();
    await page.getByLabel("What to search for").fill("houseboat mooring fee");
    await page.keyboard.press("Enter");
    const results = page.getByRole("region", { name: "Search results" });
    await results.getByRole("button", { name: /houseboat/i }).first().click();
    await page.getByRole("dialog").getByText("mooring fee").first().waitFor();
    await accessible(page, "the search");
  });
});

test("a conversation is found again, renamed and deleted", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await importMbox(page);
    await ask(page, QUESTION);
    assert.match(page.url(), /#\/conversations\/[\w-]+$/);
    await page.reload();
    await citation(page).waitFor();

    const title = `About a boat ${Date.now()}`;
    await page.getByRole("button", { name: "Rename this conversation" }).click();
    await page.getByLabel("Title").fill(title);
    await page.keyboard.press("Enter");
    const listed = page.getByRole("navigation").getByText(title);
    await listed.waitFor();

    await page.getByRole("button", { name: "Delete this conversation" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await listed.waitFor({ state: "detached" });
    assert.match(page.url(), /#\/$/);
  });
});

test("an answer is drawn as the protocol says", async () => {
  const parts = [
    { type: "start", messageId: "m", messageMetadata: { mode: "extractive" } },
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: "# Heading\n\n**Bold** and ![pixel](https://example.com/p.gif) [3]" },
    { type: "a-part-of-tomorrow", data: {} },
    { type: "text-end", id: "t" },
    { type: "data-citation", data: { index: 1, kind: "of-tomorrow", source_id: "n", title: "A source", quote: "so it is", occurred_at: null, url: "/" } },
    { type: "data-text", data: { id: "t", text: "**Bold** and <i>raw</i> ![pixel](https://example.com/p.gif) [1] [2]" } },
    { type: "data-warning", data: { code: "citation_dropped", text: "One citation was dropped." } },
    { type: "error", errorText: "The day's budget is used up." },
  ];
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await page.route("**/api/chat/stream", (route) =>
      route.fulfill({
        contentType: "text/event-stream",
        body: [": hello", ...parts.map((part) => `data: ${JSON.stringify(part)}`), "data: [DONE]", ""].join("\n\n"),
      }),
    );
    await question(page).fill("Anything");
    await page.keyboard.press("Enter");
    await page.getByText("The day's budget is used up.").waitFor();
    const answer = page.getByRole("article", { name: "Answer" });
    assert.equal((await answer.locator(".prose").textContent()).trim(), "Bold and <i>raw</i> pixel (https://example.com/p.gif) 1 [2]");
    assert.equal(await answer.locator("img, a, i").count(), 0);
    await page.getByText("One citation was dropped.").waitFor();
    await page.getByText("Quotes only: no language model is configured").waitFor();
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await citation(page).click();
    await page.getByRole("dialog").getByText("so it is").waitFor();
    await accessible(page, "an answer that failed");
  });
});

test("an answer that is taking its time can be stopped", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await page.route("**/api/chat/stream", () => {});
    await question(page).fill("Anything");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("Stopped.").waitFor();
    await page.getByRole("button", { name: "Retry" }).waitFor();
  });
});

test("a quote is found whatever the white space, and only letter for letter", async () => {
  await visit(DESKTOP, async (page) => {
    const found = await page.evaluate(async () => {
      const { src } = document.querySelector("script[type=module]");
      const { findQuote } = await import(new URL("source.js", src));
      const text = "Dear all,\r\n\r\n  we sell\u00a0the \t boat 🛶\nin May.";
      return ["we sell the boat 🛶 in May.", " sell\nthe", "We sell", "", "all, we"].map((quote) => {
        const place = findQuote(text, quote);
        return place && text.slice(...place);
      });
    });
    assert.deepEqual(found, ["we sell\u00a0the \t boat 🛶\nin May.", "sell\u00a0the", null, null, "all,\r\n\r\n  we"]);
  });
});

async function importMbox(page) {
  await page.locator('input[type="file"]').setInputFiles(mbox);
  await imported(page, "archive.mbox");
}

async function imported(page, name) {
  const card = page.getByRole("region", { name: `Import of ${name}` });
  await card.getByText(/^Imported/).waitFor(PATIENT);
}

/** Presses Tab until what has the focus reads like `words`. */
async function tabTo(page, words, key = "Tab") {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press(key);
    if (words.test(await focusedText(page))) return;
  }
  assert.fail(`${words} can't be reached with ${key}`);
}

const focusedText = (page) => page.evaluate(() => document.activeElement.textContent.trim());

async function fits(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(over, 0, `${where} is wider than the screen`);
}

async function inView(page, locator) {
  const box = await locator.boundingBox();
  const { width, height } = page.viewportSize();
  return box !== null && box.y >= 0 && box.y + box.height <= height && box.x >= 0 && box.x + box.width <= width;
}

const flat = (text) => text.replace(/\s+/gu, " ").trim();

function asMbox(mails) {
  const messages = mails.map(({ from, subject, date, text }, position) =>
    [
      "From sender@example.com Tue May 12 09:14:00 2026",
      `From: ${from}`,
      "To: Demo Advisor <advisor@example.com>",
      `Subject: ${subject}`,
      `Date: ${date}`,
      `Message-ID: <page-test-${position}@example.com>`,
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
      "",
      text,
      "",
    ].join("\n"),
  );
  return `${messages.join("\n")}\n`;
}
