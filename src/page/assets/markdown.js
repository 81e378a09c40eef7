// The little Markdown that an answer may use: paragraphs, headings, lists, quotes, code, bold, italic.
//
// The words come from a model that may have been fooled by a mail, so nothing in them can load,
// link or run: an image or link is shown as its text and address. `[1]` becomes what `cite.node(1)`
// makes when `cite.knows(1)`, and stays text while it doesn't.
//
// Blocks that haven't changed keep their nodes: an answer that is still arriving can be clicked.

import { h } from "./dom.js";

const drawn = new WeakMap();

/** Makes `container` show `text`. */
export function render(container, text, cite) {
  const before = drawn.get(container) ?? [];
  const after = blocksOf(text).map((block, position) => {
    const cited = new Set([...block.source.matchAll(CITATION)].map(([, digits]) => digits));
    const known = [...cited].filter((digits) => cite.knows(Number(digits))).join();
    const key = `${block.type}|${known}|${block.source}`;
    const same = before[position];
    return same?.key === key ? same : { key, node: block.build((line) => inline(line, cite)) };
  });
  for (const [position, block] of after.entries()) {
    const standing = container.childNodes[position];
    if (standing === block.node) continue;
    if (standing) standing.replaceWith(block.node);
    else container.append(block.node);
  }
  while (container.childNodes.length > after.length) container.lastChild.remove();
  drawn.set(container, after);
}

const CITATION = /\[(\d{1,3})\](?!\()/g;
const FENCE = /^\s*```/;
const HEADING = /^\s{0,3}#{1,6}\s+/;
const QUOTE = /^\s{0,3}>\s?/;
const BULLET = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+/;

function blocksOf(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  /** @type {{ type: string, source: string, build: (draw: (line: string) => unknown[]) => Node }[]} */
  const blocks = [];
  let at = 0;
  const takeWhile = (test) => {
    const from = at;
    while (at < lines.length && test(lines[at])) at += 1;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    if (lines[at].trim() === "") {
      at += 1;
    } else if (FENCE.test(lines[at])) {
      at += 1;
      const code = takeWhile((line) => !FENCE.test(line)).join("\n");
      at += 1;
      blocks.push({ type: "code", source: code, build: () => h("pre", { tabindex: "0" }, h("code", {}, code)) });
    } else if (HEADING.test(lines[at])) {
      const title = lines[at].replace(HEADING, "").replace(/\s+#+\s*$/, "");
      at += 1;
      blocks.push({ type: "heading", source: title, build: (draw) => h("h2", {}, draw(title)) });
    } else if (QUOTE.test(lines[at])) {
      const quoted = takeWhile((line) => QUOTE.test(line)).map((line) => line.replace(QUOTE, ""));
      const source = quoted.join("\n");
      blocks.push({ type: "quote", source, build: (draw) => h("blockquote", {}, h("p", {}, withBreaks(quoted, draw))) });
    } else if (BULLET.test(lines[at])) {
      const items = takeWhile((line) => BULLET.test(line) || /^\s+\S/.test(line));
      blocks.push({ type: "list", source: items.join("\n"), build: (draw) => list(items, draw) });
    } else {
      const plain = takeWhile((line) => line.trim() !== "" && ![FENCE, HEADING, QUOTE, BULLET].some((start) => start.test(line)));
      blocks.push({ type: "text", source: plain.join("\n"), build: (draw) => h("p", {}, withBreaks(plain, draw)) });
    }
  }
  return blocks;
}

function withBreaks(lines, draw) {
  return lines.flatMap((line, position) => (position === 0 ? draw(line) : [h("br"), ...draw(line)]));
}

/** A list of any depth: an item further in than the one before opens a list inside of it. */
function list(lines, draw) {
  /** @type {{ node: Element, depth: number, item?: Element }[]} */
  const open = [];
  for (const line of lines) {
    const [marker, indent, number] = line.match(BULLET) ?? ["", null];
    if (indent === null) {
      open.at(-1).item.append(h("br"), ...draw(line.trim()));
      continue;
    }
    while (open.length > 1 && indent.length < open.at(-1).depth) open.pop();
    if (open.length === 0 || indent.length > open.at(-1).depth + 1) {
      const node = number ? h("ol", { start: number === "1" ? null : number }) : h("ul");
      open.at(-1)?.item.append(node);
      open.push({ node, depth: indent.length });
    }
    const item = h("li", {}, draw(line.slice(marker.length)));
    open.at(-1).node.append(item);
    open.at(-1).item = item;
  }
  return open[0].node;
}

// Code first, since nothing inside it counts; then links and citations, then emphasis.
const INLINE = new RegExp(
  [
    "(?<code>`[^`]+`)",
    "!?\\[(?<label>[^\\]]*)\\]\\((?<target>[^)\\s]*)[^)]*\\)",
    "\\[(?<number>\\d{1,3})\\]",
    "\\*\\*(?<bold>(?=\\S).+?)\\*\\*",
    "(?<![\\w*])\\*(?<star>(?=[^\\s*])[^*]+?)\\*(?![\\w*])",
    "(?<!\\w)_(?<score>(?=\\S)[^_]+?)_(?!\\w)",
  ].join("|"),
  "gu",
);

function inline(text, cite) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const { code, label, target, number, bold, star, score } = match.groups;
    nodes.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (code) nodes.push(h("code", {}, code.slice(1, -1)));
    else if (target !== undefined) nodes.push(label && label !== target ? `${label} (${target})` : target);
    else if (number) nodes.push(cite.knows(Number(number)) ? cite.node(Number(number)) : match[0]);
    else if (bold) nodes.push(h("strong", {}, inline(bold, cite)));
    else nodes.push(h("em", {}, inline(star ?? score, cite)));
  }
  nodes.push(text.slice(from));
  return nodes.filter((node) => node !== "");
}
