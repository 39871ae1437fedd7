// @ts-check
/** The note below a prompt: what is not as it looks, and how a long prompt is divided. */
import { strings } from "../strings/index.js";

/** @typedef {import("../engine/protocol.js").PromptLayout} PromptLayout */
/** @typedef {"prompt" | "negative_prompt"} PromptField */
/** @typedef {keyof ReturnType<typeof strings>["library"]["language"]["problems"]} ProblemKind */

/**
 * @param {string} text of the prompt
 * @param {PromptLayout} layout of this text
 */
export function noteOf(text, { problems, borders, limit, chunks }) {
  const t = strings().library.language;
  const [first, ...rest] = problems;
  const notes = [];
  if (first) {
    const sign = excerpt(text.slice(first.from, first.to));
    notes.push(t.problems[/** @type {ProblemKind} */ (first.kind)](sign));
  }
  if (rest.length > 0) notes.push(t.more(rest.length));
  if (chunks > 1 && borders.length > 0)
    notes.push(strings().studio.prompts.long(limit, chunks, excerpt(text.slice(borders[0]))));
  return notes.join(" ");
}

/** @param {string} text */
function excerpt(text) {
  const words = text.trim();
  return words.length > 40 ? `${words.slice(0, 40).trimEnd()}…` : words;
}
