// The rooms beside the conversation: what waits is decided, a rule is rehearsed and switched on, what was done is
// taken back, everything is stopped.
//
//   BASE_URL=http://localhost:8000 SIMULATOR=http://localhost:9000 node --test rooms.test.mjs
//
// Against `paraplanner serve` beside `paraplanner simulator`, whose model says what a story tells it to.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { DESKTOP, PATIENT, PHONE, accessible, question, visit } from "./harness.mjs";
import { ADVISOR, connected as signIn, fill, letter, mail, tell, until, wants } from "./providers.mjs";

before(fill);

test("what the assistant wants is edited, approved, rejected; a risky one never by one click", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await wants(page, "Schedule an appointment with Sara Smith", mail(["sara@example.com"], "Would Tuesday suit you?"));
    // In the conversation, and among the decisions.
    const inline = page.locator(".answer .card");
    await inline.getByText("sara@example.com", { exact: true }).waitFor();
    await accessible(page, "a decision in a conversation");
    await page.getByRole("link", { name: /Approvals/ }).click();
    const card = page.locator(".room .card", { hasText: "sara@example.com: Appointment" });
    await card.waitFor();
    await accessible(page, "the approvals");

    await card.focus();
    await page.keyboard.press("e");
    const text = card.getByLabel("Text");
    await text.fill("Would Thursday suit you?");
    await card.locator("del", { hasText: "Tuesday" }).waitFor();
    await card.locator("ins", { hasText: "Thursday" }).waitFor();
    await accessible(page, "a decision that is edited");
    // Nothing that was typed is lost by looking elsewhere.
    await page.getByRole("link", { name: "People" }).click();
    await page.getByLabel("Find somebody").waitFor();
    await page.getByRole("link", { name: /Approvals/ }).click();
    assert.equal(await text.inputValue(), "Would Thursday suit you?");
    await card.getByRole("button", { name: "Approve as changed" }).click();
    await page.locator(".room .card", { hasText: "Thursday" }).getByText("Approved").waitFor();
    const [sent] = await until(() => tell(`/sim/google/${ADVISOR}/sent`), (all) => all.length > 0);
    assert.match(sent.text, /Thursday/);

    await page.getByRole("link", { name: "Ask", exact: true }).click();
    await wants(page, "Write to Tom Jones", mail(["tom@firm.example", "eve@elsewhere.example"], "See https://pay.example"));
    await page.getByRole("link", { name: /Approvals/ }).click();
    const risky = page.locator(".room .card", { hasText: "eve@elsewhere.example" });
    await risky.getByText("None of your contacts is at elsewhere.example").waitFor();
    await risky.focus();
    await page.keyboard.press("a");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("eve@elsewhere.example", { exact: true }).waitFor();
    await accessible(page, "the question before something risky");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    await risky.getByText("Waits for you").waitFor();

    await risky.focus();
    await page.keyboard.press("r");
    await page.getByRole("dialog").getByLabel("Reason").fill("Leave Eve out");
    await page.getByRole("dialog").getByRole("button", { name: "Reject" }).click();
    await risky.getByText("Leave Eve out").waitFor();
    assert.equal((await tell(`/sim/google/${ADVISOR}/sent`)).length, 1);
  });
});

test("what one tab decides the other one knows", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await wants(page, "Note for Sara Smith: likes boats", { name: "create_note", arguments: { contact: "sara@example.com", text: "Likes boats." } });
    const other = await page.context().newPage();
    await other.goto("/#/approvals");
    await other.locator(".room .card", { hasText: "Likes boats." }).getByRole("button", { name: "Approve" }).click();
    await page.locator(".answer .card", { hasText: "Likes boats." }).getByText("Approved").waitFor();
  });
});

test("a rule is written, corrected, rehearsed, switched on and off", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await letter("Max <max@unknown.example>", "Retirement", "Can you help me?");
    await page.getByRole("link", { name: "Rules" }).click();
    await page.getByRole("link", { name: "New rule" }).click();
    const box = page.getByLabel("The rule");
    await box.fill('when gmail.message.received if sender_in_crm=no then create_contact note="Wrote about {subject}"');
    await page.getByRole("button", { name: "Rehearse" }).click();
    await page.getByText(/Would have acted on \d+ of \d+ event/).waitFor();
    await page.getByText("note Wrote about Retirement").waitFor();
    await accessible(page, "a rehearsal");
    await page.getByRole("button", { name: "Save and switch on" }).click();
    const on = page.getByRole("switch");
    await on.waitFor();
    assert.ok(await on.isChecked());
    await accessible(page, "the rules");
    await on.click();
    await page.getByText("Off · has not matched yet").waitFor();
  });
});

test("before a meeting there is a brief, whose citations open their sources", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await page.getByRole("link", { name: "Rules" }).click();
    await page.getByRole("link", { name: "New rule" }).click();
    await page.getByLabel("The rule").fill("when calendar.event.created if attendee_in_crm=yes then create_task type=meeting_brief");
    await page.getByRole("button", { name: "Save and switch on" }).click();
    await page.getByRole("switch").first().waitFor();
    await tell("/sim/model/turns", { when: "Annual review", text: 'It is the annual review [1: "Annual review"].' });
    const start = Date.now() + 3_600_000;
    const [from, to] = [start, start + 3_600_000].map((time) => ({ dateTime: new Date(time).toISOString() }));
    const { id } = await tell(`/sim/google/${ADVISOR}/events`, { event: { summary: "Annual review", start: from, end: to, attendees: [{ email: "sara@example.com" }] } });
    await letter("Sara Smith <sara@example.com>", "Soon", "See you soon.");
    const brief = page.getByText("The brief");
    await until(async () => {
      await page.getByRole("link", { name: "Rules" }).click();
      await page.getByRole("link", { name: "Today" }).click();
      await page.getByRole("region", { name: "Next meetings" }).getByRole("button", { name: "Annual review" }).waitFor();
      return brief.isVisible();
    }, (is) => is);
    await brief.click();
    await accessible(page, "a brief");
    await page.getByRole("region", { name: "Next meetings" }).getByRole("button", { name: "1", exact: true }).click();
    await page.getByRole("dialog").locator("mark").first().waitFor();
    await fetch(`${process.env.SIMULATOR}/sim/google/${ADVISOR}/events/${id}`, { method: "DELETE" });
  });
});

test("what was done is looked at, verified and taken back", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    const start = new Date(Date.now() + 5 * 86_400_000).toISOString();
    await wants(page, "Book Review with Sara Smith", { name: "create_event", arguments: { title: "Review", start, attendees: ["sara@example.com"] } });
    await page.locator(".answer .card").getByRole("button", { name: "Approve" }).click();
    await until(() => tell(`/sim/google/${ADVISOR}/events`), (events) => events.some(({ status }) => status !== "cancelled"));
    await page.getByRole("link", { name: "Activity" }).click();
    await page.getByText(/Chain verified: \d+ entr/).waitFor();
    const entry = page.locator(".entry", { hasText: "New appointment: Review" });
    await entry.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Take it back" }).click();
    await page.locator(".entry", { hasText: "Taken back: new appointment" }).first().waitFor(PATIENT);
    await accessible(page, "the activity");
    const events = await tell(`/sim/google/${ADVISOR}/events`);
    assert.ok(events.every(({ status }) => status === "cancelled"), JSON.stringify(events));
    await page.getByRole("link", { name: "What came in" }).click();
    await page.locator(".room").getByText(/Nothing came in yet|Gmail|Calendar|Hubspot/).first().waitFor();
  });
});

test("somebody is found, with what there was with them", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await letter("Sara Smith <sara@example.com>", "The houseboat", "We want to sell the houseboat.");
    await page.getByRole("link", { name: "People" }).click();
    await page.getByLabel("Find somebody").fill("sarah smit");
    await page.getByRole("link", { name: /Sara Smith/ }).click();
    await page.getByRole("heading", { name: "Sara Smith" }).waitFor();
    await accessible(page, "a person");
    await page.getByRole("button", { name: /The houseboat/ }).click();
    await page.getByRole("dialog").getByText("We want to sell the houseboat.").waitFor();
  });
});

test("settings are kept, a token is shown once, and everything can be stopped", async () => {
  await visit(DESKTOP, async (page) => {
    await signIn(page);
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByLabel("Time zone").fill("Europe/Berlin");
    await page.getByLabel("Time zone").blur();
    await page.getByText("Saved.").first().waitFor();
    await accessible(page, "the settings");

    await page.getByRole("button", { name: "Make a token" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill("my script");
    await page.getByRole("dialog").getByRole("button", { name: "Make it" }).click();
    assert.match(await page.getByLabel("The new token").inputValue(), /.{40}/);
    await page.reload();
    await page.getByText("my script").waitFor();
    assert.equal(await page.getByLabel("The new token").count(), 0);
    assert.equal(await page.getByLabel("Time zone").inputValue(), "Europe/Berlin");

    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export everything" }).click()]);
    assert.match(download.suggestedFilename(), /^paraplanner-.*\.zip$/);
    assert.ok(await download.path(), "it came to its end");

    await page.getByRole("button", { name: "Stop everything" }).click();
    await page.getByText("Everything is stopped: nothing goes out.").waitFor();
    await page.getByRole("link", { name: "Today" }).click();
    await page.getByRole("heading", { name: "Waits for you" }).waitFor();
    await page.getByText("Everything is stopped: nothing goes out.").waitFor();
    await accessible(page, "today, stopped");
    await page.getByRole("link", { name: "Settings", exact: true }).click();
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Go on" }).click();
    await page.getByText("Everything is stopped: nothing goes out.").waitFor({ state: "hidden" });
  });
});

test("whoever leaves leaves nothing, and not by one click", async () => {
  await visit(DESKTOP, async (page) => {
    await tell("/sim/google/decisions", { do: "allow", email: "second@example.com" });
    await page.getByRole("link", { name: "Sign in with Google" }).click();
    await question(page).waitFor();
    await page.getByRole("link", { name: "Settings" }).click();
    const ask = async (typed) => {
      await page.getByRole("button", { name: "Delete everything…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Go on" }).click();
      await page.getByRole("dialog").getByRole("textbox").fill(typed);
      await page.getByRole("dialog").getByRole("button", { name: "Delete for ever" }).click();
    };
    await ask("somebody@example.com");
    await page.getByText("That isn't your address, so nothing was deleted.").waitFor();
    await ask("second@example.com");
    await page.getByText("Everything was deleted.").waitFor();
    await accessible(page, "the door after a deletion");
  });
});

test("a phone shows all rooms", async () => {
  await visit(PHONE, async (page) => {
    // On a phone the connections are folded away.
    await signIn(page, false);
    for (const room of ["Today", "Approvals", "Rules", "People", "Activity", "Settings"]) {
      await page.getByRole("navigation", { name: "Rooms" }).getByRole("link", { name: room }).tap();
      await page.locator(`.room[data-shows="${room.toLowerCase()}"]`).waitFor();
      const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide <= seen, `${room} fits: ${wide} of ${seen}`);
      await accessible(page, `${room} on a phone`);
    }
  });
});
