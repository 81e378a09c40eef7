// Paraplanner's page: who is there, which view is shown, and the wires between the parts.
//
// The address' fragment says what is open: `#/`, `#/conversations/<id>`, `#/sources/<kind>/<id>`, or one of
// the rooms, `#/rules/<id>?…`. The parts (conversation, imports, source panel, search, rooms) don't know one
// another; they meet here.

import { call, get, glance, post, whenSignedOut, whenTroubled } from "./api.js";
import { Connections, connectUrl } from "./connections.js";
import { Conversation } from "./conversation.js";
import { confirm, prompt } from "./dialog.js";
import { announce, count, day, fromTemplate, h, icon, iconButton } from "./dom.js";
import { hush, listen, Shared, whenChanged } from "./events.js";
import { ACCEPTED, acceptDrops, documentsOf, Imports } from "./imports.js";
import { Rooms } from "./rooms.js";
import { search } from "./search.js";
import { signInAgain, tellTabs, whenTabsTell } from "./session.js";
import { SourcePanel } from "./source.js";
import { due } from "./today.js";

const EXAMPLES = [
  "Who wants to retire earlier than planned?",
  "Which clients have a child going to college?",
  "Who mentioned that their kid plays baseball?",
  "Who is worried about the markets, and why?",
];

/** What `?error=` says after a sign-in that went wrong, see the contract of the callback. */
const SIGN_IN_ERRORS = {
  access_denied: "Access was not allowed. Try again to allow it.",
  scope_missing: "A permission that is needed was left out. Try again and leave all boxes ticked.",
  state_expired: "That sign-in took too long. Please start again.",
  account_in_use: "That account belongs to another user here.",
  provider_unavailable: "The provider can't be reached at the moment. Please try again later.",
};

const page = document.getElementById("page");
/** What is typed into the box and not asked yet, over a reload. */
const QUESTION = "question";
/** Ends what the workspace has going on; null at the door. */
let leave = null;
/** Who is at the page; null at the door. */
let here = null;

// The fragment is the page's own address, so the skip link may not change it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

whenSignedOut(async () => {
  if (!here) return false;
  const { me, options } = here;
  if (await signInAgain(me, options)) return true;
  if (leave) signOut("Your session has ended. Please sign in again.");
  return false;
});

whenTroubled((words) => {
  const line = document.getElementById("trouble");
  line.textContent = words;
  line.hidden = words === "";
});

whenTabsTell((id) => {
  if (!here && id !== null) start();
  else if (here && id === null) signOut("You have signed out in another tab.");
  // Nothing may be done in the name of somebody else.
  else if (here && here.me.id !== id) location.reload();
});

/** Leaves nothing of the user's behind in this tab. */
function signOut(words = "") {
  leave?.();
  sessionStorage.clear();
  history.replaceState(null, "", "#/");
  showDoor(words);
}

async function start() {
  const code = new URLSearchParams(location.search).get("error");
  if (code) history.replaceState(null, "", location.pathname + location.hash);
  const message = code ? SIGN_IN_ERRORS[code] ?? "The sign-in didn't work. Please try again." : "";
  const options = await get("/api/auth/options");
  // Not asking when the answer is known keeps a 401 out of the browser's console.
  if (!options.signed_in) return showDoor(message, options);
  const me = await glance("/api/auth/me");
  return me ? showWorkspace(me, options, message) : showDoor(message, options);
}

async function showDoor(message = "", known = null) {
  const options = known ?? (await get("/api/auth/options"));
  const { fragment, parts } = fromTemplate("door");
  const say = (words) => {
    parts.message.textContent = words;
    parts.message.hidden = words === "";
  };
  /** @param {"/api/auth/demo" | "/api/auth/local"} path */
  const advisor = async (path) => {
    try {
      await showWorkspace(await post(path), options);
      document.getElementById("question").focus();
    } catch (problem) {
      say(problem.message);
    }
  };
  if (options.google) parts.buttons.append(h("a", { class: "button", href: "/api/auth/google/start?return_to=/" }, "Sign in with Google"));
  if (options.demo || options.local) {
    const path = options.demo ? "/api/auth/demo" : "/api/auth/local";
    const style = options.google ? "button second" : "button";
    parts.buttons.append(h("button", { type: "button", class: style, onclick: () => advisor(path) }, "Continue as the demo advisor"));
  }
  if (options.local && !options.google) {
    const words = ["To try signing in with Google and connecting HubSpot without an account anywhere, start ", h("code", {}, "paraplanner demo"), "."];
    parts.buttons.after(h("p", { class: "quiet" }, words));
  }
  if (parts.buttons.childElementCount === 0) say(message || "No way to sign in is set up on this server.");
  else say(message);
  page.replaceChildren(fragment);
}

async function showWorkspace(me, options, message = "") {
  const { fragment, parts } = fromTemplate("workspace");
  const leaving = new AbortController();
  let mode = "ask";
  /** The ingest status of the files; undefined until the server has told. */
  let documents;
  let listed = [];
  let next = null;
  here = { me, options };
  tellTabs(me.id);

  const status = new Shared("/api/ingest/status", ["ingest", "task"]);
  const pending = new Shared("/api/approvals?state=pending&limit=50", ["approval"]);
  const kept = new Shared("/api/settings", ["activity"]);

  const panel = new SourcePanel(parts.source, () => {
    if (location.hash.startsWith("#/sources/")) history.replaceState(null, "", conversation.id ? `#/conversations/${conversation.id}` : "#/");
  });
  const conversation = new Conversation(parts.log, parts.scroller, {
    cite: (citation, button) => panel.open(citation, button),
    began: (id) => {
      history.replaceState(null, "", `#/conversations/${id}`);
      sessionStorage.removeItem(QUESTION);
      refreshList();
    },
    refused: (asked) => sessionStorage.setItem(QUESTION, asked),
    ended: () => refreshList(),
    running: (running) => drawSend(running),
    mode: (answered) => (parts.badge.hidden = answered !== "extractive"),
  });
  const connections = new Connections(parts.connections, options, {
    status,
    confirm,
    say: (words) => say(words),
  });
  let decisions = { number: 0, words: "", said: "" };
  const rooms = new Rooms(parts.rooms, parts.room, {
    me,
    options,
    cite: (citation, button) => panel.open(citation, button),
    pending,
    kept,
    signedOut: (words) => {
      tellTabs(null);
      signOut(words);
    },
    connections: (signal) => {
      const host = h("div", { class: "connections" });
      const list = new Connections(host, options, { status, confirm, say: (words) => announce(words) });
      get("/api/auth/me", { signal }).then(({ connections: all }) => list.follow(all, signal)).catch(() => {});
      return host;
    },
  });
  const imports = new Imports(parts.imports, status);
  pending.follow((found) => {
    decisions = due(found);
    rooms.due(decisions);
    drawWelcome();
  });
  kept.follow(({ paused }) => (parts.banner.hidden = !paused));
  status.follow((found) => {
    const first = documents === undefined;
    const had = documents?.total ?? 0;
    documents = documentsOf(found);
    parts.book.textContent = documents?.total > 0 ? `${count(documents.total, "passage")} in your book` : "Nothing imported yet";
    if (first || had > 0 !== (documents?.total ?? 0) > 0) drawWelcome();
  });

  const add = (files) => {
    const done = imports.add(files);
    parts.scroller.scrollTop = 0;
    return done;
  };
  const choose = () => parts.files.click();

  function drawWelcome() {
    parts.welcome.hidden = documents === undefined || !conversation.empty || mode === "search";
    const filled = documents?.total > 0;
    const invented =
      options.demo || options.local
        ? h("button", { type: "button", class: "button second", onclick: () => imports.addBook() }, "Fill it with an invented book of clients")
        : null;
    const open = connections.open.map((provider) => h("a", { class: "button second", href: connectUrl(provider) }, provider === "google" ? "Connect Google" : "Connect HubSpot"));
    const connect = open.length > 0 ? h("div", { class: "drop-buttons" }, open) : null;
    const first = [
      h("h1", {}, "Start with your mail"),
      h(
        "div",
        { class: "drop" },
        h("p", { class: "drop-words" }, icon("down"), "Drop an mbox, or a folder of files, anywhere on this page."),
        h("div", { class: "drop-buttons" }, h("button", { type: "button", class: "button", onclick: choose }, "Choose files"), invented),
        connect,
        h("p", { class: "quiet" }, `Mail, contacts, meetings and documents: ${ACCEPTED.join(" ")}`),
      ),
      h("h2", {}, "Then ask"),
    ];
    const ready = [
      h("h1", {}, "What would you like to know?"),
      h("p", { class: "quiet" }, "Every number in an answer opens the passage that it rests on."),
      decisions.number > 0 ? h("p", { class: "note" }, `${decisions.said} for you. `, h("a", { href: "#/approvals" }, "Decide")) : null,
    ].filter(Boolean);
    const examples = EXAMPLES.map((question) => h("li", {}, h("button", { type: "button", class: "example", onclick: () => send(question) }, question)));
    parts.welcome.replaceChildren(...(filled ? ready : first), h("ul", { class: "examples" }, examples));
  }

  function drawHead(title = "") {
    parts.head.hidden = title === "";
    parts.title.textContent = title;
    document.title = title ? `${title} · Paraplanner` : "Paraplanner";
  }

  function drawSend(running) {
    const stops = running && mode === "ask";
    parts.send.replaceChildren(icon(stops ? "stop" : "send"));
    const words = stops ? "Stop" : mode === "ask" ? "Ask" : "Search";
    parts.send.setAttribute("aria-label", words);
    parts.send.title = words;
    parts.send.dataset.stops = stops;
  }

  function drawMode() {
    const asking = mode === "ask";
    parts.question.placeholder = asking ? "Ask about your clients" : "Search your book";
    parts.label.textContent = asking ? "Your question" : "What to search for";
    parts.log.hidden = !asking;
    parts.results.hidden = asking;
    parts.head.hidden = !asking || parts.title.textContent === "";
    drawSend(conversation.running);
    drawWelcome();
  }

  function setMode(wanted) {
    mode = wanted;
    parts.composer.elements.mode.value = wanted;
    drawMode();
  }

  async function send(words = parts.question.value.trim()) {
    say("");
    if (words === "") return parts.question.focus();
    if (mode === "search") {
      try {
        await search(words, parts.results, (citation, button) => panel.open(citation, button));
        if (parts.question.value.trim() === words) empty();
      } catch (problem) {
        say(problem.message);
      }
      return undefined;
    }
    empty();
    parts.welcome.hidden = true;
    imports.tidy();
    const asked = conversation.ask(words);
    parts.question.focus();
    return asked;
  }

  function empty() {
    parts.question.value = "";
    sessionStorage.removeItem(QUESTION);
    fit();
  }

  function say(words) {
    parts.problem.textContent = words;
    parts.problem.hidden = words === "";
  }

  /** Lets the box grow with its text where CSS alone can't. */
  function fit() {
    if (CSS.supports("field-sizing", "content")) return;
    parts.question.style.height = "auto";
    parts.question.style.height = `${parts.question.scrollHeight}px`;
  }

  function statusUnknown(problem) {
    documents = null;
    drawWelcome();
    say(problem.message);
  }

  /** What was said and decided meanwhile, while the conversation is on the screen. */
  async function refresh() {
    if (!parts.ask.hidden) await conversation.refresh(pending);
  }

  async function refreshList(cursor = null) {
    try {
      const found = await get(`/api/conversations?limit=30${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      listed = cursor ? [...listed, ...found.items] : found.items;
      next = found.next_cursor;
    } catch (problem) {
      return say(problem.message);
    }
    return drawList();
  }

  function drawList() {
    const items = listed.map(({ id, title, updated_at }) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: `#/conversations/${id}`, "aria-current": id === conversation.id ? "page" : null },
          h("span", { class: "conversation-title" }, title || "Untitled"),
          h("span", { class: "conversation-day" }, day(updated_at)),
        ),
      ),
    );
    parts.list.replaceChildren(...items);
    parts.more.hidden = !next;
    const current = listed.find(({ id }) => id === conversation.id);
    if (current) drawHead(current.title || "Untitled");
    if (mode === "search") parts.head.hidden = true;
  }

  async function rename() {
    const act = (title) => call("patch", `/api/conversations/${conversation.id}`, { json: { title } });
    if (await prompt("Rename this conversation", "Title", parts.title.textContent, "Rename", {}, act)) await refreshList();
  }

  async function remove() {
    if (!(await confirm("Delete this conversation?", "Your mail and other sources stay.", "Delete"))) return;
    try {
      await call("delete", `/api/conversations/${conversation.id}`);
      announce("Deleted.");
      location.hash = "#/";
      await refreshList();
    } catch (problem) {
      say(problem.message);
    }
  }

  /** Shows what the fragment names. */
  async function route() {
    const [path, query = ""] = location.hash.split("?");
    const [, what = "", first, second] = location.hash.split("/");
    const room = what.split("?")[0];
    say("");
    if (parts.side.matches(":popover-open")) parts.side.hidePopover();
    const inRoom = Rooms.has(room);
    parts.workspace.dataset.room = inRoom ? room : "ask";
    parts.ask.hidden = inRoom;
    parts.roomScroller.hidden = !inRoom;
    if (inRoom) {
      panel.close();
      return rooms.open(room, path.split("/").slice(2).map(decodeURIComponent), new URLSearchParams(query));
    }
    rooms.at("");
    if (room === "" && query) {
      parts.question.value = new URLSearchParams(query).get("ask") ?? "";
      history.replaceState(null, "", "#/");
      fit();
      parts.question.focus();
    }
    if (what === "sources" && first && second) {
      drawWelcome();
      const [id, query] = second.split("?");
      return panel.open({ kind: first, source_id: decodeURIComponent(id), quote: new URLSearchParams(query).get("quote") });
    }
    setMode("ask");
    document.title = "Paraplanner";
    if (what === "conversations" && first) {
      if (first === conversation.id) return refresh();
      panel.close();
      try {
        const stored = await conversation.load(decodeURIComponent(first));
        if (conversation.id === stored.id) drawHead(stored.title || "Untitled");
      } catch (problem) {
        conversation.clear();
        drawHead();
        say(problem.status === 404 ? "That conversation is no longer here." : problem.message);
      }
    } else {
      panel.close();
      conversation.clear();
      drawHead();
    }
    drawWelcome();
    return drawList();
  }

  leave = () => {
    leaving.abort();
    rooms.leave();
    conversation.stop();
    hush();
    leave = null;
    here = null;
  };

  parts.menu.append(icon("menu"));
  parts.fresh.prepend(icon("plus"));
  parts.attach.append(icon("clip"), h("span", {}, "Add files"));
  parts.name.textContent = me.name || me.email;
  parts.tools.append(iconButton("pencil", "Rename this conversation", rename), iconButton("bin", "Delete this conversation", remove));
  parts.files.accept = ACCEPTED.join(",");
  parts.files.addEventListener("change", () => {
    add([...parts.files.files]);
    parts.files.value = "";
  });
  parts.attach.addEventListener("click", choose);
  parts.more.addEventListener("click", () => refreshList(next));
  parts.logout.addEventListener("click", async () => {
    // First, so that what is still asked for isn't taken for a session that has ended.
    leave?.();
    await post("/api/auth/logout").catch(() => {});
    tellTabs(null);
    signOut();
  });
  parts.composer.addEventListener("submit", (event) => {
    event.preventDefault();
    if (conversation.running && mode === "ask") conversation.stop();
    else send();
  });
  parts.composer.addEventListener("change", ({ target }) => {
    if (target.name === "mode") setMode(target.value);
  });
  parts.question.addEventListener("input", () => {
    sessionStorage.setItem(QUESTION, parts.question.value);
    fit();
  });
  parts.question.addEventListener("keydown", (event) => {
    // While an input method composes, Enter picks a character.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!(conversation.running && mode === "ask")) send();
  });
  const narrow = matchMedia("(max-width: 860px)");
  const foldSide = () => (parts.side.popover = narrow.matches ? "auto" : null);
  foldSide();
  narrow.addEventListener("change", foldSide, { signal: leaving.signal });
  // A link to what the address names already changes nothing by itself, but the search may cover it.
  parts.workspace.addEventListener("click", ({ target }) => {
    const link = target.closest('a[href^="#/"]');
    if (link && link.hash === (location.hash || "#/")) route();
  });
  window.addEventListener("hashchange", route, { signal: leaving.signal });

  acceptDrops(parts.workspace, parts.veil, add);
  page.replaceChildren(fragment);
  drawMode();
  parts.question.value = sessionStorage.getItem(QUESTION) ?? "";
  fit();
  listen();
  connections.follow(me.connections, leaving.signal);
  await Promise.all([refreshList(), route(), status.look().catch(statusUnknown), pending.look().catch(() => {}), kept.look().catch(() => {})]);
  for (const shared of [status, pending, kept]) shared.start(leaving.signal);
  whenChanged(["task", "approval"], refresh, leaving.signal);
  if (message) say(message);
  imports.resume().catch((problem) => say(problem.message));
}

await start();
