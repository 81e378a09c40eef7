// A frontend on an origin of its own, in plain JavaScript: signing in, an answer as it streams, what changes by
// itself, and approvals. Serve this folder at FRONTEND_URL; see docs/frontend.md.

const API = new URLSearchParams(location.search).get("api") ?? "http://localhost:8000";
const at = (id) => document.getElementById(id);

/** Every call carries the session; what isn't a success is a problem in words. */
async function api(path, { json, ...options } = {}) {
  const body = json && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(json) };
  const response = await fetch(API + path, { credentials: "include", ...body, ...options });
  if (response.ok) return response;
  const { title, detail } = await response.json();
  throw Object.assign(new Error([title, detail].filter(Boolean).join(": ")), { status: response.status });
}

const get = async (path) => (await api(path)).json();

/** Whatever comes from outside is text. */
function element(tag, text, ...children) {
  const node = document.createElement(tag);
  node.append(text, ...children);
  return node;
}

// Signing in: leave for Google and come back to `return_to`, or, in the demo, one call.

async function enter() {
  const options = await get("/api/auth/options");
  at("door").hidden = options.signed_in;
  at("desk").hidden = !options.signed_in;
  at("google").hidden = !options.google;
  at("google").href = `${API}/api/auth/google/start?return_to=${encodeURIComponent(location.pathname + location.search)}`;
  at("demo").hidden = !options.demo;
  at("who").textContent = options.signed_in ? `Signed in as ${(await get("/api/auth/me")).email}` : "Please sign in.";
  if (options.signed_in) listen();
}

at("demo").addEventListener("click", async () => {
  await api("/api/auth/demo", { method: "POST" });
  await enter();
});

// An answer: server-sent events, each a part. With AI SDK's `useChat` all of this is done already.

async function* parts(response) {
  let pending = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (pending + piece).split("\n\n");
    pending = events.pop();
    for (const event of events) {
      if (event.startsWith("data: {")) yield JSON.parse(event.slice("data: ".length));
    }
  }
}

let conversation = null;

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const box = event.target.elements.question;
  const message = box.value;
  box.value = "";
  const text = element("p", "");
  const sources = element("ol", "");
  at("answer").replaceChildren(element("h2", message), text, sources);
  try {
    for await (const part of parts(await api("/api/chat/stream", { json: { message, conversation_id: conversation } }))) {
      if (part.type === "start") conversation = part.messageMetadata.conversation_id;
      if (part.type === "text-delta") text.append(part.delta);
      if (part.type === "data-citation") sources.append(element("li", `${part.data.title}: “${part.data.quote}”`));
      if (part.type === "error") text.append(` (${part.errorText})`);
    }
  } catch (problem) {
    text.append(problem.message);
    // Nothing that was typed is lost.
    box.value ||= message;
  }
});

// What changes by itself: a hint, upon which one asks again; at most every two seconds.

function listen() {
  let due = null;
  const look = () => {
    due ??= setTimeout(() => {
      due = null;
      showApprovals();
    }, 2000);
  };
  const events = new EventSource(`${API}/api/events`, { withCredentials: true });
  events.addEventListener("approval", look);
  events.addEventListener("open", look);
  showApprovals();
}

// Approvals: everything that is shown is what will be done, and the digest says which one was looked at.

async function showApprovals() {
  const { items } = await get("/api/approvals?state=pending");
  at("approvals").replaceChildren(...(items.length > 0 ? items.map(card) : [element("li", "Nothing.")]));
}

function card({ id, digest, preview, reason, risk }) {
  const decide = (words, json) => {
    const button = element("button", words);
    button.addEventListener("click", async () => {
      const known = risk.map(({ text }) => text).join("\n");
      if (words === "Approve" && known && !confirm(`${known}\n\nDo it all the same?`)) return;
      try {
        await api(`/api/approvals/${id}/${words.toLowerCase()}`, { json });
      } catch (problem) {
        // 409: decided elsewhere, or no longer what was shown. Look again.
        if (problem.status !== 409) throw problem;
      }
      await showApprovals();
    });
    return button;
  };
  const recipients = preview.recipients.map(({ address, ascii }) => element("li", address === ascii ? address : `${address}, written ${ascii}`));
  const fields = preview.fields.flatMap(({ label, value }) => [element("dt", label), element("dd", value)]);
  return element(
    "li",
    "",
    element("h3", preview.summary),
    element("ul", "", ...recipients),
    element("dl", "", ...fields),
    element("p", `Why: ${reason}`),
    element("ul", "", ...risk.map(({ text }) => element("li", text))),
    decide("Approve", { expected_digest: digest }),
    " ",
    decide("Reject", { reason: null }),
  );
}

await enter();
