// @ts-check
/** English texts of the list of models, of samplers, and of what a model's kind means. */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("en");

/** @param {number} bytes */
const size = (bytes) => {
  const [value, unit] = bytes < 1e9 ? [bytes / 1e6, "MB"] : [bytes / 1e9, "GB"];
  return `${number("en", value, { maximumFractionDigits: bytes < 1e9 ? 0 : 1 })} ${unit}`;
};

const sampling = {
  schedule: "Schedule type",
  none: (/** @type {string} */ sampler) =>
    `${sampler} has timesteps of its own: a schedule type has no effect.`,
  calls: (/** @type {string} */ name, /** @type {number} */ calls) =>
    `${name} (${calls} calls a step)`,
  expert: "Expert settings",
  modelDefault: "Model default",
  clipSkip: "Clip skip",
  clipSkipTitle:
    "Last layer of the text encoder, counted from the end. Many drawing models want 2.",
  clipSkipRange: (/** @type {number} */ most) =>
    `Clip skip is a whole number from 1 to ${most}, or empty for the model’s own.`,
  spacing: "Timestep spacing",
  zeroSnr: "Zero terminal SNR",
  yes: "yes",
  no: "no",
  finalSigma: "Final sigma",
  zero: "0",
  lowest: "lowest of the training",
};

const negative = {
  embedded: "A negative prompt has no effect with this model: its guidance is a part of the U-Net.",
  turbo: "This model is made for a guidance scale of 1, where a negative prompt has no effect.",
  below: "Below a guidance scale of 1 the picture moves toward the negative prompt.",
};

const shelf = {
  open: "Models…",
  openTitle: "Models to choose from, and those saved in this browser",
  title: "Models",
  about: "A model is downloaded once, when you press its button, and works without a network then.",
  loading: "Reading the list…",
  inUse: "in use",
  saved: "saved for offline use",
  partly: (/** @type {number} */ bytes, /** @type {number} */ all) =>
    `partly downloaded: ${size(bytes)} of ${size(all)}`,
  some: (/** @type {number} */ bytes) => `partly downloaded: ${size(bytes)}`,
  absent: "not downloaded",
  gone: "not found on its server",
  refused: "its server asks for a licence to be accepted",
  use: "Use",
  download: (/** @type {number} */ bytes) => `Download ${size(bytes)}`,
  resume: "Continue the download",
  page: "Its page",
  size: (/** @type {number} */ bytes) => `${size(bytes)} to download`,
  memory: (/** @type {number} */ bytes, /** @type {string} */ picture) =>
    `about ${size(bytes)} of memory at ${picture}`,
  savedSize: (/** @type {number} */ bytes, /** @type {string} */ day) =>
    `${size(bytes)}, saved on ${day}`,
  licence: "Licence:",
  seePage: "see the model’s page",
  defaults: (/** @type {number} */ steps, /** @type {string} */ scale) =>
    `${plural(steps, { one: "1\u00a0step", other: `${steps}\u00a0steps` })}, ` +
    `guidance\u00a0${scale}`,
  whatToDo: {
    gone:
      "It may have been renamed or deleted. Look for a copy under another name and enter it " +
      "below, or choose a file you have.",
    refused:
      "Open its page, sign in and accept the licence there. Then download its .safetensors file, " +
      "and choose the file here.",
  },
  other: "Any other model",
  otherLabel: "Name or address of a model",
  otherHint:
    "Stable Diffusion 1 or 2: owner/name on Hugging Face, the address of a folder or of a " +
    ".safetensors file, or a file of yours.",
  load: "Load",
  unreadable: (/** @type {string} */ address, /** @type {string} */ why) =>
    `The list of models at ${address} cannot be used: ${why}`,
};

/** Reasons why a list of models cannot be used. */
const catalogue = {
  status: (/** @type {number} */ status) => `the server answered ${status}.`,
  unreachable: "it could not be fetched.",
  json: (/** @type {string} */ why) => `it is no JSON (${why}).`,
  large: (/** @type {number} */ most) => `it has more than ${most} bytes.`,
  value: (
    /** @type {string} */ where,
    /** @type {string} */ expected,
    /** @type {string} */ actual,
  ) => `${where} is ${actual}, expected ${expected}.`,
  nothing: "missing",
  expected: {
    object: "an object {…}",
    text: "a text",
    bytes: "a whole number of bytes",
    link: "an http or https address",
    list: (/** @type {number} */ most) => `a list of at most ${most} models`,
    number: (/** @type {number} */ min, /** @type {number} */ max) =>
      `a number from ${min} to ${max}`,
    whole: (/** @type {number} */ min, /** @type {number} */ max) =>
      `a whole number from ${min} to ${max}`,
    side: (/** @type {number} */ min, /** @type {number} */ max) =>
      `a multiple of 8 from ${min} to ${max}`,
  },
  twice: (/** @type {string} */ where, /** @type {string} */ other) =>
    `${where} has the address of ${other}.`,
};

export const models = { size, sampling, negative, shelf, catalogue };
