// Signs the demo advisor in, waits for the invented book, and prints what the clients are given: tokens of this
// advisor's and of another's, and the id of one of the first one's mails.
//
// BASE_URL is the server's PUBLIC_URL.

import assert from "node:assert/strict";

const { BASE_URL } = process.env;

async function advisor(email) {
  const signIn = { method: "POST", body: JSON.stringify({ email }), headers: { origin: BASE_URL } };
  const signedIn = await fetch(`${BASE_URL}/api/auth/demo`, signIn);
  assert.equal(signedIn.status, 200);
  const cookie = signedIn.headers.getSetCookie()[0].split(";")[0];
  return async (path, body) => {
    const headers = { cookie, origin: BASE_URL, "content-type": "application/json" };
    const options = body ? { method: "POST", body: JSON.stringify(body), headers } : { headers };
    const reply = await fetch(`${BASE_URL}${path}`, options);
    assert.ok(reply.ok, `${path}: ${await reply.clone().text()}`);
    return reply.json();
  };
}

async function token(call, scopes) {
  return (await call("/api/auth/tokens", { name: scopes.join(" "), scopes })).token;
}

const alex = await advisor("alex@morgan-advisory.example");
const sam = await advisor("sam@second-advisory.example");
for (let tries = 0; ; tries += 1) {
  const { items } = await alex("/api/tasks?limit=200");
  const filling = items.find(({ type }) => type === "fill_demo_book");
  if (filling?.state === "done") break;
  assert.ok(tries < 600 && filling?.state !== "failed", "the book is filled");
  await new Promise((resolve) => setTimeout(resolve, 200));
}
const { items } = await alex("/api/embeddings/search", { query: "annual review", kinds: ["email"] });
console.log(
  JSON.stringify({
    all: await token(alex, ["read", "write"]),
    reads: await token(alex, ["read"]),
    writes: await token(alex, ["write"]),
    other: await token(sam, ["read", "write"]),
    mail: items[0].source_id,
  }),
);
