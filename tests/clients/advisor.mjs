// An advisor as a program sees them: signed in at the simulated Google, with a token that may do everything.
//
// BASE_URL is the server's, SIMULATOR that of the simulated providers.

import assert from "node:assert/strict";

export const BASE_URL = process.env.BASE_URL ?? "http://localhost:8000";
const SIMULATOR = process.env.SIMULATOR ?? "http://localhost:9000";
export const ADVISOR = "advisor@example.com";

/**
 * Asks the simulated providers, or tells them something.
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function tell(path, body) {
  const json = body === undefined ? undefined : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(SIMULATOR + path, json);
  const text = await response.text();
  assert.ok(response.ok, `${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/**
 * @template T
 * @param {() => Promise<T>} look
 * @param {(found: T) => boolean} is
 */
export async function until(look, is) {
  for (let tries = 0; ; tries += 1) {
    const found = await look();
    if (is(found)) return found;
    assert.ok(tries < 150, `never so: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Signs in as a browser would, and makes a token. Returns the headers that say who asks. */
export async function signedIn() {
  await tell("/sim/google/decisions", { do: "allow", email: ADVISOR });
  /** @type {Map<string, string>} */
  const cookies = new Map();
  let at = new URL("/api/auth/google/start?return_to=/", BASE_URL);
  for (let hops = 0; hops < 5 && !cookies.has("session"); hops += 1) {
    const own = at.origin === new URL(BASE_URL).origin;
    const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
    const response = await fetch(at, { redirect: "manual", headers: own ? { cookie } : {} });
    for (const set of own ? response.headers.getSetCookie() : []) {
      const [name, value] = set.split(";")[0].split("=");
      cookies.set(name, value);
    }
    const next = response.headers.get("location");
    assert.ok(next, `${at.pathname}: ${response.status}`);
    at = new URL(next, at);
  }
  const response = await fetch(`${BASE_URL}/api/auth/tokens`, {
    method: "POST",
    headers: { cookie: `session=${cookies.get("session")}`, origin: BASE_URL, "content-type": "application/json" },
    body: JSON.stringify({ name: "clients", scopes: ["read", "write", "approve"] }),
  });
  assert.equal(response.status, 201, await response.clone().text());
  const { token } = await response.json();
  return { authorization: `Bearer ${token}` };
}

export const MAIL = [
  "From: Ottoline Brandt <ottoline.brandt@example.com>",
  `To: Advisor <${ADVISOR}>`,
  "Subject: The houseboat has to go",
  "Date: Tue, 12 May 2026 09:14:00 +0000",
  "Message-ID: <clients-houseboat@example.com>",
  "",
  "We want to sell the houseboat because the mooring fee doubles in October.",
  "",
].join("\r\n");
