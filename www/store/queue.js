// @ts-check
/**
 * Waiting runs in the browser's storage, and locks that let one tab alone make each of them. A tab
 * holds a lock while it is open. The runs of a tab without a lock have been left behind.
 */
import { newId } from "./pictures.js";

/** @typedef {import("./database.js").Database} Database */

/**
 * A run that waits or is being made.
 * @typedef {object} QueueRecord
 * @property {string} id
 * @property {string} tab that it was added in, or that took it over
 * @property {number} order the lowest is next
 * @property {string} kind "picture", "compare" or "wall"
 * @property {Record<string, string>} settings as in the form
 * @property {number} tries how often it was begun
 * @property {string} problem why it failed; empty: it waits
 */

const TAB = "darkroom-tab-";
const RUN = "darkroom-run-";

export class QueueStore {
  #database;
  /** Ids that were written or read. A run that could not be written is known to this tab only. */
  #kept = new Set();
  /** Gives the tab's lock back. @type {(() => void) | null} */ #leave = null;
  /** Name of this tab among all tabs. */
  tab = newId(Date.now());

  /** @param {Database | null} database null: in memory only */
  constructor(database) {
    this.#database = database;
    this.enter();
  }

  /** Holds the tab's lock: its runs are not left behind. */
  enter() {
    const manager = this.#database && locks();
    if (!manager || this.#leave) return;
    const held = new Promise((resolve) => {
      this.#leave = () => resolve(undefined);
    });
    // Refused in a page without storage.
    manager.request(TAB + this.tab, () => held).catch(() => {});
  }

  /** Gives the tab's lock back. */
  leave() {
    this.#leave?.();
    this.#leave = null;
  }

  /** @returns {Promise<QueueRecord[]>} of all tabs, the next one first */
  async all() {
    const found = await this.#run("readonly", (store) => store("queue").getAll());
    const records = /** @type {QueueRecord[]} */ (found ?? []);
    for (const { id } of records) this.#kept.add(id);
    return records.sort((a, b) => a.order - b.order);
  }

  /** @param {QueueRecord[]} records @returns {Promise<boolean>} they were written */
  async put(records) {
    const done = await this.#run("readwrite", (store) => {
      const queue = store("queue");
      for (const record of records.slice(1)) queue.put(record);
      return records.length ? queue.put(records[0]) : undefined;
    });
    if (done === null) return false;
    for (const { id } of records) this.#kept.add(id);
    return true;
  }

  /** @param {string[]} ids */
  async remove(ids) {
    await this.#run("readwrite", (store) => {
      for (const id of ids) store("queue").delete(id);
    });
  }

  /** Open tabs; null: without locks nobody knows. @returns {Promise<Set<string> | null>} */
  async openTabs() {
    const held = (await locks()?.query())?.held;
    if (!held) return null;
    const names = held.map(({ name }) => name ?? "").filter((name) => name.startsWith(TAB));
    return new Set(names.map((name) => name.slice(TAB.length)));
  }

  /**
   * Makes a run, if no other tab is making it or has made it.
   * @param {string} id
   * @param {() => Promise<void>} make
   * @returns {Promise<boolean>} this tab has made it
   */
  async once(id, make) {
    const manager = this.#database && locks();
    if (!manager) {
      await make();
      return true;
    }
    return manager.request(RUN + id, { ifAvailable: true }, async (lock) => {
      if (!lock || !(await this.#isThere(id))) return false;
      await make();
      return true;
    });
  }

  /** Tells if a run is still to be made. @param {string} id */
  async #isThere(id) {
    if (!this.#kept.has(id)) return true;
    try {
      const found = await this.#database?.run(["queue"], "readonly", (store) =>
        store("queue").count(id),
      );
      return found !== 0;
    } catch {
      return true;
    }
  }

  /**
   * @template [T=undefined]
   * @param {IDBTransactionMode} mode
   * @param {(store: (name: "queue") => IDBObjectStore) => IDBRequest<T> | void} work
   * @returns {Promise<T | null>} null where nothing can be kept
   */
  async #run(mode, work) {
    try {
      return (await this.#database?.run(["queue"], mode, work)) ?? null;
    } catch {
      return null;
    }
  }
}

/** Locks between tabs. Pages without https have none. */
const locks = () => /** @type {LockManager | undefined} */ (globalThis.navigator?.locks);
