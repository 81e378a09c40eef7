// Asking before something is done: small dialogs over the page, answered by a promise.

import { h } from "./dom.js";

/**
 * Asks for a line of text; null when it was called off. `act` is done with it before the dialog closes.
 * @param {string} title
 * @param {string} label
 * @param {string} value
 * @param {string} verb
 * @param {object} [props]
 * @param {(text: string) => unknown} [act]
 */
export const prompt = (title, label, value, verb, props = {}, act = undefined) => {
  const input = h("input", { type: "text", value, maxlength: "200", required: true, "aria-label": label, ...props });
  return dialog(title, input, verb, () => input.value.trim(), { act });
};

/**
 * True, or null when it was called off. `careful` puts the focus on calling it off.
 * @param {string} title
 * @param {string | Node} words
 * @param {string} verb
 */
export const confirm = (title, words, verb, { careful = false } = {}) =>
  dialog(title, typeof words === "string" ? h("p", {}, words) : words, verb, () => true, { careful });

/**
 * Shows `content` with two buttons; resolves to `result()` when `verb` was pressed, else to null. With `act`, that
 * is done with the result first, and when it fails the dialog says so and keeps what was typed.
 */
export function dialog(title, content, verb, result, { careful = false, act = undefined } = {}) {
  const cancel = h("button", { type: "submit", value: "", formnovalidate: true, class: "button second", autofocus: careful }, "Cancel");
  const yes = h("button", { type: "submit", value: "yes", class: careful ? "button danger" : "button" }, verb);
  const problem = h("p", { class: "note", "data-state": "failed", role: "alert", hidden: true });
  const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), content, problem, h("div", { class: "dialog-buttons" }, cancel, yes));
  const node = h("dialog", { class: "small-dialog", "aria-labelledby": "dialog-title" }, form);
  // Enter in the text field presses the first submit button, which is the one that calls it off.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT") {
      event.preventDefault();
      form.requestSubmit(yes);
    }
  });
  form.addEventListener("submit", async (event) => {
    if (!act || event.submitter !== yes) return;
    event.preventDefault();
    yes.disabled = true;
    problem.hidden = true;
    try {
      await act(result());
      node.close("yes");
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    yes.disabled = false;
  });
  document.body.append(node);
  node.showModal();
  return new Promise((resolve) => {
    node.addEventListener("close", () => {
      node.remove();
      resolve(node.returnValue === "yes" ? result() : null);
    });
  });
}
