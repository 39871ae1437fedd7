// @ts-check
/**
 * Where the engine's bytes come from: a model folder or a checkpoint at some address, read in chunks and kept in the browser for the next visit.
 *
 * - A file is fetched by plain ranges, `bytes=a-b` and no other header: such requests need no preflight, which hubs that redirect to another
 *   origin would fail. The first chunk is small, for a file's head is read before anything is decided; the others hold 16 MiB. A few are
 *   fetched ahead of the engine, and no more: what is in memory does not depend on the model's size.
 * - A download that breaks goes on from its last byte, at this visit or, from what was kept, at the next (weights-fetch.js, weights-file.js). Where a
 *   server ignores ranges the file streams by and is cut into the same chunks.
 * - Chunks go into Cache Storage (weights-store.js) under the file's address and range. A manifest notes which files there are; at the next visit
 *   one HEAD per file asks whether the server still has this version. Without a network, what is kept is taken as it is.
 * - Where the host says what a file's SHA-256 is, the chunks are hashed as they pass by, and a file that is another one is forgotten again.
 * - Where Cache Storage is missing, too small or fails, chunks only pass through memory, and the visitor is onFilled.
 */
import { DarkroomError } from "../base/problem.js";
import { ModelCache, partKey, storageEstimate } from "./cache.js";
import { Checksum, pointerSha256 } from "./checksum.js";
import { Chunks, free, ReadOrder } from "./chunks.js";
import { HttpError, Net, RETRY_POLICY, sameVersion } from "./fetch.js";
import { Limiter } from "./limiter.js";
import { hasChanged, RemoteFile } from "./remote-file.js";
import { Vocabulary } from "./vocabulary.js";

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {import("./cache.js").Manifest} Manifest */

/** A chunk, and the end of its being stored. @typedef {{chunk: Promise<Bytes>, stored: Promise<unknown>}} Held */

/**
 * @typedef {object} Listener
 * @property {(text: string) => void} notice what the visitor should know; empty: it has passed
 * @property {(bytes: number) => void} fetched so many more bytes have come over the network
 * @property {(bytes: number) => void} [keeps] so many more bytes are about to be kept
 */

/** What tests make smaller. */
export const TUNING = {
  ...RETRY_POLICY,
  /** Bytes of a file's first chunk: a U-Net's header has about 100 KB. */
  head: 256 * 2 ** 10,
  /** Bytes of the others: a 1.7 GB file is about a hundred requests. */
  chunk: 16 * 2 ** 20,
  /** Chunks fetched, hashed or stored at once. */
  inFlight: 4,
  /** How long the question whether anything has changed may delay a model that is here already. */
  revalidateMs: 4000,
};

const INDEX = "model_index.json";
/** Beyond the bytes themselves, for what Cache Storage writes about them. */
const SPACE_TO_SPARE = 1.02;

/** The engine's view of a model: {@link ModelSource.size}, {@link ModelSource.read} and {@link ModelSource.plan}. */
export class ModelSource {
  #address;
  /** Where the model is a single file: its name. */
  #checkpoint;
  #vocabulary = new Vocabulary();
  #cache;
  #manifest;
  #listener;
  #tuning;
  #net;
  #abort = new AbortController();
  /** @type {Map<string, Promise<RemoteFile | null>>} */ #files = new Map();
  /** Chunks asked for, by key. @type {Map<string, Held>} */ #held = new Map();
  #limiter;
  /** Settled once it is clear whether the weights can be kept; null before they begin. @type {Promise<void> | null} */ #space =
    null;
  #chunks;
  /** Where the engine has said what it will read. @type {ReadOrder | null} */ #order = null;
  /** Whether the server has given us anything. */ #served = false;
  #loaded = false;
  /** Whether something that came spoilt has been forgotten. */
  #dropped = false;
  /** The last error that a read or a look ended in: it passes through the engine, which keeps its text only. @type {DarkroomError | null} */
  problem = null;
  /** Paths that turned out to be no files, and what the server said where it said something else. @type {Map<string, string>} */
  absent = new Map();

  /**
   * @param {string} address
   * @param {ModelCache} store
   * @param {Manifest | null} manifest
   * @param {Listener} listener
   * @param {typeof TUNING} tuning
   */
  constructor(address, store, manifest, listener, tuning) {
    this.#address = address;
    this.#checkpoint = address.endsWith("/")
      ? null
      : decodeURIComponent(new URL(address).pathname.replace(/^.*\//, ""));
    this.#cache = store;
    this.#manifest = manifest;
    this.#listener = listener;
    this.#tuning = tuning;
    this.#limiter = new Limiter(tuning.inFlight);
    this.#chunks = new Chunks(tuning);
    this.#net = new Net(tuning, this.#abort.signal, listener);
  }

  /**
   * @param {string} address absolute, of a folder if it ends in a slash, else of a checkpoint
   * @param {boolean} fresh deleteModel what is kept of it first
   * @param {Listener} listener
   * @param {Partial<typeof TUNING>} [tuning]
   */
  static async open(address, fresh, listener, tuning) {
    const store = await ModelCache.open(listener.notice);
    if (fresh) await store.drop(address);
    const source = new ModelSource(address, store, await store.manifest(address), listener, {
      ...TUNING,
      ...tuning,
    });
    await source.#revalidate();
    return source;
  }

  /** Where the bytes read so far will be at the next visit. */
  get storage() {
    return this.#cache.keeping ? /** @type {const} */ ("browser") : /** @type {const} */ ("memory");
  }

  /** Why not in the browser, as a part of a sentence. */
  get why() {
    return this.#cache.why;
  }

  /** Whether another attempt may go well that reads anew what has been replaced or came spoilt. */
  get retryable() {
    return this.#dropped || this.problem?.kind === "changed";
  }

  /** The path of the checkpoint, where the model is one file. */
  checkpoint() {
    return this.#checkpoint;
  }

  /** The address of a file, for messages: errors thrown here say what, the engine puts this before them. @param {string} path */
  describe(path) {
    if (this.#isVocabulary(path)) return this.#vocabulary.describe(path);
    return this.#checkpoint === null ? new URL(path, this.#address).href : this.#address;
  }

  /** @param {string} path */
  #isVocabulary(path) {
    return this.#checkpoint !== null && this.#vocabulary.has(path);
  }

  /**
   * @param {string} path within the folder, such as "unet/config.json"
   * @returns {Promise<number | null>} bytes; null where there is no such file
   */
  size(path) {
    return this.#recordingProblem(async () => {
      if (this.#isVocabulary(path)) return (await this.#vocabulary.bytes(path)).length;
      return (await this.#file(path))?.size ?? null;
    });
  }

  /**
   * @param {string} path
   * @param {number} start
   * @param {number} end exclusive
   * @returns {Promise<Bytes>} exactly `end - start` bytes, good until the next call
   */
  read(path, start, end) {
    return this.#recordingProblem(async () => {
      if (this.#isVocabulary(path))
        return (await this.#vocabulary.bytes(path)).subarray(start, end);
      const file = await this.#file(path);
      if (!file) throw new DarkroomError("missing", "there is no such file");
      if (start < 0 || end < start || end > file.size) {
        throw new DarkroomError(
          "damaged",
          `bytes ${start} to ${end} were asked for, the file has ${file.size}; it may be cut short`,
        );
      }
      if (start === end) return new Uint8Array(0);
      await this.#space;
      const [first, last] = [this.#chunks.at(start), this.#chunks.at(end - 1)];
      if (first === last) {
        const { from } = this.#chunks.bounds(file, first);
        return (await this.#verified(path, file, first)).subarray(start - from, end - from);
      }
      const bytes = new Uint8Array(end - start);
      for (let index = first; index <= last; index += 1) {
        const { from, to } = this.#chunks.bounds(file, index);
        const chunk = await this.#verified(path, file, index);
        bytes.set(
          chunk.subarray(Math.max(start, from) - from, Math.min(end, to) - from),
          Math.max(start, from) - start,
        );
      }
      return bytes;
    });
  }

  /**
   * Says which bytes of the weights will be read, in this order: these and no others are fetched ahead.
   * @param {string} ranges JSON: `[[path, start, end], …]`
   */
  async plan(ranges) {
    const order = new ReadOrder(this.#chunks);
    for (const [path, start, end] of /** @type {[string, number, number][]} */ (
      JSON.parse(ranges)
    )) {
      const file = await this.#recordingProblem(() => this.#file(path));
      if (file && end > start) order.add(file, start, end);
    }
    this.#order = order;
    this.expect(order.total);
    await this.#space;
  }

  /** The weights begin: so many bytes of them. Reads wait until it is clear whether they can be kept. @param {number} bytes */
  expect(bytes) {
    this.#space ??= this.#reserveSpace(bytes);
  }

  /** After a load that went well: the next visit needs no network then. */
  async complete() {
    this.#loaded = true;
    await this.close();
    await this.#writeManifest();
  }

  /** Ends what is still on its way, and keeps what has come of it. */
  async close() {
    this.#abort.abort();
    await this.#limiter.settled();
    for (const looked of this.#files.values()) (await looked.catch(() => null))?.end();
  }

  async #writeManifest() {
    /** @type {Manifest} */
    const manifest = {
      index: this.#manifest?.index ?? "",
      files: {},
      complete: this.#loaded,
      when: Date.now(),
    };
    for (const [path, looked] of this.#files) {
      const file = await looked.catch(() => undefined);
      if (file !== undefined)
        manifest.files[path] = file && {
          size: file.size,
          ...file.version,
          verified: file.checksum?.verified ?? file.verified,
        };
      if (path === INDEX && file?.whole) manifest.index = await file.whole.text();
    }
    await this.#cache.describe(this.#address, manifest);
  }

  /** Forgets the files that the server has in another version by now. */
  async #revalidate() {
    const manifest = this.#manifest;
    if (!manifest || !navigator.onLine) return;
    const signal = AbortSignal.timeout(this.#tuning.revalidateMs);
    await Promise.all(
      Object.entries(manifest.files).map(async ([path, file]) => {
        if (
          !file ||
          !(await hasChanged(
            this.describe(path),
            file,
            path === INDEX ? manifest.index : null,
            signal,
          ))
        )
          return;
        this.#listener.notice(`${path} has been replaced on the server and is fetched anew.`);
        delete manifest.files[path];
        await this.#cache.dropFile(this.describe(path));
      }),
    );
  }

  /**
   * Before the first byte of weights: is there a place for them?
   * @param {number} bytes
   */
  async #reserveSpace(bytes) {
    if (!this.#cache.keeping) return;
    await this.#writeManifest();
    const missing = Math.max(0, bytes - (await this.#cache.bytes(this.#address)));
    const there = await storageEstimate();
    if (missing === 0 || !there) return;
    if (missing * SPACE_TO_SPARE <= there.free) return this.#listener.keeps?.(missing);
    this.#cache.stop(
      `it needs ${megabytes(missing)} MB more of this browser’s storage, which has ${megabytes(there.free)} MB left`,
    );
  }

  /** @param {string} path */
  #file(path) {
    let file = this.#files.get(path);
    if (!file) {
      file = this.#open(path);
      this.#files.set(path, file);
      file.catch(() => this.#files.delete(path));
    }
    return file;
  }

  /** @param {string} path @returns {Promise<RemoteFile | null>} */
  async #open(path) {
    if (this.#checkpoint !== null && path !== this.#checkpoint) return null;
    const url = this.describe(path);
    const known = this.#manifest?.files[path];
    if (known) {
      const file = new RemoteFile(url, known, this.#net);
      file.verified = known.verified ?? false;
      // What has been loaded from end to end once had all its chances to be compared.
      return file.verified || this.#manifest?.complete ? file : this.#withChecksum(file);
    }
    const found =
      known === null
        ? null
        : await RemoteFile.look(url, this.#tuning.head, this.#net).catch((error) =>
            this.#asMissing(path, error),
          );
    if (!found) {
      if (!this.absent.has(path)) this.absent.set(path, "");
      return null;
    }
    this.#served = true;
    const { file, head } = found;
    if (!head) return file;
    this.#withChecksum(file);
    const { key } = this.#chunks.bounds(file, 0);
    const stored = this.#cache.put(key, head, file.version);
    this.#held.set(key, { chunk: Promise.resolve(head), stored });
    this.#limiter.keep(stored);
    return file;
  }

  /** Has a file of weights compared with what its host says of it. @param {RemoteFile} file */
  #withChecksum(file) {
    const sha256 = Promise.resolve(file.sha256 ?? pointerSha256(file.url, file.size, this.#net));
    if (file.size > 0) file.checksum = new Checksum(sha256, this.#chunks.count(file));
    return file;
  }

  /** @param {string} path @param {unknown} error */
  #asMissing(path, error) {
    // Object stores that do not let strangers list answer "forbidden" for files that are not there.
    if (!(error instanceof HttpError && error.closed && this.#served)) throw error;
    this.absent.set(path, error.said);
    return null;
  }

  /** What is read after this chunk, as much as may be under way. @param {RemoteFile} file @param {number} index @returns {[RemoteFile, number][]} */
  #readAhead(file, index) {
    const { inFlight } = this.#tuning;
    if (this.#order) return this.#order.after(this.#chunks.bounds(file, index).key, inFlight);
    const last = Math.min(index + inFlight, this.#chunks.count(file) - 1);
    return Array.from({ length: Math.max(0, last - index) }, (_, ahead) => [
      file,
      index + 1 + ahead,
    ]);
  }

  /**
   * A chunk, now, for the engine. Throws after a file's last one where its host says that the whole is another.
   * @param {string} path
   * @param {RemoteFile} file
   * @param {number} index
   */
  async #verified(path, file, index) {
    const chunk = await this.#request(file, index);
    const wrong = await file.checksum?.take(index, chunk);
    if (!wrong) return chunk;
    this.#abort.abort();
    await this.#limiter.settled();
    this.#files.delete(path);
    await this.#cache.dropFile(file.url);
    this.#dropped = true;
    const { actual, expected } = wrong;
    throw new DarkroomError(
      "damaged",
      `its SHA-256 is ${actual}, expected ${expected}, as its host says: it was spoilt on its way or is broken there`,
    );
  }

  /**
   * A chunk. Those after it are asked for too, and those before it forgotten.
   * @param {RemoteFile} file
   * @param {number} index
   */
  #request(file, index) {
    /** @type {Map<string, Held>} */
    const held = new Map();
    /** @param {RemoteFile} file @param {number} index */
    const hold = (file, index) => {
      const { key } = this.#chunks.bounds(file, index);
      const chunk = this.#held.get(key) ?? this.#load(file, index);
      held.set(key, chunk);
      return chunk;
    };
    const wanted = hold(file, index);
    // Before the weights begin there are only small heads, read by turns.
    if (this.#space) for (const [next, at] of this.#readAhead(file, index)) hold(next, at);
    else for (const [key, chunk] of this.#held) held.set(key, chunk);
    for (const [key, { chunk, stored }] of this.#held) {
      if (!held.has(key))
        void Promise.all([chunk, stored]).then(
          ([bytes]) => free(bytes),
          () => {},
        );
    }
    this.#held = held;
    return wanted.chunk;
  }

  /**
   * @param {RemoteFile} file
   * @param {number} index
   * @returns {Held}
   */
  #load(file, index) {
    const { key } = this.#chunks.bounds(file, index);
    /** @type {Promise<void> | null} */
    let stored = null;
    const chunk = this.#limiter.take(async () => {
      const kept = await this.#cached(file, index);
      if (kept) return { bytes: kept, stored };
      const bytes = await this.#fetch(file, index);
      stored = this.#cache.put(key, bytes, file.version);
      return { bytes, stored };
    });
    // Who asks again after a failure has it tried again.
    chunk.catch(() => this.#held.get(key)?.chunk === chunk && this.#held.delete(key));
    return {
      chunk,
      stored: chunk.then(
        () => stored,
        () => {},
      ),
    };
  }

  /** @param {RemoteFile} file @param {number} index */
  async #cached(file, index) {
    const { from, to, key } = this.#chunks.bounds(file, index);
    const kept = await this.#cache.get(key);
    return kept && kept.bytes.length === to - from && sameVersion(kept.version, file.version)
      ? kept.bytes
      : null;
  }

  /** @param {RemoteFile} file @param {number} index */
  async #fetch(file, index) {
    const { from, to, key } = this.#chunks.bounds(file, index);
    const part = await this.#cache.get(partKey(key));
    const usable = part && part.bytes.length < to - from && sameVersion(part.version, file.version);
    const bytes = await file.fetch(from, to, usable ? part.bytes : null, async (part) => {
      if (!this.#loaded) await this.#cache.put(partKey(key), part, file.version);
    });
    if (part) this.#limiter.keep(this.#cache.delete(partKey(key)));
    return bytes;
  }

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

/** @param {number} bytes */
const megabytes = (bytes) => Math.ceil(bytes / 1e6);
