// @ts-check
/**
 * Weights of a selection, changed by Ctrl + Up and Ctrl + Down as in A1111's web UI: `cat` becomes
 * `(cat:1.1)`, and at a weight of 1 the brackets go. Without a selection the bracket around the
 * caret is meant, or else the word there.
 *
 * Where A1111's editor does nothing or makes a text of another meaning, this one differs: a word
 * within `[a|b]` or `[a:b:0.5]` gets brackets of its own, a part of a bracket's content, too, a
 * bracket that is selected whole gets no second one, and a sign after a backslash is no bracket.
 */

/** Change of a weight by one key press; of a LoRA. */
const STEP = 0.1;
const LORA_STEP = 0.05;
/** Signs between words. */
const BETWEEN = new Set(".,\\/!?%^*;:{}=`~()[]|<> \t\r\n");
/** A weight and the end of its bracket. */
const ROUND_WEIGHT = /^:\s*([+-]?[\d.]+)\s*\)/;
const LORA_WEIGHT = /^:\s*([+-]?[\d.]+)\s*>/;
const NUMBER_AT_END = /:\s*[+-]?[\d.]+\s*$/;

/**
 * A change of a text.
 * @typedef {object} Edit
 * @property {number} from beginning of the part that is replaced
 * @property {number} to end of the part that is replaced
 * @property {string} insert the text in its place, never empty
 * @property {number} start the selection after the change
 * @property {number} end
 */

/** @typedef {[number, number]} Range */

/**
 * Changes the weight of a selection.
 * @param {string} text of the prompt
 * @param {number} start of the selection
 * @param {number} end of the selection
 * @param {boolean} up to a larger weight
 * @returns {Edit | null} null: there is nothing that could have another weight
 */
export function editAttention(text, start, end, up) {
  const [from, to] = start === end ? around(text, start) : selected(text, start, end);
  if (from === to) return null;
  const before = isBracket(text, from - 1) ? text[from - 1] : "";
  const after = text[to] ?? "";
  if (before === "<") return editLora(text, from, to, up);
  const weight = before === "(" ? ROUND_WEIGHT.exec(text.slice(to)) : null;
  if (weight) return weighted(text, [from - 1, to + weight[0].length], [from, to], weight[1], up);
  if ((before === "(" && after === ")") || (before === "[" && after === "]"))
    return editSigns(text, from, to, up);
  return weighted(text, [from, to], [from, to], "1", up);
}

/** Brackets that name no weight, such as `((x))` and `[x]`. */
function editSigns(
  /** @type {string} */ text,
  /** @type {number} */ from,
  /** @type {number} */ to,
  /** @type {boolean} */ up,
) {
  const [open, close] = [text[from - 1], text[to]];
  let depth = 0;
  while (isSign(text, from - depth - 1, open) && isSign(text, to + depth, close)) depth += 1;
  const exact = (open === "(" ? 1.1 : 1 / 1.1) ** depth;
  const weight = String(Math.round(exact / STEP) * STEP);
  return weighted(text, [from - depth, to + depth], [from, to], weight, up);
}

/** The weight of `<lora:name:0.8>`; without one it is 1. */
function editLora(
  /** @type {string} */ text,
  /** @type {number} */ from,
  /** @type {number} */ to,
  /** @type {boolean} */ up,
) {
  const found = LORA_WEIGHT.exec(text.slice(to));
  const tail = text.slice(to).indexOf(">");
  if (tail < 0 || !/^\w+:./.test(text.slice(from, to))) return null;
  const next = moved(found ? found[1] : "1", up ? LORA_STEP : -LORA_STEP);
  if (next === null || (!found && tail > 0)) return null;
  return replaced(text, [to, to + tail], `:${next}`, [from, to]);
}

/**
 * Gives the content of a bracket the next weight. At 1 the bracket goes.
 * @param {string} text
 * @param {Range} whole the bracket
 * @param {Range} inner its content
 * @param {string} weight
 * @param {boolean} up
 */
function weighted(text, whole, inner, weight, up) {
  const next = moved(weight, up ? STEP : -STEP);
  if (next === null) return null;
  const content = text.slice(...inner);
  const insert = Number(next) === 1 ? content : `(${content}:${next})`;
  const start = whole[0] + (Number(next) === 1 ? 0 : 1);
  return replaced(text, whole, insert, [start, start + content.length]);
}

/** A weight after a step, as A1111 writes it. @param {string} weight @param {number} step */
function moved(weight, step) {
  const next = Number.parseFloat((Number.parseFloat(weight) + step).toPrecision(12));
  if (!Number.isFinite(next)) return null;
  return Number.isInteger(next) ? `${next}.0` : String(next);
}

/**
 * @param {string} text
 * @param {Range} range
 * @param {string} insert
 * @param {Range} selection
 * @returns {Edit | null}
 */
function replaced(text, [from, to], insert, [start, end]) {
  return text.slice(from, to) === insert ? null : { from, to, insert, start, end };
}

/**
 * The content of the bracket around a caret, or the word there.
 * @param {string} text
 * @param {number} caret
 * @returns {Range}
 */
function around(text, caret) {
  for (const pair of ["<>", "()", "[]"]) {
    const block = blockAround(text, caret, pair[0], pair[1]);
    if (block) return block;
  }
  let [from, to] = [caret, caret];
  while (from > 0 && !BETWEEN.has(text[from - 1])) from -= 1;
  while (to < text.length && !BETWEEN.has(text[to])) to += 1;
  return [from, to];
}

/**
 * @param {string} text
 * @param {number} caret
 * @param {string} open
 * @param {string} close
 * @returns {Range | null}
 */
function blockAround(text, caret, open, close) {
  let from = caret - 1;
  while (from >= 0 && !isSign(text, from, open)) {
    if (isSign(text, from, close)) return null;
    from -= 1;
  }
  let to = caret;
  while (to < text.length && !isSign(text, to, close)) {
    if (isSign(text, to, open)) return null;
    to += 1;
  }
  if (from < 0 || to === text.length) return null;
  const content = text.slice(from + 1, to);
  if (open === "<" && !/^\w+:/.test(content)) return null;
  // A schedule is not weakened: its brackets have another meaning.
  if (open === "[" && (content.includes("|") || NUMBER_AT_END.test(content))) return null;
  const weight = NUMBER_AT_END.exec(content)?.[0].length ?? 0;
  return [from + 1, to - weight];
}

/** A selection without white space at its ends; the content of a bracket that is selected whole. */
function selected(
  /** @type {string} */ text,
  /** @type {number} */ start,
  /** @type {number} */ end,
) {
  let [from, to] = [start, end];
  while (to > from && /\s/.test(text[to - 1])) to -= 1;
  while (from < to && /\s/.test(text[from])) from += 1;
  for (const [open, close] of ["()", "<>"]) {
    const content = isSign(text, from, open) && blockAround(text, from + 1, open, close);
    if (content && text.indexOf(close, content[1]) === to - 1) return content;
  }
  return /** @type {Range} */ ([from, to]);
}

/** @param {string} text @param {number} at @param {string} sign */
const isSign = (text, at, sign) => text[at] === sign && !isEscaped(text, at);

/** @param {string} text @param {number} at */
const isBracket = (text, at) => at >= 0 && "(<[".includes(text[at]) && !isEscaped(text, at);

/** Tells if an odd number of backslashes stands before. @param {string} text @param {number} at */
function isEscaped(text, at) {
  let before = at;
  while (before > 0 && text[before - 1] === "\\") before -= 1;
  return (at - before) % 2 === 1;
}
