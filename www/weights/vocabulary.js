// @ts-check
/**
 * CLIP's vocabulary, which checkpoints in one file lack. It ships with the page and is fetched only
 * when such a checkpoint is opened.
 */
import { DarkroomError } from "../base/problem.js";

/**
 * Addresses by path within a model. Each is written out: bundlers find files by such lines.
 * @type {Record<string, URL>}
 */
const ADDRESSES = {
  "tokenizer/vocab.json": new URL("../vocab/clip/vocab.json", import.meta.url),
  "tokenizer/merges.txt": new URL("../vocab/clip/merges.txt", import.meta.url),
};

export class Vocabulary {
  /** @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */ #files = new Map();

  /** Tells whether the path names a file of the vocabulary. @param {string} path within a model */
  has(path) {
    return Object.hasOwn(ADDRESSES, path);
  }

  /** @param {string} path of a file for which `has` is true */
  describe(path) {
    return ADDRESSES[path].href;
  }

  /** @param {string} path of a file for which `has` is true */
  bytes(path) {
    let file = this.#files.get(path);
    if (!file) {
      file = this.#fetch(this.describe(path));
      this.#files.set(path, file);
      file.catch(() => this.#files.delete(path));
    }
    return file;
  }

  /** @param {string} url */
  async #fetch(url) {
    // Without "no-store": the file belongs to the page, and the service worker caches it.
    const response = await fetch(url).catch(() => null);
    if (response?.ok) {
      const bytes = await response.arrayBuffer().catch(() => null);
      if (bytes) return new Uint8Array(bytes);
    }
    const reason = response
      ? `the server answered ${response.status} ${response.statusText}`.trimEnd()
      : "the server could not be reached";
    throw new DarkroomError(
      "network",
      `${reason}; a checkpoint in one file needs CLIP’s vocabulary from there`,
    );
  }
}
