// @ts-check
/** Prompts that were used, the latest first. */

/** @typedef {import("./database.js").Database} Database */

/**
 * @typedef {object} UsedPrompt
 * @property {string} key both prompts
 * @property {string} prompt
 * @property {string} negative_prompt
 * @property {number} used the last time, in milliseconds since 1970
 * @property {number} times
 */

/** More prompts than this are not kept: the ones unused for longest go first. */
export const PROMPTS_AT_MOST = 500;

/** @param {string} prompt @param {string} negative */
const keyOf = (prompt, negative) => JSON.stringify([prompt, negative]);

/** Keeps prompts in memory, and in the database where that works. */
export class PromptStore {
  #database;
  /** @type {Map<string, UsedPrompt>} */ #prompts = new Map();
  #loaded = false;

  /** @param {Database | null} database null: in memory only */
  constructor(database) {
    this.#database = database;
  }

  /** @returns {Promise<UsedPrompt[]>} the latest first */
  async all() {
    const kept = await this.#run("readonly", (store) => store("prompts").getAll());
    // Another tab may have deleted some, so the database counts where it answers.
    if (kept) this.#prompts = new Map(kept.map((one) => [one.key, one]));
    this.#loaded = kept !== null;
    return this.#latestFirst();
  }

  /** @param {string} prompt @param {string} negative @param {number} now */
  async use(prompt, negative, now = Date.now()) {
    if (!prompt.trim() && !negative.trim()) return;
    if (!this.#loaded) await this.all();
    const key = keyOf(prompt, negative);
    const times = (this.#prompts.get(key)?.times ?? 0) + 1;
    const one = { key, prompt, negative_prompt: negative, used: now, times };
    this.#prompts.set(key, one);
    const old = this.#latestFirst().slice(PROMPTS_AT_MOST);
    for (const { key } of old) this.#prompts.delete(key);
    await this.#run("readwrite", (store) => {
      store("prompts").put(one);
      for (const { key } of old) store("prompts").delete(key);
    });
  }

  /** @param {string} key */
  async remove(key) {
    this.#prompts.delete(key);
    await this.#run("readwrite", (store) => void store("prompts").delete(key));
  }

  async clear() {
    this.#prompts.clear();
    await this.#run("readwrite", (store) => void store("prompts").clear());
  }

  #latestFirst() {
    return [...this.#prompts.values()].sort((a, b) => b.used - a.used);
  }

  /**
   * @template [T=undefined]
   * @param {IDBTransactionMode} mode
   * @param {(store: (name: "prompts") => IDBObjectStore) => IDBRequest<T> | void} work
   * @returns {Promise<T | null>} null where nothing can be kept
   */
  async #run(mode, work) {
    try {
      return (await this.#database?.run(["prompts"], mode, work)) ?? null;
    } catch {
      return null;
    }
  }
}
