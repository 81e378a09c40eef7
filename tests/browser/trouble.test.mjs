// What goes wrong around the page: the server is busy, away or not ready, the session ends, another tab signs out.
// The page says so, keeps what was typed, and goes on by itself where it can. And it keeps its own pace.
//
//   BASE_URL=http://localhost:8000 node --test trouble.test.mjs
//
// Against a Paraplanner in demo mode.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DESKTOP, PATIENT, accessible, question, signIn, visit } from "./harness.mjs";

const RULE = "when gmail.message.received then log";
const SORRY = [/Failed to load resource/, /ERR_INTERNET_DISCONNECTED/];

const problem = (status, title, headers = {}) => ({
  status,
  headers,
  contentType: "application/problem+json",
  body: JSON.stringify({ type: "about:blank", title, status, request_id: "r" }),
});

/** Answers so many requests for `path` with a problem, then lets them through. */
async function refuse(page, path, times, answer) {
  let left = times;
  await page.route(path, (route) => {
    left -= 1;
    return left >= 0 ? route.fulfill(answer) : route.fallback();
  });
}

const trouble = (page) => page.locator("#trouble");

const open = async (page, room) => {
  await page.getByRole("navigation", { name: "Rooms" }).getByRole("link", { name: room }).click();
  await page.locator(`.room[data-shows="${room.toLowerCase()}"]`).waitFor(PATIENT);
};

for (const [status, words] of [
  [429, /Too much was asked in a short time\. Going on by itself in 2 seconds\./],
  [503, /The server isn't ready at the moment\. Trying again by itself in 2 seconds\./],
]) {
  test(`a ${status} is waited for and gone past`, async () => {
    await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
      await signIn(page);
      await refuse(page, "**/api/activity?*", 2, problem(status, "not now", { "retry-after": "2" }));
      await page.getByRole("link", { name: "Activity" }).click();
      await trouble(page).getByText(words).waitFor();
      await accessible(page, `a page that waits for ${status}`);
      await page.locator('.room[data-shows="activity"]').waitFor();
      await trouble(page).waitFor({ state: "hidden" });
    });
  });
}

test("a gateway that answers for the server is tried again", async () => {
  await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
    await signIn(page);
    await refuse(page, "**/api/rules?*", 1, problem(502, "bad gateway"));
    await page.getByRole("link", { name: "Rules" }).click();
    await trouble(page).getByText(/isn't ready/).waitFor();
    await page.locator('.room[data-shows="rules"]').waitFor();
    await trouble(page).waitFor({ state: "hidden" });
  });
});

test("what was asked while it is busy can be asked again, and nothing typed is lost", async () => {
  await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
    await signIn(page);
    await refuse(page, "**/api/chat/stream", 1, problem(429, "too many requests", { "retry-after": "1" }));
    await question(page).fill("Who likes boats?");
    await page.keyboard.press("Enter");
    await page.getByText("too many requests. Try again in 1 second.").waitFor();
    await page.getByText("Who likes boats?").waitFor();
    await page.reload();
    await question(page).waitFor();
    assert.equal(await question(page).inputValue(), "Who likes boats?", "it is there again after a reload");
    await page.keyboard.press("Control+A");
    await question(page).press("Enter");
    await page.getByRole("button", { name: "Ask again" }).waitFor(PATIENT);
    assert.equal(await question(page).inputValue(), "");
  });
});

test("a search that fails leaves its words in the box", async () => {
  await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
    await signIn(page);
    await refuse(page, "**/api/embeddings/search", 1, problem(500, "internal error"));
    await page.getByText("Search", { exact: true }).click();
    const box = page.getByLabel("What to search for");
    await box.fill("houseboat");
    await box.press("Enter");
    await page.getByText("internal error.").waitFor();
    assert.equal(await box.inputValue(), "houseboat");
  });
});

test("a lost connection is said and survived", async () => {
  await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
    await signIn(page);
    await open(page, "Rules");
    await page.getByRole("link", { name: "New rule" }).click();
    await page.getByLabel("The rule").fill(RULE);
    await page.context().setOffline(true);
    await page.getByRole("button", { name: "Save, switched off" }).click();
    await page.getByText(/The server can't be reached\. Nothing that you have typed is lost/).waitFor();
    assert.equal(await page.getByLabel("The rule").inputValue(), RULE);
    await page.getByRole("link", { name: "All rules" }).click();
    await trouble(page).getByText(/can't be reached/).waitFor();
    await page.context().setOffline(false);
    await page.locator('.room[data-shows="rules"]').waitFor();
    await trouble(page).waitFor({ state: "hidden" });
    await page.getByRole("link", { name: "New rule" }).click();
    assert.equal(await page.getByLabel("The rule").inputValue(), RULE);
  });
});

test("an ended session is signed in again over the page as it stands", async () => {
  await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
    await signIn(page);
    await open(page, "Rules");
    await page.getByRole("link", { name: "New rule" }).click();
    await page.getByLabel("The rule").fill(RULE);
    await page.context().clearCookies();
    // Whoever asks first meets the end of the session; the question may stand before the page already.
    await page.getByRole("button", { name: "Save, switched off" }).evaluate((button) => button.click());
    const dialog = page.getByRole("dialog", { name: "Your session has ended" });
    await dialog.waitFor();
    await accessible(page, "a session that has ended");
    await dialog.getByRole("button", { name: /demo/i }).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByText(/Your session had ended, so nothing was done/).waitFor();
    assert.equal(await page.getByLabel("The rule").inputValue(), RULE);
    await page.getByRole("button", { name: "Save, switched off" }).click();
    await page.getByRole("switch").first().waitFor();
  });
});

test("one signs in again in another tab, and this one goes on", async () => {
  await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
    await signIn(page);
    await page.context().clearCookies();
    await page.evaluate(() => (location.hash = "#/people"));
    const dialog = page.getByRole("dialog", { name: "Your session has ended" });
    await dialog.waitFor();
    const other = await page.context().newPage();
    await other.goto("/");
    await signIn(other);
    await dialog.waitFor({ state: "detached" });
    await page.locator('.room[data-shows="people"]').waitFor();
  });
});

test("who signs out in one tab is signed out in all, and who signs in, in all", async () => {
  // What was still asked for is refused, and the browser says so.
  await visit({ ...DESKTOP, expects: SORRY }, async (page) => {
    await signIn(page);
    await question(page).fill("something private");
    const other = await page.context().newPage();
    await other.goto("/");
    await question(other).waitFor();
    await other.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You have signed out in another tab.").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0, "nothing of theirs is left here");
    await signIn(other);
    await question(page).waitFor();
    assert.equal(await question(page).inputValue(), "");
  });
});

test("while much is imported the page asks less than once a second, and knows the end", async () => {
  await visit(DESKTOP, async (page) => {
    const asked = [];
    page.on("request", (request) => {
      if (new URL(request.url()).pathname.startsWith("/api/")) asked.push({ at: performance.now(), what: `${request.method()} ${new URL(request.url()).pathname}` });
    });
    await signIn(page);
    await page.locator('input[type="file"]').setInputFiles({ name: "many.mbox", mimeType: "application/mbox", buffer: Buffer.from(mbox(Number(process.env.MAILS ?? 150))) });
    // The room that shows most.
    await open(page, "Today");
    await page.getByRole("link", { name: "Ask", exact: true }).click();
    await open(page, "Today");
    const card = page.locator(".import", { hasText: "many.mbox" });
    await card.getByText(/^Imported/).waitFor({ state: "attached", timeout: 240_000 });
    const most = Math.max(...asked.map(({ at }) => asked.filter((one) => one.at >= at && one.at < at + 60_000).length));
    const counts = new Map();
    for (const { what } of asked) counts.set(what, (counts.get(what) ?? 0) + 1);
    console.log(`an import of ${Math.round((asked.at(-1).at - asked[0].at) / 1000)} s: ${asked.length} requests, ${most} in the busiest minute;`, [...counts].map(([what, times]) => `${times} ${what}`).join(", "));
    assert.ok(most < 60, `${most} requests in a minute`);
  });
});

function mbox(number) {
  const one = (place) =>
    [
      "From sender@example.com Tue May 12 09:14:00 2026",
      `From: Client ${place} <client${place}@example.com>`,
      "To: Demo Advisor <advisor@example.com>",
      `Subject: Letter ${place}`,
      "Date: Tue, 12 May 2026 09:14:00 +0000",
      `Message-ID: <many-${place}@example.com>`,
      "",
      `Hello,\n\nthis is letter ${place}. ${`We talked about savings, the house and plan ${place}. `.repeat(12)}\n\nClient ${place}`,
      "",
    ].join("\n");
  return `${Array.from({ length: number }, (_, place) => one(place)).join("\n")}\n`;
}
