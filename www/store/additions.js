// @ts-check
/**
 * Files that are added to models, in a database of their own: they are large, and the other
 * storage must open without them.
 */
import { Database } from "./database.js";

/**
 * A file in the browser's storage.
 * @typedef {object} KeptAddition
 * @property {string} id kind and name
 * @property {"lora" | "embedding" | "vae"} kind
 * @property {string} name
 * @property {File} file
 * @property {File} [config] of a VAE
 * @property {number} when milliseconds since 1970
 */

/** @type {((database: IDBDatabase) => void)[]} */
const STEPS = [(database) => void database.createObjectStore("additions", { keyPath: "id" })];

/** @param {string} kind @param {string} name */
const idOf = (kind, name) => `${kind} ${name}`;

export class AdditionStore {
  #database = new Database("darkroom-additions", STEPS);

  /** All files, the oldest first. @returns {Promise<KeptAddition[]>} */
  async all() {
    /** @type {KeptAddition[]} */
    const all = await this.#database.run(["additions"], "readonly", (store) =>
      store("additions").getAll(),
    );
    return all.sort((a, b) => a.when - b.when);
  }

  /** @param {Omit<KeptAddition, "id">} addition */
  async put(addition) {
    const record = { ...addition, id: idOf(addition.kind, addition.name) };
    await this.#database.run(["additions"], "readwrite", (store) => {
      store("additions").put(record);
    });
  }

  /** @param {string} kind @param {string} name */
  async remove(kind, name) {
    await this.#database.run(["additions"], "readwrite", (store) => {
      store("additions").delete(idOf(kind, name));
    });
  }
}
