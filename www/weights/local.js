// @ts-check
/**
 * A model on the visitor's own disk: a checkpoint in one file, or a folder in diffusers' layout. It is read where it is, in the parts that the engine
 * asks for: never as a whole, and nothing of it is sent or copied anywhere.
 */
import { DarkroomError } from "../base/problem.js";
import { free } from "./chunks.js";
import { Vocabulary } from "./vocabulary.js";

/**
 * A model on the visitor's own disk.
 * @typedef {object} LocalModel
 * @property {string} name the file's or the folder's, for people
 * @property {string | null} checkpoint the path in `files` of a model that is a single file
 * @property {Record<string, File>} files by path within the folder, with "/"
 */

/** As {@link import("./source.js").ModelSource}, as far as the engine and the worker use it. */
export class LocalSource {
  #model;
  #vocabulary = new Vocabulary();
  /** What was read last. */
  #last = new Uint8Array(0);
  /** @type {DarkroomError | null} */ problem = null;
  /** Paths that turned out to be no files. @type {Map<string, string>} */ absent = new Map();
  storage = /** @type {const} */ ("disk");
  why = "";
  /** What is wrong with a file on a disk stays wrong. */
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
        throw new DarkroomError(
          "disk",
          "pages deleteModel files on your disk when they are closed",
        );
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
   * @returns {Promise<Uint8Array<ArrayBuffer>>} good until the next call
   */
  read(path, start, end) {
    return this.#recordingProblem(async () => {
      if (this.#isVocabulary(path))
        return (await this.#vocabulary.bytes(path)).subarray(start, end);
      const file = this.#model.files[path];
      if (!file) throw new DarkroomError("missing", "there is no such file");
      if (start < 0 || end < start || end > file.size) {
        throw new DarkroomError(
          "damaged",
          `bytes ${start} to ${end} were asked for, the file has ${file.size}; it may be cut short`,
        );
      }
      try {
        free(this.#last);
        this.#last = new Uint8Array(await file.slice(start, end).arrayBuffer());
        return this.#last;
      } catch (error) {
        // Browsers refuse a file that has changed since it was chosen, and one that is gone.
        throw new DarkroomError(
          "disk",
          `it could not be read (${error instanceof Error ? error.message : error})`,
        );
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
