// @ts-check
/** English texts of the form, the settings and the picture view. */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("en");

/** @param {number} value @param {number} digits after the point */
const fixed = (value, digits) =>
  number("en", value, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** @param {number} seconds */
const duration = (seconds) => {
  if (seconds < 1.5) return "about a second";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  return `about ${Math.round(seconds / 60)} min`;
};

const prompts = {
  prompt: "Prompt",
  promptHint: "what you want",
  promptExample: "Portrait photo of a man",
  negative: "Negative prompt",
  negativeHint: "what you don’t want",
  negativeExample: "mustache",
  tokens: (/** @type {number} */ count, /** @type {number} */ limit) =>
    `${count} / ${limit} tokens`,
  long: (/** @type {number} */ limit, /** @type {number} */ parts, /** @type {string} */ end) =>
    `Long prompt: ${limit} tokens at a time, so this is split into ${parts} chunks. ` +
    `The first ends before “${end}”.`,
  noEffect: "At a guidance scale of 1 the negative prompt has no effect.",
  writeFirst: "Write here what you don’t want, then compare.",
};

const actions = {
  generate: "Generate",
  generateTitle: "Ctrl + Enter in a prompt",
  compare: "Compare: with and without the negative prompt",
  compareTitle: "Two pictures from the same seed",
  cancel: "Cancel",
  cancelTitle: "Escape",
  stopNow: "Stop now",
  progress: "Progress",
};

const settings = {
  title: "Settings",
  reset: "Reset",
  resetGroup: (/** @type {string} */ title) => `Reset: ${title}`,
  seed: "Seed",
  newSeed: "New random seed",
  lock: "Lock",
  lockSeed: "Lock seed",
  lockTitle: "Otherwise every picture gets a new seed",
  steps: "Steps",
  guidance: "Guidance scale",
  sampler: "Sampler",
  samplerDefault: "Model default",
  isDefault: (/** @type {string} */ name) => `${name} (default)`,
  size: "Size",
  width: "width",
  height: "height",
  widthLabel: "Width in pixels",
  heightLabel: "Height in pixels",
  pixels: "pixels",
  device: "Device",
  auto: "Auto",
  gpu: "GPU",
  cpu: "CPU",
  model: "Model",
  modelExample: "owner/name or https://…",
  modelTitle:
    "owner/name or owner/name@revision on Hugging Face, or the address of a folder in diffusers’ " +
    "layout or of a .safetensors file",
  file: "File…",
  fileTitle: "A checkpoint, LoRA, embedding or VAE, or a picture; it stays on your machine",
  folder: "Folder…",
  folderTitle: "A folder in diffusers’ layout; it stays on your disk",
  prediction: "Prediction type",
  predictionTitle: "With the wrong one, pictures are noise.",
  predictionAuto: "Auto",
  epsilon: "epsilon (most)",
  v: "v (SD 2 at 768)",
};

const invalid = {
  seed: (/** @type {bigint} */ most) => `The seed is a whole number from 0 to ${most}.`,
  steps: (/** @type {number} */ most) => `Steps are a whole number from 1 to ${most}.`,
  guidance: (/** @type {number} */ most) =>
    `The guidance scale is a number from 0 to ${most}, such as 7.5.`,
  width: (/** @type {number} */ multiple) => `The width is a multiple of ${multiple} pixels`,
  height: (/** @type {number} */ multiple) => `The height is a multiple of ${multiple} pixels`,
  suchAs: (/** @type {number} */ pixels) => `, such as ${pixels}`,
  outOfRange: (
    /** @type {string} */ value,
    /** @type {{min: number, max: number}} */ { min, max },
  ) => `“${value}” is not possible here: ${min} to ${max}.`,
};

const picture = {
  stage: "Picture",
  empty: "The first picture appears here.",
  save: "Save",
  none: "No picture yet",
  label: (/** @type {string} */ prompt, /** @type {string} */ negative) =>
    `Picture of “${prompt}”, ${negative ? `negative prompt “${negative}”` : "no negative prompt"}`,
  with: (/** @type {string} */ negative) => `With the negative prompt “${negative}”`,
  without: "Without a negative prompt",
  seed: (/** @type {string} */ seed) => `Seed ${seed}`,
  steps: (/** @type {string} */ steps) =>
    plural(Number(steps), { one: `${steps} step`, other: `${steps} steps` }),
  guidance: (/** @type {string} */ scale) => `guidance ${scale}`,
  seconds: (/** @type {number} */ seconds) => `${fixed(seconds, seconds < 10 ? 1 : 0)} s`,
  drop: "Drop a model, a LoRA, an embedding or a VAE, or a picture with its settings",
};

const models = {
  title: "Downloaded models",
  close: "Close",
  about: "Models saved in this browser. They load without a network.",
  use: "Use",
  delete: "Delete",
  deleteAll: "Delete all",
  actOn: (/** @type {string} */ act, /** @type {string} */ name) => `${act} ${name}`,
  deleted: (/** @type {string} */ name) => `${name} was deleted.`,
  allDeleted: "All models were deleted.",
  none: "None yet.",
  total: (/** @type {string} */ size, /** @type {number} */ count) =>
    `${size} in ${plural(count, { one: "one model", other: `${count} models` })}.`,
  left: (/** @type {string} */ size) => ` ${size} left for this page in this browser.`,
  lasting: " It keeps them until you delete them.",
  evictable: " It may delete them when its storage runs short.",
  incomplete: "not complete",
  inUse: "in use",
  bytes: (/** @type {number} */ bytes) =>
    bytes < 1e9 ? `${fixed(bytes / 1e6, bytes < 1e8 ? 1 : 0)} MB` : `${fixed(bytes / 1e9, 2)} GB`,
};

const status = {
  noWebAssembly:
    "Darkroom computes its pictures in your browser. It needs WebAssembly, which is not available.",
  ready: "Ready.",
  readyOn: (/** @type {string} */ device) => `Ready. Pictures are made on ${device}.`,
  byWebGpu: ", by WebGPU.",
  encoding: "Encoding the prompts",
  making: "Making the picture.",
  stopping: "Stopping after this step…",
  cancelled: "Cancelled.",
  finished: (/** @type {number} */ seconds, /** @type {string} */ device) =>
    `Finished in ${fixed(seconds, 1)} s on ${device}.`,
  restored: (/** @type {string} */ name) => `Settings of ${name} restored.`,
  noParameters: (/** @type {string} */ name) =>
    `${name} has no generation parameters that Darkroom can read.`,
  needs: (/** @type {string} */ size, /** @type {string} */ picture) =>
    `Needs ${size} of memory at ${picture}.`,
  inTiles: ", decoded in tiles",
  saved: "saved for offline use",
  notSaved: (/** @type {string} */ why) => `not saved, because ${why}`,
  onDisk: "read from your disk",
  predictionType: (/** @type {string} */ type) => `Prediction type: ${type}.`,
  deletedModel: (/** @type {string} */ size) =>
    `${size}, deleted from the browser’s cache; still loaded in this tab.`,
};

const progress = {
  device: "Looking for a GPU",
  engine: "Starting the engine",
  test: "Testing the device",
  thenPicture: ", then the picture",
  loading: "Loading the model",
  loadingBytes: (/** @type {number} */ done, /** @type {number} */ total) => {
    const megabytes = (/** @type {number} */ bytes) => fixed(bytes / 1e6, bytes < 1e8 ? 1 : 0);
    return `Loading the model · ${megabytes(done)} of ${megabytes(total)} MB`;
  },
  picture: (/** @type {number} */ at, /** @type {number} */ count) =>
    `Picture ${at} of ${count} · `,
  developing: "Developing",
  step: (/** @type {number} */ step, /** @type {number} */ steps) => `Step ${step} of ${steps}`,
  call: (/** @type {number} */ call, /** @type {number} */ calls) => `, call ${call} of ${calls}`,
  left: (/** @type {number} */ seconds) => ` · ${duration(seconds)} left`,
  halfway: "Halfway.",
  engineBytes: (/** @type {number} */ done, /** @type {number} */ total) =>
    `Loading the engine · ${fixed(done / 1e6, 1)} of ${fixed(total / 1e6, 1)} MB`,
};

export const studio = { prompts, actions, settings, invalid, picture, models, status, progress };
