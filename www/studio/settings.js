// @ts-check
/** Settings of a picture: in the form, in the address bar and in the engine's request. */
import { strings } from "../strings/index.js";
import {
  ADVANCED,
  ADVANCED_DEFAULTS,
  ADVANCED_FIELDS,
  advancedRequest,
  effectiveVariation,
  isValid,
  limits,
} from "./advanced-settings.js";
import { pairOf, samplerName, scheduleName } from "./sampler-names.js";

/** @typedef {import("./advanced-settings.js").AdvancedSettings} AdvancedSettings */

/**
 * The settings of every picture, as texts, as in the form's fields, valid or not.
 * @typedef {object} BasicSettings
 * @property {string} prompt
 * @property {string} negative_prompt
 * @property {string} seed 0 … 2⁶⁴−1
 * @property {string} steps 1 … 1000
 * @property {string} guidance_scale 0 … 100; at 1 the negative prompt has no effect
 * @property {string} sampler the engine's name; empty: the model's default
 * @property {string} width pixels, a multiple of 8; empty: the model's default
 * @property {string} height pixels, a multiple of 8; empty: the model's default
 * @property {string} device auto, gpu or cpu
 * @property {string} model see address.js
 * @property {string} prediction prediction type of a checkpoint: auto, epsilon or v
 */

/** @typedef {BasicSettings & AdvancedSettings} Settings */
/** @typedef {keyof Settings} Field */

export const FIELDS = /** @type {Field[]} */ ([
  "prompt",
  "negative_prompt",
  "seed",
  "steps",
  "guidance_scale",
  "sampler",
  "width",
  "height",
  "device",
  "model",
  "prediction",
  ...ADVANCED_FIELDS,
]);

/** The name of a setting in the form and in the address bar. @param {Field} field */
export const fieldName = (field) => field.replaceAll("_", "-");

/**
 * The setting of a name in the form.
 * @param {string} name
 */
export const fieldOf = (name) => /** @type {Field} */ (name.replaceAll("-", "_"));

/**
 * Names in the address bar of earlier versions; links may still have them.
 * @type {Partial<Record<Field, string>>}
 */
const OLD_NAMES = { negative_prompt: "negative", guidance_scale: "guidance" };

/** @satisfies {Partial<Settings>} */
export const DEFAULTS = {
  steps: "20",
  guidance_scale: "7.5",
  device: "auto",
  prediction: "auto",
  ...ADVANCED_DEFAULTS,
};

/**
 * Settings of a picture, a link or an earlier version with neutral values for the advanced ones
 * that they do not name.
 * @template {Partial<Settings>} T
 * @param {T} settings
 */
export const complete = (settings) => ({ ...ADVANCED_DEFAULTS, ...settings });

const LARGEST_SEED = 2n ** 64n - 1n;
const MOST_STEPS = 1000;
const MOST_GUIDANCE = 100;
/** Pixels of a side; the engine refuses more. */
const LONGEST_SIDE = 4096;
/** Digits of the largest seed. Longer numbers take long to read. */
const SEED = /^\d{1,20}$/;

/** A seed as short as A1111's, which people can read out. */
export const randomSeed = () => String(crypto.getRandomValues(new Uint32Array(1))[0]);

/**
 * Messages about invalid settings, to show beside their fields.
 * @param {Settings} settings
 * @param {number} multiple sizes must be a multiple of it
 * @returns {Map<Field, string>}
 */
export function invalidFields(settings, multiple = 8) {
  /** @type {Map<Field, string>} */
  const problems = new Map();
  const { seed, steps, guidance_scale, width, height } = settings;
  const t = strings().studio.invalid;
  if (!SEED.test(seed) || BigInt(seed) > LARGEST_SEED) problems.set("seed", t.seed(LARGEST_SEED));
  if (!/^\d+$/.test(steps) || Number(steps) < 1 || Number(steps) > MOST_STEPS)
    problems.set("steps", t.steps(MOST_STEPS));
  const scale = guidance_scale.trim() === "" ? NaN : Number(guidance_scale);
  if (!(scale >= 0 && scale <= MOST_GUIDANCE))
    problems.set("guidance_scale", t.guidance(MOST_GUIDANCE));
  const sides = { width, height };
  for (const field of /** @type {const} */ (["width", "height"])) {
    const size = sides[field];
    if (size === "") continue;
    const pixels = Number(size);
    const inside = pixels >= multiple && pixels <= LONGEST_SIDE;
    if (!Number.isInteger(pixels) || !inside || pixels % multiple !== 0)
      problems.set(field, invalidSize(field, pixels, multiple));
  }
  for (const field of ADVANCED_FIELDS)
    if (!isValid(field, settings[field] ?? ADVANCED_DEFAULTS[field]))
      problems.set(
        field,
        ADVANCED[field].type === "seed"
          ? t.seed(LARGEST_SEED)
          : t.outOfRange(settings[field], limits(field)),
      );
  for (const name of /** @type {const} */ (["negative", "guidance"]))
    if (Number(settings[`${name}_start`]) > Number(settings[`${name}_end`]))
      problems.set(`${name}_end`, strings().guidance.window.crossed);
  return problems;
}

/** @param {"width" | "height"} field @param {number} pixels @param {number} multiple */
function invalidSize(field, pixels, multiple) {
  const highest = Math.floor(LONGEST_SIDE / multiple) * multiple;
  const near = Math.min(highest, Math.max(1, Math.round(pixels / multiple)) * multiple);
  return strings().problems.size[field](multiple, highest, near);
}

/**
 * Settings with the model's defaults in the empty fields.
 * @template {Partial<Settings>} T
 * @param {T} settings
 * @param {import("../engine/protocol.js").ModelInfo} model
 * @returns {T}
 */
export function withModelDefaults(settings, model) {
  const filled = /** @type {T} */ ({ ...settings, ...samplerOf(settings, model) });
  if (filled.width === "") filled.width = String(model.default_width);
  if (filled.height === "") filled.height = String(model.default_height);
  return filled;
}

/** Schedule types that are more than the plain one. */
const MARKED = ["karras", "exponential", "beta"];

/** The schedule type that the model's own sampler has; empty: the plain one.
 * @param {import("../engine/protocol.js").ModelInfo} model
 */
export const ownSchedule = ({ default_schedule: own }) => (MARKED.includes(own) ? own : "");

/**
 * Sampler and schedule type, where settings name a sampler. Without one they are the model's own.
 * "DPM++ 2M" without a schedule type is the plain one, also in a model that asks for Karras'.
 * @param {Partial<Settings>} settings
 * @param {import("../engine/protocol.js").ModelInfo} [model]
 * @returns {Partial<Settings>}
 */
export function samplerOf({ sampler, schedule }, model) {
  // A link without a sampler keeps the one there is, and its schedule type.
  if (sampler === undefined) return schedule === "" ? { schedule: undefined } : {};
  const given = pairOf({ sampler, schedule });
  if (!model) return schedule === undefined && !given.schedule ? { sampler: given.sampler } : given;
  const own = ownSchedule(model);
  if (sampler === "") {
    const { sampler: name } = pairOf({ sampler: model.default_sampler });
    return pairOf({ sampler: name, schedule: given.schedule || own });
  }
  if (schedule === undefined && !given.schedule) return { sampler: given.sampler };
  if (given.sampler === "dpm++2m" && own) {
    if (given.schedule === "") return { ...given, schedule: "normal" };
    if (given.schedule === "model") return { ...given, schedule: own };
  }
  return given;
}

/**
 * @param {Settings} settings valid ones
 * @returns {import("../engine/protocol.js").Request}
 */
export function requestOf({
  prompt,
  negative_prompt,
  seed,
  steps,
  guidance_scale,
  sampler,
  width,
  height,
  ...advanced
}) {
  return {
    prompt,
    negative_prompt,
    seed,
    steps: Number(steps),
    guidance_scale: Number(guidance_scale),
    ...(sampler && { sampler }),
    ...(width && { width: Number(width) }),
    ...(height && { height: Number(height) }),
    ...advancedRequest(advanced),
  };
}

/**
 * The settings as the fragment of the address, which browsers send to no server. An empty prompt
 * is written, too: a link to a picture without a negative prompt has to say so.
 * @param {Settings} settings
 * @param {Partial<Settings>} defaults left out at these values; all other fields are written
 */
export function toFragment(settings, defaults) {
  const words = new URLSearchParams();
  for (const field of FIELDS)
    if (settings[field] !== defaults[field]) words.set(fieldName(field), settings[field]);
  return `#${words}`;
}

/**
 * Reads settings from the fragment of an address.
 * @param {string} fragment
 * @returns {Partial<Settings>} those that it names
 */
export function fromFragment(fragment) {
  const words = new URLSearchParams(fragment.replace(/^#/, ""));
  /** @type {Partial<Settings>} */
  const settings = {};
  for (const field of FIELDS) {
    const value = words.get(fieldName(field)) ?? words.get(OLD_NAMES[field] ?? "");
    // An empty address names no model: the present one stays.
    if (value === null || (field === "model" && value.trim() === "")) continue;
    settings[field] = value;
  }
  return settings;
}

/** One line for people. @param {Settings} settings */
export function describe({
  seed,
  steps,
  guidance_scale,
  sampler,
  schedule,
  width,
  height,
  ...advanced
}) {
  const size = width && height ? ` · ${width}\u00a0×\u00a0${height}` : "";
  const type = schedule ? ` ${scheduleName(schedule)}` : "";
  const by = sampler ? ` · ${samplerName(sampler)}${type}` : "";
  const t = strings().studio.picture;
  const other = effectiveVariation(advanced);
  const variation = other
    ? [strings().noise.caption(other, Number(advanced.variation_strength))]
    : [];
  const all = [t.seed(seed), ...variation, t.steps(steps), t.guidance(guidance_scale)];
  const words = all.join(" · ");
  return `${words}${by}${size}`;
}
