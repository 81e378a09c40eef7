// The demo as a newcomer meets it: from the sign-in at the simulated Google to a cited answer, with
// nothing read but the page.
//
//   BASE_URL=http://localhost:8000 node --test demo.test.mjs
//
// Against `paraplanner demo`, fresh: who signs in here wasn't there before.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DESKTOP, PATIENT, PHONE, accessible, ask, citation, question, visit } from "./harness.mjs";

test("a newcomer signs in, connects HubSpot, watches the import and asks", async () => {
  await visit(DESKTOP, async (page) => {
    await accessible(page, "the door");
    await page.getByRole("link", { name: "Sign in with Google" }).click();
    await page.getByRole("button", { name: "Allow" }).waitFor();
    await accessible(page, "the simulated consent");
    await page.getByLabel(/Alex Morgan/).check();
    await page.getByRole("button", { name: "Allow" }).click();
    await question(page).waitFor();

    const connections = page.getByRole("region", { name: "Connections" });
    await connections.getByText("alex@morgan-advisory.example").waitFor();
    await connections.getByRole("link", { name: "Connect HubSpot" }).click();
    await accessible(page, "the simulated HubSpot");
    await page.getByRole("button", { name: "Connect app" }).click();
    await connections.getByText("morgan-advisory.example", { exact: true }).waitFor();
    await connections.getByText(/^\d+ contacts$/).waitFor(PATIENT);
    await connections.getByText(/^\d+ mails$/).waitFor(PATIENT);
    await connections.getByText(/^\d+ meetings$/).waitFor(PATIENT);
    await page.getByRole("heading", { name: "What would you like to know?" }).waitFor(PATIENT);
    await accessible(page, "the workspace with connections");

    await ask(page, "Who mentioned that their kid plays baseball?");
    await citation(page).click();
    const mark = page.getByRole("dialog").locator("mark");
    await mark.waitFor();
    assert.match(await mark.textContent(), /baseball/i);
  });
});

test("what was unticked is off, and says so", async () => {
  await visit(DESKTOP, async (page) => {
    await page.getByRole("link", { name: "Sign in with Google" }).click();
    await page.getByLabel(/Sam Second/).check();
    await page.getByLabel(/calendar\.events/).uncheck();
    await page.getByRole("button", { name: "Allow" }).click();
    await question(page).waitFor();
    const connections = page.getByRole("region", { name: "Connections" });
    await connections.getByText("The calendar is off: it was not allowed.").waitFor();
    await connections.getByRole("link", { name: "Allow what is off" }).click();
    await page.getByRole("button", { name: "Allow" }).click();
    await connections.getByText("The calendar is off: it was not allowed.").waitFor({ state: "detached" });

    await connections.getByRole("button", { name: "Disconnect Google" }).click();
    await page.getByRole("button", { name: "Disconnect", exact: true }).click();
    await connections.getByRole("link", { name: "Connect Google" }).waitFor();
    await question(page).waitFor();
  });
});

test("who says no is told so at the door", async () => {
  await visit(PHONE, async (page) => {
    await page.getByRole("link", { name: "Sign in with Google" }).click();
    await page.getByRole("button", { name: "Deny" }).click();
    await page.getByText("Access was not allowed. Try again to allow it.").waitFor();
    await accessible(page, "the door with a message");
  });
});

test("a newcomer rehearses a rule, switches it on, and decides what it wants", async () => {
  await visit(DESKTOP, async (page) => {
    await page.getByRole("link", { name: "Sign in with Google" }).click();
    await page.getByLabel(/Alex Morgan/).check();
    await page.getByRole("button", { name: "Allow" }).click();
    await question(page).waitFor();
    await page.getByRole("region", { name: "Connections" }).getByText(/^\d+ mails$/).waitFor(PATIENT);

    const writes = async () => {
      await page.getByRole("link", { name: "Today" }).click();
      await page.getByRole("button", { name: /Let a client write|Once more/ }).click();
      await page.getByRole("button", { name: /has written\. Once more\?/ }).waitFor();
    };
    await writes();
    await page.getByRole("link", { name: "Rules" }).click();
    await page.getByRole("link", { name: "New rule" }).click();
    const rehearsed = async () => {
      await page.getByLabel("The rule").fill("when gmail.message.received then send_email template=thanks");
      await page.getByRole("button", { name: "Rehearse" }).click();
      await page.getByText(/Would have acted on|Nothing that this rule waits for/).waitFor();
      return page.getByText(/Would have acted on [1-9]/).isVisible();
    };
    for (let tries = 0; !(await rehearsed()); tries += 1) {
      assert.ok(tries < 30, "the letter never arrived");
      await page.waitForTimeout(1000);
    }
    await accessible(page, "the rehearsal in the demo");
    await page.getByRole("button", { name: "Save and switch on" }).click();
    await page.getByRole("switch").waitFor();
    await writes();
    await page.getByRole("link", { name: /Approvals/ }).click();
    const card = page.locator(".room .card", { hasText: "Thank you" }).first();
    await card.waitFor(PATIENT);
    await card.getByRole("button", { name: /^Approve/ }).click();
    const sure = page.getByRole("button", { name: "Yes, do it" });
    await sure.or(card.getByText("Approved")).waitFor();
    if (await sure.isVisible()) await sure.click();
    await card.getByText("Done.").waitFor(PATIENT);
    await page.getByRole("link", { name: "Activity" }).click();
    await page.locator(".entry", { hasText: "Mail: " }).first().waitFor();
  });
});
