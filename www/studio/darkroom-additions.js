// @ts-check
/** Additions to the model of a `Darkroom`: LoRAs, embeddings and a VAE. */
import { DarkroomError } from "../base/problem.js";
import { addressOf } from "./address.js";
import { lorasText, nameOfFile } from "./loras.js";

/** @typedef {import("../engine/client.js").Client} Client */
/** @typedef {import("../engine/protocol.js").Added} Added */
/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("../engine/protocol.js").LoraWeights} LoraWeights */
/**
 * The weight of a LoRA: for U-Net and text encoder together, or apart.
 * @typedef {number | {unet: number, textEncoder: number}} Weight
 */

/** @param {string} name @param {Weight} weight @returns {LoraWeights} */
const weightsOf = (name, weight) =>
  typeof weight === "number"
    ? { name, text_encoder: weight, unet: weight }
    : { name, text_encoder: weight.textEncoder, unet: weight.unet };

export class DarkroomAdditions {
  #client;
  #opened;
  #hub;
  /** @type {{addition: Addition, added: Added}[]} */ #all = [];
  /** @type {LoraWeights[]} */ #loras = [];
  /** The name of the VAE in use; empty: the model's own. */ #vae = "";

  /**
   * @param {Client} client
   * @param {() => Promise<unknown>} opened waits for the model
   * @param {string} [hub]
   */
  constructor(client, opened, hub) {
    this.#client = client;
    this.#opened = opened;
    this.#hub = hub;
  }

  /** The files for a model that is opened again. @returns {Addition[]} */
  get files() {
    return this.#all.map(({ addition }) => addition);
  }

  /** @returns {Added[]} */
  get list() {
    return this.#all.map(({ added }) => added);
  }

  /** Settings of a picture that does not say otherwise. */
  get settings() {
    return { loras: lorasText(this.#loras), vae: this.#vae };
  }

  /** @returns {import("./loras.js").Available} */
  get available() {
    const named = (/** @type {string} */ kind) => this.list.filter((one) => one.kind === kind);
    return {
      loras: named("lora").map(({ name }) => name),
      vaes: named("vae").map(({ name }) => name),
      words: named("embedding").map(({ words }) => words),
    };
  }

  /**
   * @param {Addition["kind"]} kind
   * @param {File | string} from a file or an address
   * @param {Weight} [weight]
   * @returns {Promise<Added>}
   */
  async add(kind, from, weight = 1) {
    const file = typeof from === "string" ? await this.#fetched(from) : from;
    const addition = { kind, name: nameOfFile(file.name), file };
    const { name } = addition;
    await this.#opened();
    const added = await this.#client.add(addition);
    this.#all = this.#all.filter(({ added: one }) => one.kind !== kind || one.name !== name);
    this.#all.push({ addition, added });
    if (kind === "vae") this.#vae = name;
    if (kind === "lora") this.#loras = [...this.#without(name), weightsOf(name, weight)];
    return added;
  }

  /** @param {string} text */
  async #fetched(text) {
    const { fetchFile } = await import("../weights/whole-file.js");
    const base = globalThis.document?.baseURI ?? location.href.replace(/^blob:/, "");
    return fetchFile(addressOf(text, base, this.#hub).replace(/\/$/, ""), () => {});
  }

  /** @param {string} name */
  #without(name) {
    return this.#loras.filter((lora) => lora.name !== name);
  }

  /** @param {string} name of a LoRA @param {Weight} weight */
  weigh(name, weight) {
    if (!this.available.loras.includes(name))
      throw new DarkroomError("request", `There is no LoRA “${name}” here.`);
    this.#loras = [...this.#without(name), weightsOf(name, weight)];
  }

  /** Restores the model's own VAE. */
  ownVae() {
    this.#vae = "";
  }

  /** @param {Addition["kind"]} kind @param {string} name */
  async remove(kind, name) {
    const before = this.#all;
    this.#all = before.filter(({ added }) => added.kind !== kind || added.name !== name);
    if (kind === "lora") this.#loras = this.#without(name);
    if (this.#all.length === before.length) return;
    await this.#opened();
    await this.#client.remove(kind, name);
  }
}
