// @ts-check
/** The parts of a prompt that a text field marks, from what the engine reads in it. */

/** @typedef {import("../engine/protocol.js").PromptLayout} PromptLayout */

/**
 * A part of a text with the same marks throughout.
 * @typedef {object} Segment
 * @property {number} from
 * @property {number} to
 * @property {string[]} marks names of its marks, which are classes in the style sheet
 */

/** @typedef {{from: number, to: number, mark: string}} Mark */

/** The mark of a weight, by its distance from 1. @param {number} weight */
export function weightMark(weight) {
  if (weight < 0) return "minus";
  if (weight > 1) return weight < 1.2 ? "up-1" : weight < 1.5 ? "up-2" : "up-3";
  return weight > 0.8 ? "down-1" : weight > 0.5 ? "down-2" : "down-3";
}

/**
 * All marks of a text, which may overlap.
 * @param {string} text
 * @param {PromptLayout} layout
 * @returns {Mark[]}
 */
export function marksOf(text, layout) {
  const pairs = (/** @type {[number, number][]} */ places, /** @type {string} */ mark) =>
    places.map(([from, to]) => ({ from, to, mark }));
  const same = (/** @type {{from: number, to: number}[]} */ places, /** @type {string} */ mark) =>
    places.map(({ from, to }) => ({ from, to, mark }));
  const edits = layout.changes.filter(({ last_step }) => last_step !== null);
  const turns = layout.changes.filter(({ last_step }) => last_step === null);
  return [
    ...layout.weights.map(({ from, to, weight }) => ({ from, to, mark: weightMark(weight) })),
    ...same(edits, "edit"),
    ...same(turns, "turn"),
    ...pairs(layout.breaks, "break"),
    ...pairs(layout.ands, "and"),
    ...same(layout.loras, "lora"),
    ...pairs(layout.words, "word"),
    ...layout.borders.map((at) => ({ from: at, to: letterEnd(text, at), mark: "border" })),
    ...same(layout.problems, "problem"),
  ];
}

/** The end of the letter at a position. @param {string} text @param {number} at */
const letterEnd = (text, at) => at + ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);

/**
 * Divides a text where its marks change.
 * @param {string} text
 * @param {Mark[]} marks
 * @returns {Segment[]} the whole text, in order
 */
export function segments(text, marks) {
  const cuts = new Set([0, text.length]);
  for (const { from, to } of marks) cuts.add(from).add(to);
  const ends = [...cuts].filter((at) => at >= 0 && at <= text.length).sort((a, b) => a - b);
  return ends.slice(1).map((to, nth) => {
    const from = ends[nth];
    const here = marks.filter((mark) => mark.from <= from && mark.to >= to);
    return { from, to, marks: [...new Set(here.map(({ mark }) => mark))] };
  });
}

/**
 * Marks of a text after it was edited, until the engine has read it: those before and behind the
 * change stay, and the changed part has none.
 * @param {Mark[]} marks
 * @param {string} before
 * @param {string} after
 * @returns {Mark[]}
 */
export function movedMarks(marks, before, after) {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < most - head && before[before.length - 1 - tail] === after[after.length - 1 - tail])
    tail += 1;
  const by = after.length - before.length;
  const end = before.length - tail;
  const moved = marks.map(({ from, to, mark }) => ({
    from: from < head ? from : Math.max(from, end) + by,
    to: to > end ? to + by : Math.min(to, head),
    mark,
  }));
  return moved.filter(({ from, to }) => from < to);
}
