// The pictures of the README, taken from the running program, so that they stay true:
//
//   scripts/browser-test.sh pictures

import { mkdir } from "node:fs/promises";
import { before, test } from "node:test";

import { PHONE, visit } from "./harness.mjs";
import { connected, fill, letter, mail, tell, wants } from "./providers.mjs";

const FOLDER = new URL("../../docs/pictures/", import.meta.url).pathname;
const WIDE = { viewport: { width: 1280, height: 800 } };

before(async () => {
  await fill();
  await mkdir(FOLDER, { recursive: true });
});

test("the rooms", async () => {
  await visit(WIDE, async (page) => {
    const take = (name) => page.screenshot({ path: `${FOLDER}${name}.png` });
    await connected(page);
    await letter("Sara Smith <sara@example.com>", "The houseboat", "Hello,\n\nwe would like to sell the houseboat and meet next week to talk it over.\n\nSara");
    await wants(page, "Schedule an appointment with Sara Smith", mail(["sara@example.com"], "Dear Sara,\n\nwould Tuesday at 10:00 or Wednesday at 14:00 (London time) suit you?\n\nBest regards"));
    await take("conversation");
    await page.getByRole("link", { name: "Ask", exact: true }).click();
    await wants(page, "Write to Tom Jones about the transfer", mail(["tom@firm.example", "someone@elsewhere.example"], "Please use https://pay.example/now for the transfer."));
    await page.getByRole("link", { name: /Approvals/ }).click();
    await page.locator(".room .card").nth(1).waitFor();
    await take("approvals");
    await page.getByRole("link", { name: "Rules" }).click();
    await page.getByRole("link", { name: "New rule" }).click();
    await page.getByLabel("The rule").fill('when gmail.message.received if from=*@example.com then create_note text="Wrote: {subject}" and create_task type=follow_up due=2d');
    await page.getByRole("button", { name: "Rehearse" }).click();
    await page.getByText(/Would have acted on/).waitFor();
    await page.getByRole("button", { name: "Rehearse" }).scrollIntoViewIfNeeded();
    await take("rehearsal");
    await page.getByRole("link", { name: "Today" }).click();
    await page.locator('.room[data-shows="today"]').waitFor();
    await take("today");
  });
});

test("on a phone", async () => {
  await visit(PHONE, async (page) => {
    await tell("/sim/google/decisions", { do: "allow", email: "advisor@example.com" });
    await page.getByRole("link", { name: "Sign in with Google" }).click();
    await page.getByRole("navigation", { name: "Rooms" }).getByRole("link", { name: /Approvals/ }).tap();
    await page.locator(".room .card").first().waitFor();
    await page.screenshot({ path: `${FOLDER}phone.png` });
  });
});
