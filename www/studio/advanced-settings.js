// @ts-check
/**
 * Settings beyond the basic ones, as a table. A setting at its neutral value changes nothing: it is
 * left out of the engine's request, of the address bar and of a PNG's text.
 */

/**
 * @typedef {object} Setting
 * @property {"choice" | "number" | "whole" | "seed" | "text"} type choice: one of `choices`;
 *   number: a decimal number; whole: a whole number; seed: 0 … 2⁶⁴−1
 * @property {string} neutral the value that changes nothing; empty: the model or the engine decides
 * @property {readonly string[]} [choices] all values besides the neutral one
 * @property {number} [min] smallest number
 * @property {number} [max] largest number
 * @property {string} [infotext] the key in a PNG's text: A1111's name where it has one
 * @property {string} description for the element's documentation
 */

/** Shares of the steps, 0 … 1. @type {Pick<Setting, "type" | "min" | "max">} */
const SHARE = { type: "number", min: 0, max: 1 };

export const ADVANCED = /** @satisfies {Record<string, Setting>} */ ({
  schedule: {
    type: "text",
    neutral: "",
    infotext: "Schedule type",
    description: "Schedule type by the engine's name; default: the sampler's or the model's",
  },
  clip_skip: {
    type: "whole",
    neutral: "",
    min: 1,
    max: 32,
    infotext: "Clip skip",
    description: "Last layer of the text encoder that is read, counted from the end as A1111 does",
  },
  timestep_spacing: {
    type: "choice",
    neutral: "",
    choices: ["leading", "linspace", "trailing"],
    infotext: "Timestep spacing",
    description: "Spacing of the timesteps: leading, linspace or trailing; default: the model's",
  },
  zero_snr: {
    type: "choice",
    neutral: "",
    choices: ["true", "false"],
    infotext: "Zero terminal SNR",
    description: "Begins at a timestep without signal: true or false; default: the model's",
  },
  final_sigma: {
    type: "choice",
    neutral: "",
    choices: ["zero", "sigma_min"],
    infotext: "Final sigma",
    description: "Sigma after the last step: zero or sigma_min; default: the model's",
  },
  prompt_syntax: {
    type: "choice",
    neutral: "plain",
    choices: ["a1111"],
    infotext: "Prompt syntax",
    description: "a1111: brackets in prompts have A1111's meaning; plain: they are characters",
  },
  emphasis: {
    type: "choice",
    neutral: "original",
    choices: ["no-norm", "ignore"],
    infotext: "Emphasis",
    description: "Application of weights such as `(x:1.3)`: original, no-norm or ignore",
  },
  negative_strength: {
    type: "number",
    neutral: "1",
    min: 0,
    max: 2,
    infotext: "Negative strength",
    description: "Strength of the negative prompt, 0 … 2",
  },
  negative_start: {
    ...SHARE,
    neutral: "0",
    infotext: "Negative start",
    description: "Share of the steps before which the negative prompt is not used",
  },
  negative_end: {
    ...SHARE,
    neutral: "1",
    infotext: "Negative end",
    description: "Share of the steps after which the negative prompt is not used",
  },
  negative_outside: {
    type: "choice",
    neutral: "empty",
    choices: ["none"],
    infotext: "Negative outside",
    description: "Outside these steps: empty (the empty prompt) or none (no second prediction)",
  },
  guidance_start: {
    ...SHARE,
    neutral: "0",
    infotext: "Guidance start",
    description: "Share of the steps before which there is no guidance",
  },
  guidance_end: {
    ...SHARE,
    neutral: "1",
    infotext: "Guidance end",
    description: "Share of the steps after which there is no guidance",
  },
  guidance_schedule: {
    type: "choice",
    neutral: "constant",
    choices: ["linear", "cosine"],
    infotext: "Guidance schedule",
    description: "Guidance scale over the steps: constant, linear or cosine",
  },
  guidance_min_sigma: {
    type: "number",
    neutral: "0",
    min: 0,
    max: 1000,
    infotext: "NGMS",
    description: "Sigma below which the negative prompt is not used",
  },
  guidance_stop: {
    type: "number",
    neutral: "",
    min: -1,
    max: 1,
    infotext: "Guidance stop",
    description: "Cosine between both predictions above which guidance ends; default: none",
  },
  guidance_kind: {
    type: "text",
    neutral: "plain",
    infotext: "Guidance kind",
    description: "Kind of guidance by the engine's name; default: plain",
  },
  guidance_options: {
    type: "text",
    neutral: "",
    infotext: "Guidance options",
    description: "Options of the kind of guidance, such as `phi=0.7, rescale=0.5`",
  },
  nag_scale: {
    type: "number",
    neutral: "0",
    min: 0,
    max: 100,
    infotext: "NAG scale",
    description: "Scale of normalized attention guidance; 0: off",
  },
  nag_tau: {
    type: "number",
    neutral: "2.5",
    min: 1,
    max: 100,
    infotext: "NAG tau",
    description: "Largest growth of an attention output by normalized attention guidance",
  },
  nag_alpha: {
    type: "number",
    neutral: "0.25",
    min: 0,
    max: 1,
    infotext: "NAG alpha",
    description: "Share of the guided attention output in normalized attention guidance",
  },
  variation_seed: {
    type: "seed",
    neutral: "",
    infotext: "Variation seed",
    description: "Seed of the noise that is mixed into the first noise",
  },
  variation_strength: {
    ...SHARE,
    neutral: "0",
    infotext: "Variation seed strength",
    description: "Share of the variation seed's noise, 0 … 1",
  },
  rng: {
    type: "choice",
    neutral: "torch",
    choices: ["philox"],
    description: "Generator of the noise: torch (diffusers, ComfyUI) or philox (A1111)",
  },
  ensd: {
    type: "whole",
    neutral: "0",
    min: -(2 ** 31),
    max: 2 ** 31 - 1,
    infotext: "ENSD",
    description: "Number added to the seed for the noise of the steps (eta noise seed delta)",
  },
  eta: {
    type: "number",
    neutral: "",
    min: 0,
    max: 1,
    infotext: "Eta",
    description: "Amount of noise that the steps add; default: the sampler's",
  },
  loras: {
    type: "text",
    neutral: "",
    infotext: "LoRAs",
    description: "LoRAs and their weights, such as `sketch:0.8, ink:0.5:1`",
  },
  vae: {
    type: "text",
    neutral: "",
    infotext: "VAE",
    description: "Name of the added VAE in place of the model's own",
  },
  embeddings: {
    type: "text",
    neutral: "",
    infotext: "Embeddings",
    description: "Embeddings that the prompts use; written when a picture is made",
  },
});

/** @typedef {keyof typeof ADVANCED} AdvancedField */
/** @typedef {Record<AdvancedField, string>} AdvancedSettings */
/** @typedef {import("../engine/protocol.js").Request} Request */

/**
 * The name of a setting's property: `clip_skip` is `clipSkip`.
 * @template {string} S
 * @typedef {S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Property<B>>}` : S} Property
 */

/** The property of a setting. @param {string} field */
export const propertyOf = (field) => field.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/** All rows. */
export const ADVANCED_ROWS = /** @type {[AdvancedField, Setting][]} */ (Object.entries(ADVANCED));
export const ADVANCED_FIELDS = ADVANCED_ROWS.map(([field]) => field);

export const ADVANCED_DEFAULTS = /** @type {AdvancedSettings} */ (
  Object.fromEntries(ADVANCED_ROWS.map(([field, { neutral }]) => [field, neutral]))
);

/** The limits of a setting that is a number. @param {AdvancedField} field */
export function limits(field) {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = /** @type {Setting} */ (ADVANCED[field]);
  return { min, max };
}

/**
 * Tells whether a text is a value of a setting.
 * @param {AdvancedField} field
 * @param {string} value
 */
export function isValid(field, value) {
  const { type, neutral, choices = [] } = /** @type {Setting} */ (ADVANCED[field]);
  if (value === neutral || type === "text") return true;
  if (type === "choice") return choices.includes(value);
  if (type === "seed") return /^\d{1,20}$/.test(value) && BigInt(value) < 2n ** 64n;
  const number = value.trim() === "" ? NaN : Number(value);
  const { min, max } = limits(field);
  return number >= min && number <= max && (type === "number" || Number.isInteger(number));
}

/**
 * The engine's fields for the settings that are not neutral.
 * @param {Partial<AdvancedSettings>} settings valid ones
 * @returns {Partial<Request>}
 */
export function advancedRequest(settings) {
  const set = { ...ADVANCED_DEFAULTS, ...settings };
  set.variation_seed = effectiveVariation(set);
  const { negative_start, negative_end, guidance_start, guidance_end, guidance_options } = set;
  /** @type {Record<string, unknown>} */
  const request = {};
  for (const [field, { type, neutral }] of ADVANCED_ROWS) {
    if (set[field] === neutral || OWN.has(field)) continue;
    const isNumber = type === "number" || type === "whole";
    request[field] = isNumber ? Number(set[field]) : set[field];
  }
  if (set.zero_snr) request.zero_snr = set.zero_snr === "true";
  if (negative_start !== "0" || negative_end !== "1")
    request.negative_window = [Number(negative_start), Number(negative_end)];
  if (guidance_start !== "0" || guidance_end !== "1")
    request.guidance_window = [Number(guidance_start), Number(guidance_end)];
  if (guidance_options) request.guidance_options = optionsOf(guidance_options);
  return request;
}

/**
 * The variation seed that has an effect: none without a strength, and 0 where it is left open.
 * @param {Partial<AdvancedSettings>} settings
 */
export const effectiveVariation = ({ variation_seed = "", variation_strength = "0" }) =>
  Number(variation_strength) > 0 ? variation_seed || "0" : "";

/** Settings that are not a request's field of the same name. @type {Set<AdvancedField>} */
const OWN = new Set([
  "zero_snr",
  "negative_start",
  "negative_end",
  "guidance_start",
  "guidance_end",
  "guidance_options",
  // The engine has their files, and learns of them by messages of their own.
  "loras",
  "vae",
  "embeddings",
]);

/** Reads `name=number, name=number`. @param {string} text @returns {Record<string, number>} */
export function optionsOf(text) {
  const pairs = text.split(",").map((pair) => pair.split("="));
  const named = pairs.filter(([name, value]) => name.trim() && value !== undefined);
  return Object.fromEntries(named.map(([name, value]) => [name.trim(), Number(value)]));
}
