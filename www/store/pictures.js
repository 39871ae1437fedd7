// @ts-check
/** Finished pictures in the browser's storage. */

/** @typedef {import("./database.js").Database} Database */

/**
 * A picture without its file.
 * @typedef {object} PictureRecord
 * @property {string} id sorts by time, see `newId`
 * @property {number} made milliseconds since 1970
 * @property {Record<string, string>} settings as in the form
 * @property {number} seconds
 * @property {string} device name for people
 * @property {string[]} warnings
 * @property {number} width pixels
 * @property {number} height pixels
 * @property {boolean} starred
 * @property {Blob} thumbnail
 */

/** Length of the time in an id. Nine digits of base 36 last for 3000 years. */
const TIME_DIGITS = 9;

/** An id that sorts by time and that no other tab gives. @param {number} made */
export function newId(made) {
  const random = crypto.getRandomValues(new Uint32Array(2));
  const tail = Array.from(random, (part) => part.toString(36)).join("");
  return `${made.toString(36).padStart(TIME_DIGITS, "0")}-${tail}`;
}

export class PictureStore {
  #database;

  /** @param {Database} database */
  constructor(database) {
    this.#database = database;
  }

  /** All pictures, the oldest first. @returns {Promise<PictureRecord[]>} */
  all() {
    return this.#database.run(["pictures"], "readonly", (store) => store("pictures").getAll());
  }

  /** @param {string} id @returns {Promise<PictureRecord | undefined>} */
  get(id) {
    return this.#database.run(["pictures"], "readonly", (store) => store("pictures").get(id));
  }

  /** The picture's PNG file. @param {string} id @returns {Promise<Blob | undefined>} */
  file(id) {
    return this.#database.run(["files"], "readonly", (store) => store("files").get(id));
  }

  /**
   * Keeps a picture with its file, both or neither.
   * @param {PictureRecord} record
   * @param {Blob} file
   */
  async add(record, file) {
    await this.#database.run(["pictures", "files"], "readwrite", (store) => {
      store("files").put(file, record.id);
      store("pictures").put(record);
    });
  }

  /** Changes the record of a picture that is kept. @param {PictureRecord} record */
  async update(record) {
    await this.#database.run(["pictures"], "readwrite", (store) => {
      const pictures = store("pictures");
      const found = pictures.getKey(record.id);
      // A picture that another tab has deleted must not come back without its file.
      found.addEventListener("success", () => found.result && pictures.put(record));
    });
  }

  /** @param {string[]} ids */
  async remove(ids) {
    await this.#database.run(["pictures", "files"], "readwrite", (store) => {
      for (const id of ids) {
        store("pictures").delete(id);
        store("files").delete(id);
      }
    });
  }
}
