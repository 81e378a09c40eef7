// The simulated providers beside the program: what stories tell them to do.
//
// SIMULATOR is their origin, BASE_URL the program's.

import assert from "node:assert/strict";

import { PATIENT, question } from "./harness.mjs";

export const ADVISOR = "advisor@example.com";
const { SIMULATOR } = process.env;

/** Two clients at HubSpot. */
export async function fill() {
  await tell("/sim/hubspot/users", { portal: 4242, id: 9001, email: ADVISOR }).catch(() => {});
  for (const [firstname, lastname, email] of [
    ["Sara", "Smith", "sara@example.com"],
    ["Tom", "Jones", "tom@firm.example"],
  ]) {
    await tell("/sim/hubspot/portals/4242/work", { do: "create", kind: "contact", properties: { firstname, lastname, email } });
  }
}

/** Asks the simulator, or tells it something. */
export async function tell(path, body) {
  const json = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(SIMULATOR + path, json);
  const text = await response.text();
  assert.ok(response.ok, `${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

export async function until(look, is) {
  for (let tries = 0; ; tries += 1) {
    const found = await look();
    if (is(found)) return found;
    assert.ok(tries < 100, `never so: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Signs in with the simulated Google and connects the simulated HubSpot, unless it is connected. */
export async function connected(page, connects = true) {
  await tell("/sim/google/decisions", { do: "allow", email: ADVISOR });
  await page.getByRole("link", { name: "Sign in with Google" }).click();
  await question(page).waitFor();
  if (!connects) return;
  const connections = page.getByRole("region", { name: "Connections" });
  const connect = connections.getByRole("link", { name: "Connect HubSpot" });
  const known = connections.getByRole("button", { name: "Disconnect HubSpot" });
  await connect.or(known).waitFor();
  if (await connect.isVisible()) {
    await tell("/sim/hubspot/decisions", { do: "allow", portal: 4242, user: 9001 });
    await connect.click();
    await known.waitFor();
  }
  await connections.getByText("2 contacts").waitFor(PATIENT);
}

export const mail = (to, text) => ({ name: "send_email", arguments: { to, subject: "Appointment", text } });

/** The user asks, and the model calls. */
export async function wants(page, words, call) {
  await tell("/sim/model/turns", { when: words, tool_calls: [call] });
  await question(page).fill(words);
  await question(page).press("Enter");
  await page.locator(".answer .card").last().waitFor(PATIENT);
}

export async function letter(from, subject, text) {
  const raw = [`From: ${from}`, `To: ${ADVISOR}`, `Subject: ${subject}`, `Message-ID: <${Math.random()}@example.com>`, `Date: ${new Date().toUTCString()}`, "", text, ""].join("\r\n");
  await tell(`/sim/google/${ADVISOR}/mails`, { raw: Buffer.from(raw).toString("base64") });
  const base = process.env.BASE_URL;
  const moved = await fetch(`${base}/api/demo/clock`, { method: "POST", headers: { "content-type": "application/json", origin: base }, body: JSON.stringify({ advance: "PT61S" }) });
  assert.ok(moved.ok, `the clock: ${moved.status}`);
  await new Promise((resolve) => setTimeout(resolve, 3000));
}
