// @ts-check
/**
 * IndexedDB with promises. An operation either succeeds or rejects with a {@link StoreError}, which
 * says why nothing can be kept. The connection is opened by the first operation, and opened again
 * after the browser or a newer tab has closed it.
 */

/**
 * Reasons why nothing is kept:
 * - full: the disk, or this page's part of it
 * - blocked: the browser or its settings allow no storage here
 * - newer: another tab runs a newer version of the page, which changed the storage
 * - failed: anything else, such as a damaged profile
 * @typedef {"full" | "blocked" | "newer" | "failed"} StoreReason
 */

export class StoreError extends Error {
  /** @param {StoreReason} reason @param {string} message */
  constructor(reason, message) {
    super(message);
    this.name = "StoreError";
    this.reason = reason;
  }
}

/**
 * Steps from one version of the storage to the next. A step is never changed after its release: a
 * change is a new step at the end.
 * @type {readonly ((database: IDBDatabase) => void)[]}
 */
const STEPS = [
  (database) => {
    // Pictures without their files, so that a list of all of them stays small.
    database.createObjectStore("pictures", { keyPath: "id" });
    // Their PNG files, under the same ids.
    database.createObjectStore("files");
    database.createObjectStore("drafts", { keyPath: "page" });
    database.createObjectStore("prompts", { keyPath: "key" });
    database.createObjectStore("queue", { keyPath: "id" });
  },
  (database) => {
    // Named sets of prompts.
    database.createObjectStore("sets", { keyPath: "name" });
  },
];

/**
 * @typedef {"pictures" | "files" | "drafts" | "prompts" | "queue" | "sets" | "additions"} StoreName
 */

/** Some browsers never answer where storage is blocked. */
const OPEN_WITHIN_MS = 5000;

/** @param {unknown} error @returns {StoreError} */
function storeError(error) {
  if (error instanceof StoreError) return error;
  const name = error instanceof DOMException ? error.name : "";
  const message = error instanceof Error ? error.message : String(error);
  if (name === "QuotaExceededError") return new StoreError("full", message);
  if (name === "VersionError") return new StoreError("newer", message);
  if (name === "SecurityError" || name === "NotAllowedError" || error instanceof TypeError)
    return new StoreError("blocked", message);
  return new StoreError("failed", message);
}

export class Database {
  #name;
  #steps;
  /** @type {Promise<IDBDatabase> | null} */ #connection = null;

  /**
   * @param {string} name
   * @param {readonly ((database: IDBDatabase) => void)[]} steps see `STEPS`
   */
  constructor(name = "darkroom", steps = STEPS) {
    this.#name = name;
    this.#steps = steps;
  }

  /**
   * Runs a transaction, and waits until it is complete.
   * @template [T=undefined]
   * @param {StoreName[]} names of the stores it uses
   * @param {IDBTransactionMode} mode
   * @param {(store: (name: StoreName) => IDBObjectStore) => IDBRequest<T> | void} work makes all
   *   its requests at once; the result of the returned one is the answer
   * @returns {Promise<T>}
   */
  async run(names, mode, work) {
    for (let tries = 0; ; tries += 1) {
      try {
        return await transact(await this.#connect(), names, mode, work);
      } catch (error) {
        const closed = error instanceof DOMException && error.name === "InvalidStateError";
        if (!closed || tries > 0) throw storeError(error);
        this.#connection = null;
      }
    }
  }

  /** Closes the connection. The next operation opens another one. */
  async close() {
    const connection = this.#connection;
    this.#connection = null;
    (await connection?.catch(() => null))?.close();
  }

  #connect() {
    if (!this.#connection) {
      const opening = this.#open();
      this.#connection = opening;
      const forget = () => {
        if (this.#connection === opening) this.#connection = null;
      };
      opening.then((database) => {
        database.addEventListener("close", forget);
        database.addEventListener("versionchange", () => {
          database.close();
          forget();
        });
      }, forget);
    }
    return this.#connection;
  }

  /** @returns {Promise<IDBDatabase>} */
  #open() {
    return new Promise((resolve, reject) => {
      // Where storage is blocked, reading `indexedDB` or opening a database throws.
      const request = indexedDB.open(this.#name, this.#steps.length);
      const timer = setTimeout(
        () => reject(new StoreError("blocked", "the browser's storage did not open")),
        OPEN_WITHIN_MS,
      );
      request.addEventListener("upgradeneeded", ({ oldVersion }) => {
        for (const step of this.#steps.slice(oldVersion)) step(request.result);
      });
      request.addEventListener("success", () => {
        clearTimeout(timer);
        resolve(request.result);
      });
      request.addEventListener("error", () => {
        clearTimeout(timer);
        reject(request.error);
      });
    });
  }
}

/**
 * @template T
 * @param {IDBDatabase} database
 * @param {StoreName[]} names
 * @param {IDBTransactionMode} mode
 * @param {(store: (name: StoreName) => IDBObjectStore) => IDBRequest<T> | void} work
 * @returns {Promise<T>}
 */
function transact(database, names, mode, work) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(names, mode);
    const request = work((name) => transaction.objectStore(name));
    transaction.addEventListener("complete", () => resolve(/** @type {T} */ (request?.result)));
    const fail = () =>
      reject(transaction.error ?? new StoreError("failed", "the transaction was aborted"));
    transaction.addEventListener("abort", fail);
    transaction.addEventListener("error", fail);
  });
}
