// Asking before something is done: small dialogs over the page, answered by a promise.

import { h } from "./dom.js";

/** Asks for a line of text; null when it was called off. */
export const prompt = (title, label, value, verb, props = {}) => {
  const input = h("input", { type: "text", value, maxlength: "200", required: true, "aria-label": label, ...props });
  return dialog(title, input, verb, () => input.value.trim());
};

/** True, or null when it was called off. `careful` puts the focus on calling it off. */
export const confirm = (title, words, verb, { careful = false } = {}) =>
  dialog(title, typeof words === "string" ? h("p", {}, words) : words, verb, () => true, careful);

/** Shows `content` with two buttons; resolves to `result()` when `verb` was pressed, else to null. */
export function dialog(title, content, verb, result, careful = false) {
  const cancel = h("button", { type: "submit", value: "", formnovalidate: true, class: "button second", autofocus: careful }, "Cancel");
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "dialog-title" }, title),
    content,
    h("div", { class: "dialog-buttons" }, cancel, h("button", { type: "submit", value: "yes", class: careful ? "button danger" : "button" }, verb)),
  );
  const node = h("dialog", { class: "small-dialog", "aria-labelledby": "dialog-title" }, form);
  // Enter in the text field presses the first submit button, which is the one that calls it off.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT") {
      event.preventDefault();
      if (form.reportValidity()) node.close("yes");
    }
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
