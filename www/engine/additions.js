// @ts-check
/**
 * The engine's additions to a model: LoRAs, learned words and VAEs. The worker opens their files,
 * and sets before each picture what the picture's settings name.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { LocalSource } from "../weights/local.js";

/** @typedef {import("../pkg/darkroom.js").Engine} Engine */
/** @typedef {import("./protocol.js").Added} Added */
/** @typedef {import("./protocol.js").Addition} Addition */
/** @typedef {import("./protocol.js").Using} Using */

/** @param {Addition} addition */
function sourceOf({ file, config }) {
  const { name } = file;
  if (!config) return new LocalSource({ name, checkpoint: name, files: { [name]: file } });
  const files = { "config.json": config, "diffusion_pytorch_model.safetensors": file };
  return new LocalSource({ name, checkpoint: null, files });
}

export class EngineAdditions {
  /** By name. @type {Map<string, Addition>} */ #vaes = new Map();
  /** The VAE in place of the model's own; empty: none. */ #vae = "";
  /** Warnings about that VAE. @type {string[]} */ #warnings = [];
  /** Names of the engine's LoRAs. @type {Set<string>} */ #loras = new Set();
  /** Names in prompts of each learned word. @type {Map<string, string[]>} */ #words = new Map();

  /**
   * Puts a VAE in place before a model is loaded: the model may have none of its own.
   * @param {Engine} engine
   * @param {Addition | undefined} vae
   */
  async begin(engine, vae) {
    await engine.setVae(vae ? sourceOf(vae) : null, () => {});
    this.#vae = vae?.name ?? "";
  }

  /**
   * Adds files to a model that has just been loaded. A VAE that is not in use is examined when a
   * picture wants it.
   * @param {Engine} engine
   * @param {Addition[]} additions
   * @returns {Promise<Added[]>} with the reason for each that does not fit
   */
  async addAll(engine, additions) {
    /** @type {Added[]} */
    const all = [];
    for (const addition of additions) {
      const { kind, name } = addition;
      const added = { kind, name, words: [], vectors: 0, warnings: [], problem: "" };
      try {
        if (kind === "vae") {
          this.#vaes.set(name, addition);
          all.push({ ...added, warnings: name === this.#vae ? this.#warnings : [] });
        } else all.push(await this.add(engine, addition));
      } catch (error) {
        if (error instanceof WebAssembly.RuntimeError) throw error;
        all.push({ ...added, problem: problemOf(error, "file").message });
      }
    }
    return all;
  }

  /**
   * Adds a file, in place of one of the same kind and name.
   * @param {Engine} engine
   * @param {Addition} addition
   * @returns {Promise<Added>}
   */
  async add(engine, addition) {
    const { kind, name } = addition;
    const added = { kind, name, words: [name], vectors: 0, problem: "" };
    const source = sourceOf(addition);
    if (kind === "lora") {
      const { warnings } = await engine.addLora(name, source, 0, 0);
      this.#loras.add(name);
      return { ...added, warnings };
    }
    if (kind === "embedding") {
      const { names, vectors } = await engine.addEmbedding(null, source);
      this.#words.set(name, names);
      return { ...added, words: names, vectors, warnings: [] };
    }
    this.#warnings = await engine.setVae(source, () => {});
    this.#vae = name;
    this.#vaes.set(name, addition);
    return { ...added, warnings: this.#warnings };
  }

  /** @param {Engine} engine @param {Addition["kind"]} kind @param {string} name */
  async remove(engine, kind, name) {
    if (kind === "lora") {
      engine.removeLora(name);
      this.#loras.delete(name);
    } else if (kind === "embedding") {
      const [word] = this.#words.get(name) ?? [];
      if (word !== undefined) engine.removeEmbedding(word);
      this.#words.delete(name);
    } else {
      this.#vaes.delete(name);
      if (this.#vae === name) await this.#setVae(engine, "");
    }
  }

  /**
   * Prepares the engine for a picture.
   * @param {Engine} engine
   * @param {import("./protocol.js").Request} request
   * @param {Using} using
   * @param {(done: number, total: number) => void} progress of changing the weights
   * @returns {Promise<string[]>} warnings
   */
  async prepare(engine, request, { loras, vae }, progress) {
    if (vae !== this.#vae) await this.#setVae(engine, vae);
    const weights = new Map(loras.map((lora) => [lora.name, lora]));
    for (const name of this.#loras) {
      const { unet = 0, text_encoder = 0 } = weights.get(name) ?? {};
      engine.setLora(name, unet, text_encoder);
    }
    await engine.prepare(request, progress);
    return this.#warnings;
  }

  /** @param {Engine} engine @param {string} name empty: the model's own */
  async #setVae(engine, name) {
    const addition = this.#vaes.get(name);
    if (name && !addition) throw new DarkroomError("request", `There is no VAE “${name}” here.`);
    this.#warnings = await engine.setVae(addition ? sourceOf(addition) : null, () => {});
    this.#vae = name;
  }
}
