// @ts-check
/**
 * Reads and writes infotext, the generation parameters that A1111 and compatible programs store in
 * a picture's file under "parameters".
 */
import { strings } from "../strings/index.js";
import { ON_DISK, withoutQuery, withoutSlashes } from "./address.js";
import { ADVANCED_ROWS, effectiveVariation, isValid } from "./advanced-settings.js";
import { excerpt, namesIn, quoted, valuesOf } from "./infotext-values.js";
import { lorasOf, nameOfFile, taggedLoras, tagOf } from "./loras.js";
import { pairOf, readSampler, samplerName, scheduleName } from "./sampler-names.js";

/** @typedef {import("./advanced-settings.js").AdvancedSettings} AdvancedSettings */
/** @typedef {import("./settings.js").Settings} Settings */
/**
 * Settings of a picture. `notes`: sentences about what will be different.
 * @typedef {{settings: Partial<Settings>, notes: string[]}} Found
 */

const NEGATIVE = "Negative prompt:";
/** Beginning of the last line, in every version of the format. */
const LAST = /^\s*Steps: *\d/;
/** Pairs of key and value that make a settings line without steps, as A1111 counts. */
const PAIRS_AT_LEAST = 3;
/** Keys that say where a picture comes from, and change nothing. */
const ABOUT =
  /^(Model|Version|.* hash|.* hashes|Hashes|User|Created Date|Batch (size|pos)|Civitai .*)$/;
/** A1111's key for the eta of this sampler. */
const ETA_DDIM = "Eta DDIM";
/** Keys that are read, besides those of the table of settings. */
const READ = ["Steps", "Seed", "CFG scale", "Size", "Sampler", "Schedule type", "RNG", ETA_DDIM];
/** Keys that a note names. */
const NAMED = 8;
/** A1111's names of ways to apply weights. @type {Record<string, string>} */
const EMPHASIS = { "no-norm": "No norm", ignore: "Ignore" };

/**
 * @param {Settings} settings
 * @returns {string}
 */
export function infotext({
  prompt,
  negative_prompt,
  seed,
  steps,
  guidance_scale,
  sampler,
  width,
  height,
  model,
  ...advanced
}) {
  const name = shortName(model);
  const by = pairOf({ sampler, schedule: advanced.schedule });
  const lines = [prompt + tagsFor(prompt, advanced.loras)];
  if (negative_prompt) lines.push(`${NEGATIVE} ${negative_prompt}`);
  const values = {
    Steps: steps,
    Sampler: samplerName(by.sampler),
    ...(by.schedule && { "Schedule type": scheduleName(by.schedule) }),
    "CFG scale": guidance_scale,
    Seed: seed,
    Size: `${width}x${height}`,
    Model: quoted(name),
    RNG: advanced.rng === "philox" ? "NV" : "CPU",
    ...advancedPairs(advanced, sampler),
    Version: "Darkroom",
  };
  const pairs = Object.entries(values).map(([key, value]) => `${key}: ${value}`);
  lines.push(pairs.join(", "));
  return lines.join("\n");
}

/**
 * Tags behind the prompt, by which A1111 finds LoRAs; none for those that the prompt names.
 * @param {string} prompt
 * @param {string} [loras] the setting
 */
function tagsFor(prompt, loras = "") {
  const named = taggedLoras(prompt);
  return lorasOf(loras)
    .filter(({ name }) => !named.includes(name))
    .map((lora) => ` ${tagOf(lora)}`)
    .join("");
}

/**
 * The advanced settings that are not neutral, by their keys.
 * @param {Partial<AdvancedSettings>} settings
 * @param {string} sampler
 */
function advancedPairs(settings, sampler) {
  const set = { ...settings, variation_seed: effectiveVariation(settings) };
  /** @type {Record<string, string>} */
  const pairs = {};
  for (const [field, { infotext, neutral }] of ADVANCED_ROWS) {
    const value = set[field] ?? neutral;
    const key = field === "eta" && sampler === "ddim" ? ETA_DDIM : infotext;
    // A schedule type belongs to the sampler.
    if (!key || value === neutral || field === "schedule") continue;
    pairs[key] = quoted(field === "emphasis" ? (EMPHASIS[value] ?? value) : value);
  }
  return pairs;
}

/**
 * The advanced settings that a text names with a valid value.
 * @param {Map<string, string>} values
 * @returns {Partial<AdvancedSettings>}
 */
function advancedSettings(values) {
  /** @type {Partial<AdvancedSettings>} */
  const settings = values.get("RNG") === "NV" ? { rng: "philox" } : {};
  for (const [field, { infotext: key }] of ADVANCED_ROWS) {
    const value = key && field !== "schedule" ? values.get(key) : undefined;
    if (value === undefined) continue;
    const own = field === "emphasis" ? value.toLowerCase().replace(" ", "-") : value;
    if (isValid(field, own)) settings[field] = own;
  }
  const eta = values.get("Sampler") === "DDIM" ? values.get(ETA_DDIM) : undefined;
  if (eta !== undefined && isValid("eta", eta)) settings.eta = eta;
  return settings;
}

/** The name of a model in a PNG: the last part of its address. @param {string} model */
function shortName(model) {
  const path = withoutSlashes(withoutQuery(model.replace(ON_DISK, "")));
  return (path.split("/").pop() ?? "").replace(/\.safetensors$/i, "");
}

/** Tells whether a model of this name is not the one in use. @param {string} model
 * @param {string} inUse the text in the model field
 */
export const isOther = (model, inUse) =>
  model.replace(/\.(safetensors|ckpt)$/i, "") !== shortName(inUse);

/**
 * Index of the settings line; −1: there is none.
 * @param {string[]} lines
 */
function settingsLine(lines) {
  const last = lines.findLastIndex((line) => LAST.test(line));
  if (last >= 0) return last;
  const end = lines.findLastIndex((line) => line.trim() !== "");
  const values = end < 0 ? new Map() : valuesOf(lines[end]);
  const known = [...values.keys()].filter((key) => READ.includes(key));
  return known.length >= PAIRS_AT_LEAST ? end : -1;
}

/**
 * Reads the infotext of any program. Time and memory are proportional to its length.
 * @param {string} text
 * @param {string} [inUse] the text in the model field: its name is no news
 * @returns {Found | null} null: this is no infotext
 */
export function fromInfotext(text, inUse = "") {
  const all = text.split(/\r?\n/);
  const last = settingsLine(all);
  const values = last < 0 ? new Map() : valuesOf(all[last]);
  const own = values.get("Version") === "Darkroom";
  const head = last < 0 ? all : all.slice(0, last);
  // A1111 removes the spaces around each line. Our own lines are read as they were written.
  const lines = own ? head : head.map((line) => line.trim());
  const from = lines.findIndex((line) => line.startsWith(NEGATIVE));
  // Other programs store JSON here.
  if (last < 0 && (text.trim() === "" || /^\s*[{[]/.test(text))) return null;
  /** @type {Partial<Settings>} */
  const settings = {
    prompt: lines.slice(0, from < 0 ? lines.length : from).join("\n"),
    negative_prompt: from < 0 ? "" : negativeOf(lines.slice(from), own),
    ...numbers(values),
    ...advancedSettings(values),
  };
  const notes = takeSampler(values, settings);
  if (own) takeTags(settings);
  else notes.push(...takeOthers(values, settings, last < 0));
  const model = values.get("Model");
  if (model && isOther(model, inUse)) notes.push(strings().infotext.model(excerpt(model)));
  return { settings, notes };
}

/** @param {string[]} lines from the key on @param {boolean} own written here */
function negativeOf(lines, own) {
  const text = lines.join("\n").slice(NEGATIVE.length);
  return own ? text.replace(/^ /, "") : text.trim();
}

/** Removes the tags that were written behind the prompt. @param {Partial<Settings>} settings */
function takeTags(settings) {
  const { prompt = "", loras = "" } = settings;
  const tags = lorasOf(loras).map((lora) => ` ${tagOf(lora)}`);
  let end = prompt.length;
  for (const tag of tags.reverse()) if (prompt.slice(0, end).endsWith(tag)) end -= tag.length;
  settings.prompt = prompt.slice(0, end);
}

/**
 * Takes over values that other programs write, or mean by leaving them out.
 * @param {Map<string, string>} values
 * @param {Partial<Settings>} settings
 * @param {boolean} bare there is no settings line
 * @returns {string[]} notes
 */
function takeOthers(values, settings, bare) {
  const t = strings().infotext;
  /** @type {string[]} */
  const notes = bare ? [t.noSettings] : [];
  // Their prompts are in A1111's language, unless the text says that brackets are characters.
  const literal = values.get("Emphasis") === "None";
  if (!literal) settings.prompt_syntax = "a1111";
  const rng = values.get("RNG");
  if (!bare && rng !== "CPU" && rng !== "NV") {
    settings.rng = "philox";
    notes.push(t.noise);
  }
  const vae = values.get("VAE");
  if (vae !== undefined) settings.vae = /^(none|automatic)$/i.test(vae) ? "" : nameOfFile(vae);
  const words = namesIn(values.get("TI hashes"));
  if (words.length && !settings.embeddings) settings.embeddings = words.join(", ");
  const tagged = taggedLoras(settings.prompt ?? "");
  const untagged = namesIn(values.get("Lora hashes")).filter((name) => !tagged.includes(name));
  if (untagged.length) notes.push(t.loras(listed(untagged)));
  const known = new Set([...READ, ...ADVANCED_ROWS.map(([, row]) => row.infotext)]);
  const rest = [...values.keys()].filter((key) => key && !known.has(key) && !ABOUT.test(key));
  if (rest.length) notes.push(t.unsaid(listed(rest)));
  return notes;
}

/** @param {string[]} names */
const listed = (names) => {
  const short = names.slice(0, NAMED).map((name) => name.slice(0, 30));
  return short.join(", ") + (names.length > NAMED ? ", …" : "");
};

/**
 * @param {Map<string, string>} values
 * @returns {Partial<Settings>} the values that are valid numbers
 */
export function numbers(values) {
  /** @type {Partial<Settings>} */
  const settings = {};
  const take = (
    /** @type {keyof Settings} */ field,
    /** @type {string | undefined} */ value,
    /** @type {RegExp} */ form,
  ) => {
    if (value !== undefined && form.test(value)) settings[field] = value;
  };
  take("steps", values.get("Steps"), /^\d{1,4}$/);
  take("seed", values.get("Seed"), /^\d{1,20}$/);
  take("guidance_scale", values.get("CFG scale"), /^\d{1,3}(\.\d{1,6})?$/);
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(values.get("Size") ?? "") ?? [];
  return width ? { ...settings, width, height } : settings;
}

/**
 * Takes over the sampler and its schedule type.
 * @param {Map<string, string>} values
 * @param {Partial<Settings>} settings
 * @returns {string[]} notes
 */
export function takeSampler(values, settings) {
  const t = strings().infotext;
  const name = values.get("Sampler");
  const found = readSampler(name, values.get("Schedule type"));
  if (!found) return name === undefined ? [] : [t.sampler(excerpt(name))];
  settings.sampler = found.sampler;
  if (found.schedule) settings.schedule = found.schedule;
  return found.unknown === undefined ? [] : [t.schedule(excerpt(found.unknown))];
}
