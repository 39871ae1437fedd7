// @ts-check
/** Named sets of prompts, in the order of their names. */

/** @typedef {import("./database.js").Database} Database */
/** @typedef {{name: string, prompt: string, negative_prompt: string}} PromptSet */

/** Keeps sets in memory, and in the database where that works. */
export class PromptSetStore {
  #database;
  /** @type {Map<string, PromptSet>} */ #sets = new Map();

  /** @param {Database | null} database null: in memory only */
  constructor(database) {
    this.#database = database;
  }

  /** @returns {Promise<PromptSet[]>} */
  async all() {
    /** @type {PromptSet[] | null} */
    const kept = await this.#run("readonly", (store) => store("sets").getAll());
    // Another tab may have changed some, so the database counts where it answers.
    if (kept) this.#sets = new Map(kept.map((one) => [one.name, one]));
    return [...this.#sets.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  /**
   * Keeps sets; one with the same name is replaced.
   * @param {readonly PromptSet[]} sets
   * @returns {Promise<boolean>} false: in memory only, until the page is closed
   */
  async put(sets) {
    for (const set of sets) this.#sets.set(set.name, set);
    const keys = await this.#run("readwrite", (store) => {
      for (const set of sets) store("sets").put(set);
      return store("sets").count();
    });
    return keys !== null;
  }

  /** @param {string} name */
  async remove(name) {
    this.#sets.delete(name);
    await this.#run("readwrite", (store) => void store("sets").delete(name));
  }

  /**
   * Gives a set another name.
   * @param {PromptSet} set
   * @param {string} name that no other set has
   */
  async rename(set, name) {
    const renamed = { ...set, name };
    this.#sets.delete(set.name);
    this.#sets.set(name, renamed);
    await this.#run("readwrite", (store) => {
      store("sets").delete(set.name);
      store("sets").put(renamed);
    });
  }

  /**
   * @template [T=undefined]
   * @param {IDBTransactionMode} mode
   * @param {(store: (name: "sets") => IDBObjectStore) => IDBRequest<T> | void} work
   * @returns {Promise<T | null>} null where nothing can be kept
   */
  async #run(mode, work) {
    try {
      return (await this.#database?.run(["sets"], mode, work)) ?? null;
    } catch {
      return null;
    }
  }
}
