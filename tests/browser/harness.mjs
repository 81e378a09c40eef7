// What all stories about the page share: a browser, what each story promises besides its own sentence
// (no script error, no policy violation, nothing on the console, no finding of axe), and the words for
// what a user does.
//
// BASE_URL is the server's PUBLIC_URL.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

const BASE_URL = process.env.BASE_URL ?? "http://localhost:8000";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export const DESKTOP = { viewport: { width: 1360, height: 860 } };
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
export const PATIENT = { timeout: 60_000 };

let browser;

before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

after(() => browser?.close());

/** Opens the page in a browser of its own and holds it to what every test promises. */
export async function visit(options, story) {
  const context = await browser.newContext({ baseURL: BASE_URL, ...options });
  const complaints = [];
  try {
    context.setDefaultTimeout(15_000);
    await context.addInitScript({ path: AXE });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    const response = await page.goto("/");
    const policy = response.headers()["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /require-trusted-types-for 'script'/);
    assert.doesNotMatch(policy, /unsafe/);
    await page.getByRole("button", { name: /demo/i }).waitFor();
    await story(page);
    assert.deepEqual(complaints, [], "the console is quiet");
  } finally {
    await context.close();
  }
}

export async function signIn(page) {
  await page.getByRole("button", { name: /demo/i }).click();
  await question(page).waitFor();
  await page.getByRole("heading", { level: 1 }).waitFor();
}

export const question = (page) => page.getByRole("textbox", { name: "Your question" });

export const citation = (page) => page.getByRole("button", { name: "1", exact: true }).first();

export async function ask(page, words) {
  await question(page).fill(words);
  await page.keyboard.press("Enter");
  await answered(page);
}

export async function answered(page) {
  await page.getByRole("button", { name: "Ask again" }).waitFor(PATIENT);
  await citation(page).waitFor();
}

export async function accessible(page, where) {
  const violations = await page.evaluate(async (values) => {
    const { violations: found } = await globalThis.axe.run(document, { runOnly: { type: "tag", values } });
    return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
  }, RULES);
  assert.deepEqual(violations, [], `axe on ${where}`);
}
