// Building the page's nodes.
//
// The page lives under a policy that forbids markup from strings (Trusted Types without a policy),
// so every node is made here, by hand, and whatever came from a mail or a model is only ever text.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("p", { class: "note", onclick: go }, "text", child)`. Nullish children are left out. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const ICONS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  close: "M6 6l12 12M18 6 6 18",
  clip: "M20 11.5 12.2 19a5 5 0 0 1-7-7l8-7.8a3.3 3.3 0 0 1 4.7 4.7l-8 7.8a1.7 1.7 0 0 1-2.4-2.4l7.3-7",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  retry: "M20 5v5h-5M19.5 10A8 8 0 1 0 20 14",
  pencil: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  email: "M3 6h18v12H3zM3 7l9 7 9-7",
  contact: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.5-6 8-6s8 2 8 6",
  event: "M4 6h16v14H4zM4 10h16M8 3v5M16 3v5",
  document: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  note: "M5 4h14v11l-5 5H5zM14 20v-5h5M8 9h8M8 13h4",
  deal: "M4 12l8-8h8v8l-8 8zM15.5 8.5h.01",
  down: "M12 5v14M6 13l6 6 6-6",
  ask: "M4 5h16v11H9l-5 4zM8 9.5h8M8 12.5h5",
  today: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2",
  approvals: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8 12.2l2.8 2.8L16 9.5",
  rules: "M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4h4V5zM7 15v4h4v-4z",
  activity: "M3 12h4l3-8 4 16 3-8h4",
  settings: "M12 15.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM12 2.8v3M12 18.2v3M21.2 12h-3M5.8 12h-3M18.5 5.5l-2.1 2.1M7.6 16.4l-2.1 2.1M18.5 18.5l-2.1-2.1M7.6 7.6 5.5 5.5",
  warning: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.2v.3",
};

/** A line drawing that assistive technology doesn't see: the control around it has the words. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name] ?? ICONS.document);
  svg.append(path);
  return svg;
}

/** A button with an icon alone, named for those who don't see it. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/** A copy of what the template `id` holds, with a finder for its parts by `data-part`. */
export function fromTemplate(id) {
  const { content } = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  const fragment = document.importNode(content, true);
  const parts = {};
  for (const node of fragment.querySelectorAll("[data-part]")) parts[node.getAttribute("data-part")] = node;
  return { fragment, parts };
}

const numbers = new Intl.NumberFormat("en");
const dates = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const moments = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "short" });

export const count = (number, one, many = `${one}s`) => `${numbers.format(number)} ${number === 1 ? one : many}`;

export const day = (time) => (isTime(time) ? dates.format(new Date(time)) : "");

export const moment = (time) => (isTime(time) ? moments.format(new Date(time)) : "");

export function bytes(size) {
  if (size < 1000) return count(size, "byte");
  const [amount, unit] = size < 1e6 ? [size / 1e3, "kB"] : size < 1e9 ? [size / 1e6, "MB"] : [size / 1e9, "GB"];
  return `${amount.toFixed(amount < 10 ? 1 : 0)} ${unit}`;
}

const isTime = (time) => Boolean(time) && !Number.isNaN(new Date(time).getTime());

/** Says `text` to a screen reader when it has a moment. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
