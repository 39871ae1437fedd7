// @ts-check
/**
 * Where the engine's bytes come from: a model folder at some address, read in pieces and kept in the browser for the next visit.
 *
 * - A file is fetched by HTTP ranges of {@link PIECE} bytes: no array ever holds a whole model, and a broken connection costs one piece.
 * - Pieces go into Cache Storage under the file's address and range. What a complete load asked for, the answers "there is no such file"
 *   included, is noted in a manifest, and with it the next visit asks the network for nothing but `model_index.json`, to see whether the
 *   folder has changed (without a network it is taken as unchanged). Whoever replaces weights alone gives the folder another name.
 * - Where Cache Storage is missing, full or refuses, pieces stay in memory and the visitor is told.
 */
import { DarkroomError } from "./protocol.js";
import { BrokenOff, Store, fetchRetrying, isMissing } from "./weights-store.js";

/** Bytes of a piece: small enough to fetch again, large enough that a 1.7 GB file is about a hundred requests. */
const PIECE = 16 * 2 ** 20;
/** Pieces held in memory: the engine reads a file more or less from front to back. */
const HELD = 4;
const INDEX = "model_index.json";
const MANIFEST = "?darkroom=manifest";
const LOOK_AGAIN_MS = 4000;

/** @typedef {{url: string, size: number, tag: string, whole?: Blob}} File `tag`: the server's name of this version; `whole`: where it came in one */
/** @typedef {{index: string, files: Record<string, {size: number, tag: string} | null>}} Manifest `index`: the text of model_index.json */
/** @typedef {{notice(text: string): void, fetched(bytes: number): void}} Listener `fetched`: so many more bytes came over the network */

/** The engine's view of a model folder: {@link ModelSource.size} and {@link ModelSource.read}. */
export class ModelSource {
  #folder;
  #store;
  #manifest;
  #listener;
  /** @type {Map<string, Promise<File | null>>} */ #files = new Map();
  /** @type {Map<string, Promise<Uint8Array<ArrayBuffer>>>} */ #held = new Map();
  /** @type {Promise<unknown>} */ #stored = Promise.resolve();
  /** The last error that a read or a look ended in: it passes through the engine, which keeps its text only. @type {DarkroomError | null} */
  problem = null;
  /** Paths that turned out to be no files. @type {string[]} */
  absent = [];

  /**
   * @param {string} folder
   * @param {Store} store
   * @param {Manifest | null} manifest
   * @param {Listener} listener
   */
  constructor(folder, store, manifest, listener) {
    this.#folder = folder;
    this.#store = store;
    this.#manifest = manifest;
    this.#listener = listener;
  }

  /**
   * @param {string} folder absolute address, ending in a slash
   * @param {boolean} fresh forget what is kept of it first
   * @param {Listener} listener
   */
  static async open(folder, fresh, listener) {
    const store = await Store.open(listener.notice);
    const kept = fresh ? null : await store.get(folder + MANIFEST);
    /** @type {Manifest | null} */
    let manifest = kept && JSON.parse(await kept.blob.text());
    if (fresh || (manifest && (await hasChanged(folder, manifest)))) {
      await store.drop(folder);
      manifest = null;
    }
    return new ModelSource(folder, store, manifest, listener);
  }

  /** Where the bytes read so far will be at the next visit. */
  get place() {
    return this.#store.keeping ? "browser" : "memory";
  }

  /** The address of a file, for messages: errors thrown here say what, the engine puts this before them. @param {string} path */
  describe(path) {
    return new URL(path, this.#folder).href;
  }

  /**
   * @param {string} path within the folder, such as "unet/config.json"
   * @returns {Promise<number | null>} bytes; null where there is no such file
   */
  async size(path) {
    const file = await this.#file(path);
    if (!file) this.absent.push(path);
    return file?.size ?? null;
  }

  /**
   * @param {string} path
   * @param {number} start
   * @param {number} end exclusive
   * @returns {Promise<Uint8Array<ArrayBuffer>>} exactly `end - start` bytes
   */
  async read(path, start, end) {
    const file = await this.#file(path);
    if (!file) throw this.#failed("missing", "there is no such file");
    if (start < 0 || end < start || end > file.size) {
      throw this.#failed("damaged", `bytes ${start} to ${end} were asked for, the file has ${file.size}; it may be cut short`);
    }
    if (start === end) return new Uint8Array(0);
    const first = Math.floor(start / PIECE);
    const last = Math.floor((end - 1) / PIECE);
    let bytes;
    if (first === last) {
      bytes = (await this.#piece(file, first)).subarray(start - first * PIECE, end - first * PIECE);
    } else {
      bytes = new Uint8Array(end - start);
      for (let index = first; index <= last; index += 1) {
        const from = Math.max(start, index * PIECE);
        const to = Math.min(end, (index + 1) * PIECE);
        const piece = await this.#piece(file, index);
        bytes.set(piece.subarray(from - index * PIECE, to - index * PIECE), from - start);
      }
    }
    // The network works while the engine does.
    if ((last + 1) * PIECE < file.size) this.#piece(file, last + 1).catch(() => {});
    return bytes;
  }

  /** Notes what was asked for, after a load that went well: the next visit needs no network then. */
  async remember() {
    await this.#stored;
    if (!this.#store.keeping) return;
    const index = this.#manifest?.index ?? (await (await this.#file(INDEX))?.whole?.text()) ?? "";
    /** @type {Manifest} */
    const manifest = { index, files: {} };
    for (const [path, looked] of this.#files) {
      const file = await looked;
      manifest.files[path] = file && { size: file.size, tag: file.tag };
    }
    await this.#store.put(this.#folder + MANIFEST, new Blob([JSON.stringify(manifest)]), "");
  }

  /** @param {string} path */
  #file(path) {
    let file = this.#files.get(path);
    if (!file) {
      file = this.#look(path);
      this.#files.set(path, file);
      file.catch((error) => this.#note(error, () => this.#files.delete(path)));
    }
    return file;
  }

  /** @param {string} path @returns {Promise<File | null>} */
  async #look(path) {
    const url = this.describe(path);
    const known = this.#manifest?.files[path];
    if (known !== undefined) return known && { url, ...known };
    // Small text is often sent compressed, and then no header tells its size: fetch it and see.
    if (/\.(json|txt)$/.test(path)) return this.#whole(url, {});
    const head = await this.#fetch(url, { method: "HEAD" }, async (response) => response);
    if (isMissing(head)) return null;
    const { headers } = head;
    if (head.ok && headers.has("content-length") && !headers.has("content-encoding")) {
      return { url, size: Number(headers.get("content-length")), tag: tagOf(head) };
    }
    return this.#whole(url, { headers: { range: "bytes=0-0" } });
  }

  /**
   * A file whose size no HEAD tells: from the answer to a range of one byte, or, where the server sends everything, by counting.
   * @param {string} url
   * @param {RequestInit} init
   * @returns {Promise<File | null>}
   */
  #whole(url, init) {
    return this.#fetch(url, init, async (response) => {
      if (isMissing(response)) return null;
      if (!response.ok) throw refused(response);
      const total = totalOf(response);
      if (response.status === 206 && total !== null) return { url, size: total, tag: tagOf(response) };
      const whole = await this.#counted(response).blob();
      return { url, size: whole.size, tag: tagOf(response), whole };
    });
  }

  /**
   * @param {File} file
   * @param {number} index
   */
  #piece(file, index) {
    const key = `${file.url}?darkroom=${index * PIECE}-${Math.min(file.size, (index + 1) * PIECE)}`;
    const held = this.#held.get(key);
    if (held) return held;
    const piece = this.#obtain(file, index, key);
    this.#held.set(key, piece);
    piece.catch((error) => this.#note(error, () => this.#held.delete(key)));
    if (this.#held.size > HELD) this.#held.delete(this.#held.keys().next().value ?? "");
    return piece;
  }

  /**
   * @param {File} file
   * @param {number} index
   * @param {string} key
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async #obtain(file, index, key) {
    const start = index * PIECE;
    const end = Math.min(file.size, start + PIECE);
    const kept = await this.#store.get(key);
    if (kept && kept.blob.size === end - start && kept.tag === file.tag) return bytesOf(kept.blob);
    if (!file.whole) {
      const bytes = await this.#fetchPiece(file, start, end);
      if (bytes) {
        this.#keep(key, new Blob([bytes]), file.tag);
        return bytes;
      }
    }
    const blob = /** @type {Blob} */ (file.whole).slice(start, end);
    this.#keep(key, blob, file.tag);
    return bytesOf(blob);
  }

  /**
   * @param {File} file
   * @param {number} start
   * @param {number} end
   * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null where the server sent everything: `file.whole` holds it then
   */
  #fetchPiece(file, start, end) {
    const { url } = file;
    return this.#fetch(url, { headers: { range: `bytes=${start}-${end - 1}` } }, async (response) => {
      if (isMissing(response)) throw new DarkroomError("missing", "there is no such file");
      if (response.status === 416) throw new DarkroomError("damaged", "the file has become shorter while it was read");
      if (!response.ok) throw refused(response);
      const total = response.status === 206 ? totalOf(response) : null;
      if (total !== null && total !== file.size) {
        throw new DarkroomError("damaged", `has ${total} bytes, expected ${file.size}; it has changed while it was read`);
      }
      if (response.status === 206 || end - start === file.size) return this.#receive(response, end - start);
      const whole = await this.#counted(response).blob();
      if (whole.size !== file.size) throw new BrokenOff(`the connection ended after ${whole.size} of ${file.size} bytes`);
      file.whole = whole;
      return null;
    });
  }

  /**
   * @param {Response} response
   * @param {number} expected bytes
   */
  async #receive(response, expected) {
    const bytes = new Uint8Array(expected);
    let filled = 0;
    const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).getReader();
    try {
      for (let part = await reader.read(); part.value; part = await reader.read()) {
        if (filled + part.value.length > expected) {
          await reader.cancel();
          throw new DarkroomError("damaged", `the server sent more than the ${expected} bytes asked for`);
        }
        bytes.set(part.value, filled);
        filled += part.value.length;
        this.#listener.fetched(part.value.length);
      }
    } catch (error) {
      throw error instanceof DarkroomError ? error : new BrokenOff(`the connection broke after ${filled} of ${expected} bytes`);
    }
    if (filled < expected) throw new BrokenOff(`the connection ended after ${filled} of ${expected} bytes`);
    return bytes;
  }

  /** The same answer, its bytes told to the listener as they come. @param {Response} response */
  #counted(response) {
    const { fetched } = this.#listener;
    /** @type {TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>} */
    const counter = new TransformStream({
      transform(part, out) {
        fetched(part.length);
        out.enqueue(part);
      },
    });
    return new Response(response.body?.pipeThrough(counter));
  }

  /**
   * @param {string} key
   * @param {Blob} blob
   * @param {string} tag
   */
  #keep(key, blob, tag) {
    this.#stored = this.#stored.then(() => this.#store.put(key, blob, tag));
  }

  /**
   * @template T
   * @param {string} url
   * @param {RequestInit} init
   * @param {(response: Response) => Promise<T>} use
   */
  #fetch(url, init, use) {
    // Cache Storage keeps it: no second copy in the browser's HTTP cache.
    return fetchRetrying(url, { cache: "no-store", ...init }, this.#listener.notice, use);
  }

  /**
   * @param {import("./protocol.js").ProblemKind} kind
   * @param {string} message
   */
  #failed(kind, message) {
    this.problem = new DarkroomError(kind, message);
    return this.problem;
  }

  /**
   * @param {unknown} error
   * @param {() => void} undo so that the next call tries again
   */
  #note(error, undo) {
    if (error instanceof DarkroomError) this.problem = error;
    undo();
  }
}

/** @param {string} folder @param {Manifest} manifest */
async function hasChanged(folder, manifest) {
  try {
    const response = await fetch(folder + INDEX, { cache: "no-cache", signal: AbortSignal.timeout(LOOK_AGAIN_MS) });
    return response.ok && (await response.text()) !== manifest.index;
  } catch {
    return false;
  }
}

/** @param {Blob} blob */
const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());

/** @param {Response} response */
const tagOf = (response) => response.headers.get("etag") ?? response.headers.get("last-modified") ?? "";

/** The file's size as an answer to a range request tells it. @param {Response} response */
function totalOf(response) {
  const total = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
  return total === undefined ? null : Number(total);
}

/** @param {Response} response */
function refused(response) {
  return new DarkroomError("network", `the server answered ${response.status} ${response.statusText}`.trimEnd());
}
