// @ts-check
/**
 * Reads and writes infotext, the generation parameters that A1111 and compatible programs store in
 * a PNG under "parameters".
 */
import { ON_DISK, withoutQuery, withoutSlashes } from "./address.js";
import { ADVANCED_ROWS, effectiveVariation, isValid } from "./advanced-settings.js";
import { pairOf, readSampler, samplerName, scheduleName } from "./sampler-names.js";

/** @typedef {import("./advanced-settings.js").AdvancedSettings} AdvancedSettings */
/** @typedef {import("./settings.js").Settings} Settings */

const NEGATIVE = "Negative prompt:";
/** Beginning of the last line, in every version of the format. */
const LAST = /^Steps: *\d/;
/** Settings of other programs that change the picture and do not exist here. */
const UNKNOWN_HERE = ["Denoising strength", "Hires upscale", "Lora hashes", "TI hashes", "Refiner"];

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
  const lines = [prompt];
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

/** A1111's key for the eta of this sampler. */
const ETA_DDIM = "Eta DDIM";

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
    if (key && value !== neutral && field !== "schedule") pairs[key] = quoted(value);
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
    if (value !== undefined && isValid(field, value)) settings[field] = value;
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

/** Quotes a value that contains a separator, as other programs do. @param {string} value */
const quoted = (value) => (/[,:"\n]/.test(value) ? JSON.stringify(value) : value);

/**
 * Reads the infotext of any program. Time and memory are proportional to its length.
 * @param {string} text
 * @param {string} [inUse] the text in the model field: its name is no news
 * @returns {{settings: Partial<Settings>, notes: string[]} | null} null: this is no infotext;
 *   `notes`: sentences about what will be different
 */
export function fromInfotext(text, inUse = "") {
  const lines = text.split(/\r?\n/);
  const last = lines.findLastIndex((line) => LAST.test(line));
  if (last < 0) return null;
  const from = lines.slice(0, last).findIndex((line) => line.startsWith(NEGATIVE));
  const to = from < 0 ? last : from;
  const values = valuesOf(lines[last]);
  /** @type {string[]} */
  const notes = [];
  /** @type {Partial<Settings>} */
  const settings = {
    prompt: lines.slice(0, to).join("\n"),
    negative_prompt:
      from < 0 ? "" : lines.slice(from, last).join("\n").slice(NEGATIVE.length).replace(/^ /, ""),
    ...numbers(values),
    ...advancedSettings(values),
  };
  notes.push(...takeSampler(values, settings));
  const model = values.get("Model");
  if (values.get("Version") !== "Darkroom") {
    if (!["CPU", "NV"].includes(values.get("RNG") ?? ""))
      notes.push("Its noise came from another generator, so the same seed gives another picture.");
    const others = UNKNOWN_HERE.filter((key) => values.has(key));
    if (others.length) notes.push(`Not applied here: ${others.join(", ")}.`);
  }
  if (model && model !== shortName(inUse))
    notes.push(`It was made with the model “${excerpt(model)}”.`);
  return { settings, notes };
}

/** @param {string | undefined} text */
const excerpt = (text = "") => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/**
 * @param {Map<string, string>} values
 * @returns {Partial<Settings>} the values that are valid numbers
 */
function numbers(values) {
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
function takeSampler(values, settings) {
  const name = values.get("Sampler");
  const found = readSampler(name, values.get("Schedule type"));
  if (!found)
    return name === undefined
      ? []
      : [`There is no sampler “${excerpt(name)}” here: the chosen one stays.`];
  settings.sampler = found.sampler;
  if (found.schedule) settings.schedule = found.schedule;
  if (found.unknown === undefined) return [];
  return [`There is no schedule type “${excerpt(found.unknown)}” here: the model’s own is used.`];
}

/**
 * Splits a line `Key: value, Key: "quoted, value", …` at the commas outside quotes.
 * @param {string} line
 */
function valuesOf(line) {
  /** @type {Map<string, string>} */
  const values = new Map();
  for (let at = 0; at < line.length; ) {
    const colon = line.indexOf(":", at);
    if (colon < 0) break;
    const key = line.slice(at, colon).trim();
    let start = colon + 1;
    while (line[start] === " ") start += 1;
    let end = line[start] === '"' ? endOfQuoted(line, start) : start;
    const comma = line.indexOf(",", end);
    end = comma < 0 ? line.length : comma;
    // The first value of a key counts: later ones may come from anywhere.
    if (!values.has(key)) values.set(key, unquoted(line.slice(start, end).trim()));
    at = end + 1;
  }
  return values;
}

/**
 * The index after a quoted value.
 * @param {string} line
 * @param {number} start of its first quote
 */
function endOfQuoted(line, start) {
  for (let at = start + 1; at < line.length; at += 1) {
    if (line[at] === "\\") at += 1;
    else if (line[at] === '"') return at + 1;
  }
  // Without a closing quote it is not a quoted value.
  return start;
}

/** @param {string} value */
function unquoted(value) {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
