// @ts-check
/**
 * CLIP's vocabulary, which checkpoints in one file lack. It ships with the page and is fetched only
 * when such a checkpoint is opened.
 */
import { DarkroomError } from "../base/problem.js";

const FILES = ["vocab.json", "merges.txt"];
const FOLDER = "tokenizer/";

export class Vocabulary {
  /** @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */ #files = new Map();
  #folder;

  /** @param {string} folder address that ends in a slash */
  constructor(folder = new URL("../vocab/clip/", import.meta.url).href) {
    this.#folder = folder;
  }

  /** Tells whether the path names a file of the vocabulary. @param {string} path within a model */
  has(path) {
    return path.startsWith(FOLDER) && FILES.includes(path.slice(FOLDER.length));
  }

  /** @param {string} path */
  describe(path) {
    return this.#folder + path.slice(FOLDER.length);
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
