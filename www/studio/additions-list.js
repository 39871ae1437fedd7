// @ts-check
/** The list of what is added to the model, in the engine and in the browser's storage. */
import { AdditionStore } from "../store/additions.js";
import { strings } from "../strings/index.js";
import { storageEstimate } from "../weights/cache.js";
import { lorasOf, lorasText, nameOfFile } from "./loras.js";

/** @typedef {import("../engine/protocol.js").Added} Added */
/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * An addition in the list.
 * @typedef {Addition & Added & {kept: boolean, checked: boolean}} Entry
 * `kept`: the browser keeps its file; `checked`: an engine has examined it
 */

export class AdditionList {
  #session;
  #store;
  /** @type {Entry[]} */ entries = [];

  /** @param {Session} session @param {boolean} keep the files outlive the page */
  constructor(session, keep) {
    this.#session = session;
    this.#store = keep ? new AdditionStore() : null;
  }

  /** Reads the files that earlier visits have kept. */
  async load() {
    const all = (await this.#store?.all().catch(() => [])) ?? [];
    this.entries = all.map(({ kind, name, file, config }) => ({
      ...unexamined({ kind, name, file, config }),
      kept: true,
    }));
  }

  /** The browser keeps at least one file. */
  get keeps() {
    return this.entries.some(({ kept }) => kept);
  }

  /** @returns {Addition[]} */
  get files() {
    return this.entries.map(({ kind, name, file, config }) => ({ kind, name, file, config }));
  }

  /** Names of the additions that fit the model. */
  get available() {
    const fitting = this.entries.filter(({ problem }) => !problem);
    const named = (/** @type {Addition["kind"]} */ kind) =>
      fitting.filter((entry) => entry.kind === kind);
    return {
      loras: named("lora").map(({ name }) => name),
      vaes: named("vae").map(({ name }) => name),
      words: named("embedding").map(({ words }) => words),
    };
  }

  /** Notes what an engine says about the files. @param {Added[]} added */
  examined(added) {
    for (const one of added) {
      const entry = this.#find(one.kind, one.name);
      if (entry) Object.assign(entry, one, { checked: true });
    }
  }

  /** @param {string} kind @param {string} name */
  #find(kind, name) {
    return this.entries.find((entry) => entry.kind === kind && entry.name === name);
  }

  /**
   * Adds a file to the loaded model and to the list, in place of one of the same kind and name.
   * @param {Addition["kind"]} kind
   * @param {File} file
   * @param {File} [config]
   * @returns {Promise<{added: Entry, note: string}>} `note`: why it does not outlive the page
   */
  async add(kind, file, config) {
    const addition = { kind, name: nameOfFile(file.name), file, config };
    const examined = await this.#session.add(addition);
    const entry = { ...unexamined(addition), ...examined, checked: examined !== null };
    this.entries = [...this.entries.filter((other) => !same(other, entry)), entry];
    const note = await this.#keep(entry);
    return { added: entry, note };
  }

  /** @param {Entry} entry @returns {Promise<string>} why it is not kept; empty: it is */
  async #keep(entry) {
    if (!this.#store) return "";
    const { kind, name, file, config } = entry;
    const t = strings().additions;
    const { bytes } = strings().studio.models;
    const space = await storageEstimate();
    if (space && file.size > space.free)
      return t.notKept(file.name, t.noRoom(bytes(file.size), bytes(space.free)));
    try {
      await this.#store.put({ kind, name, file, config, when: Date.now() });
      entry.kept = true;
      return "";
    } catch {
      return t.notKept(file.name, t.storageFailed);
    }
  }

  /** @param {Addition["kind"]} kind @param {string} name */
  async remove(kind, name) {
    const entry = this.#find(kind, name);
    if (!entry) return;
    this.entries = this.entries.filter((other) => other !== entry);
    if (entry.kept) await this.#store?.remove(kind, name).catch(() => {});
    await this.#session.remove(kind, name);
  }

  /**
   * The settings that use an addition. A weight that they have already stays.
   * @param {Settings} settings
   * @param {Added} added
   * @returns {Partial<Settings>}
   */
  settingsWith({ loras = "" }, { kind, name }) {
    if (kind === "vae") return { vae: name };
    if (kind !== "lora") return {};
    const all = lorasOf(loras);
    const known = all.some((lora) => lora.name === name);
    return known ? {} : { loras: lorasText([...all, { name, text_encoder: 1, unet: 1 }]) };
  }

  /**
   * The settings without an addition.
   * @param {Settings} settings
   * @param {Addition["kind"]} kind
   * @param {string} name
   * @returns {Partial<Settings>}
   */
  settingsWithout({ loras = "", vae = "" }, kind, name) {
    if (kind === "vae") return vae === name ? { vae: "" } : {};
    if (kind !== "lora") return {};
    return { loras: lorasText(lorasOf(loras).filter((lora) => lora.name !== name)) };
  }
}

/** @param {Addition} addition @returns {Entry} */
const unexamined = (addition) => ({
  ...addition,
  words: [nameOfFile(addition.file.name)],
  vectors: 0,
  warnings: [],
  problem: "",
  kept: false,
  checked: false,
});

/** @param {Entry} a @param {Entry} b */
const same = (a, b) => a.kind === b.kind && a.name === b.name;
