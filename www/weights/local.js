// @ts-check
/**
 * Source of a model on the visitor's disk: a checkpoint in one file, or a folder in diffusers'
 * layout. Only the parts that the engine asks for are read, and nothing is sent or copied anywhere.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { free, outOfRange } from "./chunks.js";
import { Vocabulary } from "./vocabulary.js";

/**
 * A model on the visitor's disk.
 * @typedef {object} LocalModel
 * @property {string} name of the file or the folder, for people
 * @property {string | null} checkpoint the path in `files` of a model that is a single file
 * @property {Record<string, File>} files by path within the folder, with "/"
 */

/**
 * The engine's and the worker's view of the model: see {@link import("./source.js").ModelSource}.
 */
export class LocalSource {
  #model;
  #vocabulary = new Vocabulary();
  /** The last bytes read. */
  #last = new Uint8Array(0);
  /** @type {DarkroomError | null} */ problem = null;
  /**
   * Files that do not exist, by path; the values are empty.
   * @type {Map<string, string>}
   */
  absent = new Map();
  storage = /** @type {const} */ ("disk");
  why = "";
  /** A retry does not help with files on a disk. */
  retryable = false;

  /** @param {LocalModel} model */
  constructor(model) {
    this.#model = model;
  }

  checkpoint() {
    return this.#model.checkpoint;
  }

  /** @param {string} path */
  describe(path) {
    const { name, checkpoint } = this.#model;
    if (checkpoint === null) return `${name}/${path}`;
    return this.#vocabulary.has(path) ? this.#vocabulary.describe(path) : path;
  }

  /** @param {string} path @returns {Promise<number | null>} */
  size(path) {
    return this.#recordingProblem(async () => {
      const { files } = this.#model;
      if (Object.keys(files).length === 0)
        throw new DarkroomError("disk", "a page cannot reopen files on your disk after a reload");
      const file = files[path];
      if (file) return file.size;
      if (this.#isVocabulary(path)) return (await this.#vocabulary.bytes(path)).length;
      this.absent.set(path, "");
      return null;
    });
  }

  /**
   * @param {string} path
   * @param {number} start
   * @param {number} end exclusive
   * @returns {Promise<Uint8Array<ArrayBuffer>>} valid until the next call
   */
  read(path, start, end) {
    return this.#recordingProblem(async () => {
      if (this.#isVocabulary(path))
        return (await this.#vocabulary.bytes(path)).subarray(start, end);
      const file = this.#model.files[path];
      if (!file) throw new DarkroomError("missing", "there is no such file");
      if (start < 0 || end < start || end > file.size) throw outOfRange(start, end, file.size);
      try {
        free(this.#last);
        this.#last = new Uint8Array(await file.slice(start, end).arrayBuffer());
        return this.#last;
      } catch (error) {
        // Browsers refuse to read a file that was changed or deleted after it was chosen.
        const { message } = problemOf(error, "disk");
        throw new DarkroomError("disk", `the file could not be read (${message})`);
      }
    });
  }

  /** @param {string} path */
  #isVocabulary(path) {
    return this.#model.checkpoint !== null && this.#vocabulary.has(path);
  }

  /** @param {number} _bytes */
  expect(_bytes) {}

  async complete() {}

  async close() {}

  /**
   * @template T
   * @param {() => Promise<T>} act
   */
  async #recordingProblem(act) {
    try {
      return await act();
    } catch (error) {
      if (error instanceof DarkroomError) this.problem = error;
      throw error;
    }
  }
}
