// @ts-check
/**
 * Knowledge about a model beside its files: what it draws, and seeds that show what a word in the
 * negative prompt removes. The page gives it to the studio with the model's name.
 */
import { language } from "../strings/index.js";

/** Texts by language. @typedef {Record<string, string>} Translated */

/**
 * @typedef {object} Word
 * @property {string} word of the negative prompt
 * @property {Translated} none says that the subject has nothing of it
 * @property {string[]} seeds that show it with the subject's prompt
 */

/**
 * @typedef {object} Subject
 * @property {string} noun in the prompt
 * @property {string} prompt that the seeds are for
 * @property {Word[]} words
 */

/**
 * @typedef {object} Showcase
 * @property {string} model as in the model field
 * @property {Translated} [draws] one line
 * @property {Subject[]} [subjects]
 */

/** @param {Translated | undefined} texts */
export const translated = (texts) => texts?.[language()] ?? texts?.en ?? "";

/**
 * The word that these settings have in the negative prompt, and a seed that shows it.
 * @param {Showcase | null} showcase
 * @param {import("./settings.js").Settings} settings
 * @returns {{none: string, seed: string, prompt: string} | null} null: nothing is known about it
 */
export function knownWord(showcase, { model, prompt, negative_prompt, seed }) {
  if (!showcase || showcase.model !== model) return null;
  /** @type {string[]} */
  const words = prompt.toLowerCase().match(/\p{L}+/gu) ?? [];
  const subject = showcase.subjects?.find(({ noun }) => words.includes(noun));
  const wanted = negative_prompt.trim().toLowerCase();
  const word = subject?.words.find((each) => each.word === wanted);
  if (!subject || !word) return null;
  // Another one than the seed that has just disappointed, and not always the same.
  const after = word.seeds.indexOf(seed) + 1;
  const next = word.seeds[after % word.seeds.length];
  return { none: translated(word.none), seed: next, prompt: subject.prompt };
}
