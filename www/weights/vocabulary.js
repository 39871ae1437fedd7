// @ts-check
/** CLIP's vocabulary, which single-file checkpoints lack. It ships with the page and is fetched only when a checkpoint is opened. */
import { DarkroomError } from "../base/problem.js";

const FILES = ["vocab.json", "merges.txt"];
const FOLDER = "tokenizer/";

export class Vocabulary {
  /** @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */ #files = new Map();
  #folder;

  /** @param {string} folder its address, ending in a slash */
  constructor(folder = new URL("../vocab/clip/", import.meta.url).href) {
    this.#folder = folder;
  }

  /** Whether the path names a file of a vocabulary. @param {string} path within a model */
  has(path) {
    return path.startsWith(FOLDER) && FILES.includes(path.slice(FOLDER.length));
  }

  /** @param {string} path */
  describe(path) {
    return this.#folder + path.slice(FOLDER.length);
  }

  /** @param {string} path which it has */
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
    // Without "no-store": it is the page's own, and kept by the service worker like the rest of it.
    const response = await fetch(url).catch(() => null);
    if (response?.ok) {
      const bytes = await response.arrayBuffer().catch(() => null);
      if (bytes) return new Uint8Array(bytes);
    }
    const said = response
      ? `the server answered ${response.status} ${response.statusText}`.trimEnd()
      : "the server could not be reached";
    throw new DarkroomError(
      "network",
      `${said}; a checkpoint in one file needs CLIP’s vocabulary from there`,
    );
  }
}
