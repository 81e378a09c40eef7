// What all stories about the page share: a browser, what each story promises besides its own sentence
// (no script error, no policy violation, nothing on the console, no request to a foreign origin, replies as the
// contract promises them, no finding of axe), and the words for what a user does.
//
// BASE_URL is the server's PUBLIC_URL.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

import { Contract } from "../clients/validator.mjs";

export const BASE_URL = process.env.BASE_URL ?? "http://localhost:8000";
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
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export const DESKTOP = { viewport: { width: 1360, height: 860 } };
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
export const PATIENT = { timeout: 60_000 };

let browser;
let contract;

before(async () => {
  contract = new Contract(await (await fetch(`${BASE_URL}/openapi.json`)).json());
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

after(() => browser?.close());

/**
 * Opens the page in a browser of its own and holds it to what every test promises. `expects` are complaints of the
 * browser that the story brings about.
 */
export async function visit({ expects = [], ...options }, story) {
  const context = await browser.newContext({ baseURL: BASE_URL, ...options });
  const complaints = [];
  const replies = [];
  const promised = async (response) => {
    const { pathname, origin } = new URL(response.url());
    const kind = response.headers()["content-type"] ?? "";
    if (origin !== BASE_URL || !pathname.startsWith("/api/") || !kind.includes("json")) return [];
    // A page that is left takes its replies with it.
    const body = await response.json().catch(() => undefined);
    return body === undefined ? [] : contract.untrue(response.request().method(), pathname, response.status(), kind.split(";")[0], body);
  };
  try {
    context.setDefaultTimeout(15_000);
    await context.addInitScript({ path: AXE });
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !expects.some((words) => words.test(message.text()))) complaints.push(message.text());
    });
    context.on("weberror", (error) => complaints.push(String(error.error())));
    context.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (!request.isNavigationRequest() && origin !== BASE_URL && protocol.startsWith("http") && !isProvider(request)) complaints.push(`foreign: ${request.url()}`);
    });
    if (expects.length === 0) context.on("response", (response) => replies.push(promised(response).catch((error) => [String(error)])));
    const page = await context.newPage();
    const response = await page.goto("/");
    const policy = response.headers()["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /require-trusted-types-for 'script'/);
    assert.doesNotMatch(policy, /unsafe/);
    await page.getByRole("button", { name: /demo/i }).waitFor();
    await story(page);
    assert.deepEqual(complaints, [], "the console is quiet, and nobody else is asked");
    assert.deepEqual([...new Set((await Promise.all(replies)).flat())], [], "the replies are as the contract promises");
  } finally {
    await context.close();
  }
}

/** What a simulated provider's own page loads. */
const isProvider = (request) => request.frame().url().startsWith("http") && new URL(request.frame().url()).origin !== BASE_URL;

/** A page of its own, elsewhere; `story` gets it and what its console said. */
export async function elsewhere(address, story) {
  const context = await browser.newContext(DESKTOP);
  const complaints = [];
  try {
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    context.on("weberror", (error) => complaints.push(String(error.error())));
    await page.goto(address);
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
  }, TAGS);
  assert.deepEqual(violations, [], `axe on ${where}`);
}
