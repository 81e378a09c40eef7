// When the session ends, and what the tabs of a browser tell one another about who is signed in.
//
// An ended session takes nothing away: one signs in again over the page as it stands, here or in another tab, and
// what was typed is still there. Signing out is different: it empties every tab.

import { glance, post } from "./api.js";
import { h } from "./dom.js";
import { hush, listen } from "./events.js";

const tabs = new BroadcastChannel("paraplanner.session");
/** What is under way, so that many refusals ask once. */
let returning = null;

/** Tells the other tabs who is signed in, or that nobody is. */
export const tellTabs = (id) => tabs.postMessage({ id });

/** `heard(id)` when another tab has signed in as this user, or out (null). */
export const whenTabsTell = (heard) => tabs.addEventListener("message", ({ data }) => heard(data.id));

/**
 * Asks whoever is at the page to sign in again. Resolves to true when the same user is back, to false when they
 * would rather leave.
 */
export function signInAgain(me, options) {
  returning ??= ask(me, options).finally(() => {
    returning = null;
  });
  return returning;
}

function ask(me, options) {
  hush();
  return new Promise((resolve) => {
    const over = new AbortController();
    const problem = h("p", { class: "note", "data-state": "failed", role: "alert", hidden: true });
    const end = (back) => {
      over.abort();
      node.remove();
      if (back) listen();
      resolve(back);
    };
    const look = async () => {
      const known = await glance("/api/auth/options");
      if (!known?.signed_in || over.signal.aborted) return;
      const now = await glance("/api/auth/me");
      if (!now || over.signal.aborted) return;
      // Somebody else's page would be shown to whoever it is now.
      if (now.id === me.id) end(true);
      else location.reload();
    };
    const here = async (event) => {
      event.currentTarget.disabled = true;
      try {
        await post(options.demo ? "/api/auth/demo" : "/api/auth/local");
        await look();
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
      }
      if (node.isConnected) event.target.disabled = false;
    };
    const google = options.google ? h("a", { class: "button", href: "/api/auth/google/start?return_to=/", target: "_blank", rel: "noopener" }, "Sign in with Google") : null;
    const local = options.demo || options.local ? h("button", { type: "button", class: google ? "button second" : "button", onclick: here }, "Continue as the demo advisor") : null;
    const words = ["Sign in again to go on. What you have typed is still here.", google ? " Google opens in another tab; come back here afterwards." : ""];
    const leave = h("button", { type: "button", class: "button second", onclick: () => end(false) }, "Leave");
    const form = h("form", { method: "dialog" }, h("h2", { id: "session-title" }, "Your session has ended"), h("p", {}, words), problem, h("div", { class: "dialog-buttons" }, leave, local, google));
    const node = h("dialog", { class: "small-dialog", "aria-labelledby": "session-title" }, form);
    node.addEventListener("cancel", (event) => event.preventDefault());
    tabs.addEventListener("message", ({ data }) => (data.id === null ? end(false) : look()), { signal: over.signal });
    addEventListener("focus", look, { signal: over.signal });
    document.addEventListener("visibilitychange", look, { signal: over.signal });
    document.body.append(node);
    node.showModal();
  });
}
