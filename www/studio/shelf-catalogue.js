// @ts-check
/**
 * The list of models that the shelf offers: the project's `catalogue.json`, or a site owner's own.
 * It is data of strangers: every value is checked, and texts stay texts.
 */
import { DarkroomError } from "../base/problem.js";
import { language, strings } from "../strings/index.js";

/** The project's list. */
export const CATALOGUE = new URL("../catalogue.json", import.meta.url).href;

/**
 * A model of the list.
 * @typedef {object} Entry
 * @property {string} address as in the model field
 * @property {string} name
 * @property {string} goodAt a sentence, or empty
 * @property {number | null} bytes to download
 * @property {number | null} memory bytes on the device, at the default size
 * @property {string} licence name, or empty: see its page
 * @property {string} licenceLink address, or empty
 * @property {Defaults} defaults as texts for the form
 */

/** @typedef {"steps" | "guidance_scale" | "clip_skip"} Numbers */
/** @typedef {Numbers | "width" | "height" | "sampler" | "schedule"} Default */
/** @typedef {Partial<Record<Default, string>>} Defaults */

const MOST_BYTES = 2 ** 20;
/** The shelf shows the downloaded models, whatever the list's server does. */
const TIMEOUT_MS = 8000;
const MOST_MODELS = 500;
const LONGEST_TEXT = 2000;
/** Limits of the numbers in `defaults`. @type {Record<string, [min: number, max: number]>} */
const NUMBERS = {
  steps: [1, 1000],
  guidance_scale: [0, 100],
  width: [8, 4096],
  height: [8, 4096],
  clip_skip: [1, 32],
};
const NAMES = ["sampler", "schedule"];

/**
 * Fetches a list.
 * @param {string} address absolute
 * @returns {Promise<Entry[]>}
 * @throws {DarkroomError} the list cannot be used; the message says why
 */
export async function fetchCatalogue(address) {
  const t = strings().models.catalogue;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await fetch(address, { signal }).catch(() => null);
  if (answer && !answer.ok) throw new DarkroomError("network", t.status(answer.status));
  const text = await answer?.text().catch(() => null);
  if (typeof text !== "string") throw new DarkroomError("network", t.unreachable);
  return readCatalogue(text, address);
}

/**
 * Reads a list.
 * @param {string} text JSON
 * @param {string} base address of the list: links are relative to it
 * @returns {Entry[]}
 */
export function readCatalogue(text, base) {
  const t = strings().models.catalogue;
  if (text.length > MOST_BYTES) throw wrong(t.large(MOST_BYTES));
  let list;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw wrong(t.json(error instanceof Error ? error.message : String(error)));
  }
  const { version, models } = objectAt(list, "catalogue");
  const { expected } = t;
  if (version !== 1) throw unexpected("version", "1", version);
  if (!Array.isArray(models) || models.length > MOST_MODELS)
    throw unexpected("models", expected.list(MOST_MODELS), models);
  const entries = models.map((model, at) => entryOf(model, `models[${at}]`, base));
  for (const [at, { address }] of entries.entries()) {
    const first = entries.findIndex((other) => other.address === address);
    if (first < at) throw wrong(t.twice(`models[${at}]`, `models[${first}]`));
  }
  return entries;
}

/** @param {unknown} value @param {string} where @param {string} base @returns {Entry} */
function entryOf(value, where, base) {
  const model = objectAt(value, where);
  const weights = optional(model.weights, (some) => objectAt(some, `${where}.weights`)) ?? {};
  const licence = optional(model.licence, (some) => objectAt(some, `${where}.licence`)) ?? {};
  return {
    address: textAt(model.address, `${where}.address`),
    name: textAt(model.name, `${where}.name`),
    goodAt: optional(model.good_at, (some) => sentenceAt(some, `${where}.good_at`)) ?? "",
    bytes: optional(weights.bytes, (some) => bytesAt(some, `${where}.weights.bytes`)),
    memory: optional(model.memory, (some) => bytesAt(some, `${where}.memory`)),
    licence: optional(licence.name, (some) => textAt(some, `${where}.licence.name`)) ?? "",
    licenceLink:
      optional(licence.link, (some) => linkAt(some, `${where}.licence.link`, base)) ?? "",
    defaults: optional(model.defaults, (some) => defaultsAt(some, `${where}.defaults`)) ?? {},
  };
}

/**
 * @template T
 * @param {unknown} value
 * @param {(value: unknown) => T} read
 * @returns {T | null} null: there is none
 */
const optional = (value, read) => (value === undefined || value === null ? null : read(value));

/** @param {unknown} value @param {string} where @returns {Record<string, unknown>} */
function objectAt(value, where) {
  if (value !== null && typeof value === "object" && !Array.isArray(value))
    return /** @type {Record<string, unknown>} */ (value);
  throw unexpected(where, strings().models.catalogue.expected.object, value);
}

/** @param {unknown} value @param {string} where */
function textAt(value, where) {
  if (typeof value === "string" && value.trim() && value.length <= LONGEST_TEXT)
    return value.trim();
  throw unexpected(where, strings().models.catalogue.expected.text, value);
}

/** A text, or one text for each language. @param {unknown} value @param {string} where */
function sentenceAt(value, where) {
  if (typeof value === "string") return textAt(value, where);
  const texts = objectAt(value, where);
  const chosen = [language(), "en", ...Object.keys(texts)].find((key) => Object.hasOwn(texts, key));
  return chosen === undefined ? "" : textAt(texts[chosen], `${where}.${chosen}`);
}

/** @param {unknown} value @param {string} where */
function bytesAt(value, where) {
  if (Number.isSafeInteger(value) && Number(value) > 0) return Number(value);
  throw unexpected(where, strings().models.catalogue.expected.bytes, value);
}

/** @param {unknown} value @param {string} where @param {string} base */
function linkAt(value, where, base) {
  const text = textAt(value, where);
  const url = URL.canParse(text, base) ? new URL(text, base) : null;
  if (url && /^https?:$/.test(url.protocol)) return url.href;
  throw unexpected(where, strings().models.catalogue.expected.link, value);
}

/** @param {unknown} value @param {string} where @returns {Defaults} */
function defaultsAt(value, where) {
  const given = objectAt(value, where);
  /** @type {Record<string, string>} */
  const defaults = {};
  for (const [name, [min, max]] of Object.entries(NUMBERS)) {
    const number = given[name];
    if (number === undefined) continue;
    const whole = name === "guidance_scale" || Number.isInteger(number);
    const even = !/width|height/.test(name) || Number(number) % 8 === 0;
    const inside = typeof number === "number" && number >= min && number <= max;
    const { expected } = strings().models.catalogue;
    if (!inside || !whole || !even)
      throw unexpected(`${where}.${name}`, expected[kind(name)](min, max), number);
    defaults[name] = String(number);
  }
  for (const name of NAMES)
    if (given[name] !== undefined) defaults[name] = textAt(given[name], `${where}.${name}`);
  return defaults;
}

/** @param {string} name */
const kind = (name) =>
  name === "guidance_scale" ? "number" : /width|height/.test(name) ? "side" : "whole";

/** @param {string} where @param {string} expected @param {unknown} actual */
function unexpected(where, expected, actual) {
  const t = strings().models.catalogue;
  const text = actual === undefined ? t.nothing : JSON.stringify(actual);
  return wrong(t.value(where, expected, text.length > 60 ? `${text.slice(0, 60)}…` : text));
}

/** @param {string} message */
const wrong = (message) => new DarkroomError("file", message);
