// @ts-check
/**
 * The texts of the page in the visitor's language. One table for each language, with the same
 * shape: `de` is checked against `en` by its type. A text that depends on a value is a function.
 */
import { de } from "./de/index.js";
import { en } from "./en/index.js";

/** @typedef {typeof en} Strings */

/** @type {Record<string, Strings>} */
const TABLES = { en, de };

/** Languages with a table, the default first. */
export const LANGUAGES = Object.keys(TABLES);

let current = "en";

/**
 * Chooses the language of all texts written from now on.
 * @param {readonly string[]} wanted language tags such as "de-AT", the best first
 * @returns {string} the chosen language
 */
export function setLanguage(...wanted) {
  const found = wanted
    .map((tag) => tag.toLowerCase().split("-")[0])
    .find((tag) => Object.hasOwn(TABLES, tag));
  current = found ?? "en";
  return current;
}

/** The language of the texts: a key of `LANGUAGES`. */
export const language = () => current;

/** The texts in the chosen language. */
export const strings = () => TABLES[current];

/**
 * A number in the chosen language's notation.
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 */
export const number = (value, options) => new Intl.NumberFormat(current, options).format(value);
