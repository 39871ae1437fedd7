// @ts-check
/** Darkroom without the element: a model, and a queue of pictures. It touches no document. */
import { DarkroomError } from "../base/problem.js";
import { Client } from "../engine/client.js";
import { addressOf } from "./address.js";
import { ADVANCED_ROWS, propertyOf } from "./advanced-settings.js";
import { DarkroomAdditions } from "./darkroom-additions.js";
import { equip } from "./loras.js";
import { pictureFile } from "./picture-file.js";
import { until } from "./run.js";
import { invalidFields, randomSeed, requestOf, withModelDefaults } from "./settings.js";
import { TimingRecorder } from "./timings.js";

/** @typedef {import("../engine/protocol.js").Added} Added */
/** @typedef {import("../engine/protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("../engine/protocol.js").DeviceReport} DeviceReport */
/** @typedef {import("../engine/protocol.js").MemoryPlan} MemoryPlan */
/** @typedef {import("../engine/protocol.js").ModelInfo} ModelInfo */
/** @typedef {import("../engine/protocol.js").OpenProgress} OpenProgress */
/** @typedef {import("../engine/protocol.js").Opened} Opened */
/** @typedef {import("../engine/protocol.js").Prediction} Prediction */
/** @typedef {import("../engine/protocol.js").StepProgress} StepProgress */
/** @typedef {import("../engine/protocol.js").TokenCount} TokenCount */
/** @typedef {import("./run.js").Picture} Picture */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * @typedef {object} DarkroomOptions
 * @property {string | File | Record<string, File>} model `owner/name` or `owner/name@revision` on
 *   the hub; the address of a folder or of a .safetensors file, relative to the page; such a file;
 *   or the files of a folder by their paths in it, such as `unet/config.json`
 * @property {DeviceChoice} [device] default: auto
 * @property {Prediction} [prediction] prediction type of a checkpoint; default: auto
 * @property {string} [hub] address of the hub; default: Hugging Face
 * @property {AbortSignal} [signal] ends the opening of the model
 * @property {(progress: OpenProgress) => void} [onProgress] of the opening
 */

/**
 * @typedef {object} BasicOptions
 * @property {string} prompt
 * @property {string} [negativePrompt] default: none
 * @property {string | number | bigint} [seed] 0 … 2⁶⁴−1; default: a random one
 * @property {number} [steps] 1 … 1000; default: the model's
 * @property {number} [guidanceScale] 0 … 100; default: the model's
 * @property {string} [sampler] default: the model's
 * @property {number} [width] pixels; default: the model's
 * @property {number} [height] pixels; default: the model's
 * @property {AbortSignal} [signal] cancels: at once while the picture waits, else after a step
 * @property {(progress: StepProgress) => void} [onStep]
 */

/** @typedef {import("./advanced-settings.js").AdvancedSettings} AdvancedSettings */
/**
 * Further settings, as numbers or as texts: `clipSkip`, `negativeStrength` and so on.
 * @typedef {{[F in keyof AdvancedSettings as import("./advanced-settings.js").Property<F>]?:
 *   string | number | bigint | boolean}} AdvancedOptions
 */
/** @typedef {BasicOptions & AdvancedOptions} PictureOptions */

/**
 * Opens a model in a worker.
 * @param {DarkroomOptions} options
 * @returns {Promise<Darkroom>}
 * @throws {DarkroomError} says why the model could not be opened; an aborted `signal` throws its
 *   reason
 */
export async function createDarkroom(options) {
  const darkroom = new Darkroom(options);
  try {
    await until(darkroom.opened, options.signal);
    return darkroom;
  } catch (error) {
    darkroom.close();
    throw error;
  }
}

/** An open model. Made by `createDarkroom`. */
export class Darkroom {
  #options;
  #client = new Client(() => {
    // The picture in progress is rejected. The next one opens the model again.
    this.#opening = null;
  });
  /** @type {Promise<Opened> | null} */ #opening = null;
  /** @type {Opened | null} */ #opened = null;
  /** The last picture of the queue, when it is over. @type {Promise<unknown>} */
  #last = Promise.resolve();
  #closed = new AbortController();
  #additions;

  /** @param {DarkroomOptions} options */
  constructor(options) {
    this.#options = options;
    this.#additions = new DarkroomAdditions(this.#client, () => this.opened, options.hub);
  }

  /** The open model. It is opened again where the engine has died. @returns {Promise<Opened>} */
  get opened() {
    if (this.#closed.signal.aborted) return Promise.reject(closed());
    if (this.#opening) return this.#opening;
    const { model, device = "auto", prediction = "auto", hub, onProgress } = this.#options;
    const { files: additions, settings } = this.#additions;
    const opening = this.#client.open(
      {
        ...{ model: located(model, hub), device, prediction, fresh: false },
        ...{ additions, vae: settings.vae },
      },
      onProgress ?? (() => {}),
    );
    this.#opening = opening;
    opening.then(
      (opened) => {
        this.#opened = opened;
      },
      () => {
        if (this.#opening === opening) this.#opening = null;
      },
    );
    return opening;
  }

  /** Sizes, defaults and samplers of the model. @returns {ModelInfo} */
  get model() {
    return this.#known.model;
  }

  /** The device that pictures are computed on. @returns {DeviceReport} */
  get device() {
    return this.#known.device;
  }

  get #known() {
    if (!this.#opened) throw new DarkroomError("engine", "No model is open.");
    return this.#opened;
  }

  /**
   * Makes a picture. Calls run one after another, in the order of the calls.
   * @param {PictureOptions} options
   * @returns {Promise<Picture>}
   * @throws {DarkroomError} says why there is no picture; an aborted `signal` throws its reason
   */
  generate(options) {
    const timings = new TimingRecorder();
    const before = this.#last;
    const signal = both(this.#closed.signal, options.signal);
    const turn = (async () => {
      await until(before, signal);
      return this.#make(options, signal, timings);
    })();
    // One that is cancelled while it waits leaves the queue; those behind it wait for the others.
    this.#last = Promise.allSettled([before, turn]);
    return turn;
  }

  /**
   * @param {PictureOptions} options
   * @param {AbortSignal} signal
   * @param {TimingRecorder} timings
   * @returns {Promise<Picture>}
   */
  async #make(options, signal, timings) {
    const { model, device } = await until(this.opened, signal);
    const given = { ...this.#additions.settings, ...options };
    const wanted = withModelDefaults(settingsOf(given, this.#options, model), model);
    const { settings, using, warnings: absent } = equip(wanted, this.#additions.available);
    const [invalid] = invalidFields(settings, model.size_multiple).values();
    if (invalid) throw new DarkroomError("request", invalid);
    timings.begin();
    try {
      const finished = await this.#client.generate(
        requestOf(settings),
        using,
        signal,
        (progress) => {
          if (progress.merging === undefined) timings.step(progress);
          options.onStep?.(progress);
        },
      );
      const { picture } = finished;
      const warnings = [...absent, ...finished.warnings];
      const times = timings.end();
      const { rgba, width, height } = picture;
      const pixels = new ImageData(rgba, width, height);
      const blob = await encoded(pixels, settings);
      const bitmap = await createImageBitmap(pixels);
      const { seed } = settings;
      return { bitmap, blob, seed, settings, timings: times, warnings, device: device.name };
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }

  /** Counts the tokens of a prompt. @param {string} text @returns {Promise<TokenCount>} */
  async countTokens(text) {
    await this.opened;
    return this.#client.count(text);
  }

  /**
   * Memory that a picture of this size takes.
   * @param {number} width pixels
   * @param {number} height pixels
   * @returns {Promise<MemoryPlan>}
   */
  async memoryPlan(width, height) {
    await this.opened;
    return this.#client.plan(width, height);
  }

  /**
   * Adds a LoRA to the model. Its weight holds for all pictures that do not say otherwise.
   * @param {File | string} from a file, or an address as for a model
   * @param {import("./darkroom-additions.js").Weight} [weight] default: 1
   * @returns {Promise<Added>}
   * @throws {DarkroomError} it does not fit the model
   */
  addLora(from, weight) {
    return this.#additions.add("lora", from, weight);
  }

  /**
   * Changes the weight of a LoRA.
   * @param {string} name
   * @param {import("./darkroom-additions.js").Weight} weight
   */
  setLora(name, weight) {
    this.#additions.weigh(name, weight);
  }

  /** @param {string} name */
  removeLora(name) {
    return this.#additions.remove("lora", name);
  }

  /**
   * Adds an embedding. Prompts use it by one of its `words`.
   * @param {File | string} from
   * @returns {Promise<Added>}
   * @throws {DarkroomError} it does not fit the model
   */
  addEmbedding(from) {
    return this.#additions.add("embedding", from);
  }

  /** @param {string} name */
  removeEmbedding(name) {
    return this.#additions.remove("embedding", name);
  }

  /**
   * Puts a VAE in place of the model's own; null restores that.
   * @param {File | string | null} from
   * @returns {Promise<Added | null>}
   * @throws {DarkroomError} it does not fit the model
   */
  async setVae(from) {
    if (from !== null) return this.#additions.add("vae", from);
    this.#additions.ownVae();
    return null;
  }

  /** All that is added to the model. @returns {Added[]} */
  get additions() {
    return this.#additions.list;
  }

  /** Ends the worker and frees the model. Pictures in progress are rejected. */
  close() {
    this.#closed.abort(closed());
    this.#client.close();
  }

  /** For `await using`. */
  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    this.close();
  }
}

const closed = () => new DarkroomError("cancelled", "This Darkroom was closed.");

/**
 * A signal that aborts with either.
 * @param {AbortSignal} one
 * @param {AbortSignal} [other]
 */
function both(one, other) {
  if (!other) return one;
  const either = new AbortController();
  for (const signal of [one, other]) {
    const abort = () => either.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true, signal: either.signal });
  }
  return either.signal;
}

/**
 * @param {DarkroomOptions["model"]} model
 * @param {string} [hub]
 * @returns {string | import("../engine/protocol.js").LocalModel}
 */
function located(model, hub) {
  if (typeof model === "string") {
    // A worker that was started from a blob has its page's address in the blob's.
    const base = globalThis.document?.baseURI ?? location.href.replace(/^blob:/, "");
    return addressOf(model, base, hub);
  }
  if (model instanceof File)
    return { name: model.name, checkpoint: model.name, files: { [model.name]: model } };
  return { name: "folder", checkpoint: null, files: model };
}

/**
 * The options of a picture as settings, which are texts.
 * @param {PictureOptions} options
 * @param {DarkroomOptions} about
 * @param {ModelInfo} info
 * @returns {Settings}
 */
function settingsOf(options, { model, device = "auto", prediction = "auto" }, info) {
  const text = (/** @type {unknown} */ value, /** @type {string} */ otherwise) =>
    value === undefined || value === null ? otherwise : String(value);
  const advanced = ADVANCED_ROWS.map(([field, { neutral }]) => [
    field,
    text(Reflect.get(options, propertyOf(field)), neutral),
  ]);
  return {
    prompt: text(options.prompt, ""),
    negative_prompt: text(options.negativePrompt, ""),
    seed: text(options.seed, randomSeed()),
    steps: text(options.steps, String(info.default_steps)),
    guidance_scale: text(options.guidanceScale, String(info.default_guidance_scale)),
    sampler: text(options.sampler, ""),
    width: text(options.width, ""),
    height: text(options.height, ""),
    device,
    model: typeof model === "string" ? model : model instanceof File ? model.name : "folder",
    prediction,
    ...Object.fromEntries(advanced),
  };
}

/**
 * A PNG file with the generation parameters.
 * @param {ImageData} pixels
 * @param {Settings} settings
 */
function encoded(pixels, settings) {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  const context = canvas.getContext("2d");
  if (!context) throw new DarkroomError("engine", "This browser gave no 2D canvas.");
  context.putImageData(pixels, 0, 0);
  return pictureFile(canvas, settings);
}
