// What was changed in a text, word by word.

import { h } from "./dom.js";

/** Longer texts are shown one after the other. */
const LONGEST = 1500;

/** Nodes: what went struck out, what came underlined. */
export function difference(before, after) {
  const [old, fresh] = [words(before), words(after)];
  if (old.length > LONGEST || fresh.length > LONGEST) return [h("del", {}, before), h("ins", {}, after)];
  const same = table(old, fresh);
  const nodes = [];
  const add = (kind, text) => {
    const last = nodes.at(-1);
    if (last?.kind === kind) last.text += text;
    else nodes.push({ kind, text });
  };
  let [row, column] = [0, 0];
  while (row < old.length || column < fresh.length) {
    if (row < old.length && column < fresh.length && old[row] === fresh[column]) {
      add("same", old[row]);
      row += 1;
      column += 1;
    } else if (column < fresh.length && (row === old.length || same[row][column + 1] > same[row + 1][column])) {
      add("ins", fresh[column]);
      column += 1;
    } else {
      add("del", old[row]);
      row += 1;
    }
  }
  return nodes.map(({ kind, text }) => (kind === "same" ? text : h(kind, {}, text)));
}

const words = (text) => String(text ?? "").match(/\s+|[^\s]+/gu) ?? [];

/** The length of the longest common rest from each pair of places on. */
function table(old, fresh) {
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(fresh.length + 1));
  for (let row = old.length - 1; row >= 0; row -= 1) {
    for (let column = fresh.length - 1; column >= 0; column -= 1) {
      lengths[row][column] = old[row] === fresh[column] ? lengths[row + 1][column + 1] + 1 : Math.max(lengths[row + 1][column], lengths[row][column + 1]);
    }
  }
  return lengths;
}
