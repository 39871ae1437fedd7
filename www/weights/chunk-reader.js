// @ts-check
/** Chunks of files, from the cache or from their server; a few are fetched ahead of the engine. */
import { partKey } from "./cache.js";
import { Chunks, free } from "./chunks.js";
import { sameVersion } from "./fetch.js";
import { Limiter } from "./limiter.js";

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {import("./cache.js").ModelCache} ModelCache */
/** @typedef {import("./chunks.js").ReadOrder} ReadOrder */
/** @typedef {import("./remote-file.js").RemoteFile} RemoteFile */

/**
 * A chunk in memory or being loaded, and the end of storing it.
 * @typedef {{chunk: Promise<Bytes>, stored: Promise<unknown>}} Held
 */

export class ChunkReader {
  #cache;
  #limiter;
  #inFlight;
  /** By key. @type {Map<string, Held>} */ #held = new Map();
  /** Chunks loaded before they are read, by key. @type {Map<string, Held>} */ #ahead = new Map();
  /** The chunks that the engine will read, once it has said so. @type {ReadOrder | null} */
  order = null;
  /** The weights are being read, not only the headers of their files. */
  readsWeights = false;
  /** The beginning of a chunk is stored when its download is given up. */
  storesParts = true;

  /**
   * @param {ModelCache} cache
   * @param {{head: number, chunk: number, inFlight: number}} tuning see `TUNING` in source.js
   */
  constructor(cache, tuning) {
    this.#cache = cache;
    this.#limiter = new Limiter(tuning.inFlight);
    this.#inFlight = tuning.inFlight;
    this.chunks = new Chunks(tuning);
  }

  /** Waits for all downloads and writes. */
  settled() {
    return this.#limiter.settled();
  }

  /**
   * Takes the first chunk of a file, which came with its size.
   * @param {RemoteFile} file
   * @param {Bytes} head
   */
  add(file, head) {
    const { key } = this.chunks.bounds(file, 0);
    const stored = this.#cache.put(key, head, file.version);
    this.#held.set(key, { chunk: Promise.resolve(head), stored });
    this.#limiter.keep(stored);
  }

  /**
   * Loads a chunk before the engine reads it. It stays in memory until then.
   * @param {RemoteFile} file
   * @param {number} index
   */
  ahead(file, index) {
    const { key } = this.chunks.bounds(file, index);
    if (!this.#held.has(key) && !this.#ahead.has(key))
      this.#ahead.set(key, this.#load(file, index));
  }

  /**
   * A chunk. Those after it are requested as well, and those before it are released.
   * @param {RemoteFile} file
   * @param {number} index
   */
  read(file, index) {
    /** @type {Map<string, Held>} */
    const held = new Map();
    /** @param {RemoteFile} file @param {number} index */
    const hold = (file, index) => {
      const { key } = this.chunks.bounds(file, index);
      const entry = this.#held.get(key) ?? this.#ahead.get(key) ?? this.#load(file, index);
      this.#ahead.delete(key);
      held.set(key, entry);
      return entry;
    };
    const wanted = hold(file, index);
    // The headers are small, and the engine reads them in turns: nothing is released yet.
    if (this.readsWeights) for (const [next, at] of this.#following(file, index)) hold(next, at);
    else for (const [key, entry] of this.#held) held.set(key, entry);
    for (const [key, entry] of this.#held) if (!held.has(key)) void release(entry);
    this.#held = held;
    return wanted.chunk;
  }

  /**
   * The chunks that will be read next, as many as may be in flight.
   * @param {RemoteFile} file
   * @param {number} index
   * @returns {[RemoteFile, number][]}
   */
  #following(file, index) {
    if (this.order) return this.order.after(this.chunks.bounds(file, index).key, this.#inFlight);
    const last = Math.min(index + this.#inFlight, this.chunks.count(file) - 1);
    const count = Math.max(0, last - index);
    return Array.from({ length: count }, (_, ahead) => [file, index + 1 + ahead]);
  }

  /**
   * @param {RemoteFile} file
   * @param {number} index
   * @returns {Held}
   */
  #load(file, index) {
    const { key } = this.chunks.bounds(file, index);
    /** @type {Promise<void> | null} */
    let stored = null;
    const chunk = this.#limiter.take(async () => {
      const cached = await this.#cached(file, index);
      if (cached) return { bytes: cached, stored };
      const bytes = await this.#fetch(file, index);
      stored = this.#cache.put(key, bytes, file.version);
      return { bytes, stored };
    });
    // A failed chunk is forgotten, so that the next read tries again.
    chunk.catch(() => {
      for (const map of [this.#held, this.#ahead])
        if (map.get(key)?.chunk === chunk) map.delete(key);
    });
    const isStored = async () => {
      await chunk.catch(() => {});
      await stored;
    };
    return { chunk, stored: isStored() };
  }

  /** @param {RemoteFile} file @param {number} index */
  async #cached(file, index) {
    const { from, to, key } = this.chunks.bounds(file, index);
    const cached = await this.#cache.get(key);
    if (cached?.bytes.length !== to - from) return null;
    return sameVersion(cached.version, file.version) ? cached.bytes : null;
  }

  /** @param {RemoteFile} file @param {number} index */
  async #fetch(file, index) {
    const { from, to, key } = this.chunks.bounds(file, index);
    const part = await this.#cache.get(partKey(key));
    const usable = part && part.bytes.length < to - from && sameVersion(part.version, file.version);
    const bytes = await file.fetch(from, to, usable ? part.bytes : null, async (part) => {
      if (this.storesParts) await this.#cache.put(partKey(key), part, file.version);
    });
    if (part) this.#limiter.keep(this.#cache.delete(partKey(key)));
    return bytes;
  }
}

/** Frees a chunk's memory once it is stored. @param {Held} held */
async function release({ chunk, stored }) {
  try {
    const [bytes] = await Promise.all([chunk, stored]);
    free(bytes);
  } catch {
    // A chunk that failed has no memory.
  }
}
