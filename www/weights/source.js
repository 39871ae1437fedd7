// @ts-check
/**
 * Source of the engine's bytes: a model folder or a checkpoint at an address, read in chunks and
 * cached in the browser for the next visit.
 *
 * - Files are fetched by plain ranges, `bytes=a-b` and no other header. Such requests need no
 *   preflight, which fails on hubs that redirect to another origin. The first chunk is small,
 *   because a file's header is read before anything is decided; the others hold 16 MiB. Only a few
 *   are fetched ahead of the engine: the memory in use does not depend on the model's size.
 * - A download that breaks is resumed at its last byte: on this visit, or from the cache on the
 *   next one (fetch.js, remote-file.js). From a server without ranges a file comes as a stream,
 *   which is cut into the same chunks.
 * - Chunks are stored in Cache Storage (cache.js) under the file's address and range. A manifest
 *   lists the files. On the next visit one HEAD request per file asks the server for its version;
 *   without a network the cached files are used.
 * - Where the host states the SHA-256 of a file, the chunks are hashed as they are read, and a file
 *   with another hash is deleted.
 * - Where Cache Storage is missing, too small or fails, chunks are held in memory only, and a
 *   notice says so.
 */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { ModelCache, storageEstimate } from "./cache.js";
import { Checksum, pointerSha256 } from "./checksum.js";
import { ChunkReader } from "./chunk-reader.js";
import { outOfRange, ReadOrder } from "./chunks.js";
import { HttpError, Net, RETRY_POLICY } from "./fetch.js";
import { METADATA, WEIGHT_FILES } from "./layout.js";
import { hasChanged, RemoteFile } from "./remote-file.js";
import { takeTurn } from "./sharing.js";
import { Vocabulary } from "./vocabulary.js";

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {import("./cache.js").Manifest} Manifest */

/**
 * @typedef {object} Listener
 * @property {(text: string) => void} notice a message for the visitor; empty: the last one is over
 * @property {(bytes: number) => void} fetched more bytes have come over the network
 * @property {(bytes: number) => void} [storing] that many bytes are about to be cached
 * @property {() => import("./checksum.js").Sha256} createSha256 makes a hash for a file
 */

/** Sizes and times; tests make them smaller. */
export const TUNING = {
  ...RETRY_POLICY,
  /** Bytes of a file's first chunk. The header of a U-Net has about 100 KB. */
  head: 256 * 2 ** 10,
  /** Bytes of the other chunks. A file of 1.7 GB takes about a hundred requests. */
  chunk: 16 * 2 ** 20,
  /** Chunks that are fetched, hashed or stored at the same time. */
  inFlight: 4,
  /**
   * Weights of at most so many bytes are fetched while the engine itself is. Of larger ones the
   * memory plan is made first.
   */
  ahead: 50e6,
  /** The longest time that a cached model waits for the server to state its versions. */
  revalidateMs: 4000,
};

const INDEX = "model_index.json";
/** Ending of the fp16 variant of a file of weights. */
const HALF = /\.fp16\.safetensors$/;
/** Cache Storage needs some bytes of its own, besides those it stores. */
const STORAGE_OVERHEAD = 1.02;

/**
 * The engine's view of a model: {@link ModelSource.size}, {@link ModelSource.read} and
 * {@link ModelSource.announce}.
 */
export class ModelSource {
  #address;
  /** The file name of a model that is a single file. */
  #checkpoint;
  #vocabulary = new Vocabulary();
  #cache;
  #manifest;
  #listener;
  #tuning;
  #net;
  #reader;
  #abort = new AbortController();
  /** Lets the next tab download. */ #release = () => {};
  /** By path. @type {Map<string, Promise<RemoteFile | null>>} */ #files = new Map();
  /**
   * Resolves when it is known whether the weights can be cached; null before they are read.
   * @type {Promise<void> | null}
   */
  #space = null;
  /** The server has delivered a file. */
  #served = false;
  #loaded = false;
  /** A corrupt file was deleted from the cache. */
  #deleted = false;
  /**
   * The last error of a read. The engine passes on its message, but not its kind.
   * @type {DarkroomError | null}
   */
  problem = null;
  /**
   * Files that do not exist, by path. The value is the server's answer where that was another one
   * than "not found".
   * @type {Map<string, string>}
   */
  absent = new Map();

  /**
   * @param {string} address
   * @param {ModelCache} cache
   * @param {Manifest | null} manifest
   * @param {Listener} listener
   * @param {typeof TUNING} tuning
   */
  constructor(address, cache, manifest, listener, tuning) {
    this.#address = address;
    this.#checkpoint = address.endsWith("/") ? null : fileName(address);
    this.#cache = cache;
    this.#manifest = manifest;
    this.#listener = listener;
    this.#tuning = tuning;
    this.#reader = new ChunkReader(cache, tuning);
    this.#net = new Net(tuning, this.#abort.signal, listener);
  }

  /**
   * @param {string} address absolute; the address of a folder ends in a slash
   * @param {boolean} fresh delete the cached files of the model first
   * @param {Listener} listener
   * @param {Partial<typeof TUNING>} [tuning]
   */
  static async open(address, fresh, listener, tuning) {
    const cache = await ModelCache.open(listener.notice);
    if (fresh) await cache.deleteModel(address);
    const manifest = await cache.manifest(address);
    const all = { ...TUNING, ...tuning };
    const source = new ModelSource(address, cache, manifest, listener, all);
    if (!manifest?.complete && cache.enabled) await source.#takeTurn();
    await source.#revalidate();
    return source;
  }

  /** Waits for another tab that downloads the same model, and takes over what it has cached. */
  async #takeTurn() {
    const cache = this.#cache;
    const { notice } = this.#listener;
    this.#release = await takeTurn(this.#address, {
      bytes: () => cache.bytes(this.#address),
      onWait: (waiting) => notice(waiting ? strings().problems.storage.waiting : ""),
      signal: this.#abort.signal,
    });
    this.#manifest = await cache.manifest(this.#address);
  }

  /** The storage that holds the bytes read so far. */
  get storage() {
    return /** @type {"browser" | "memory"} */ (this.#cache.enabled ? "browser" : "memory");
  }

  /** The reason why it is not the browser's, as part of a sentence. */
  get why() {
    return this.#cache.why;
  }

  /** A second attempt may succeed, because it downloads a replaced or corrupt file again. */
  get retryable() {
    return this.#deleted || this.problem?.kind === "changed";
  }

  /** The path of the checkpoint, where the model is a single file. */
  checkpoint() {
    return this.#checkpoint;
  }

  /**
   * The address of a file. The engine puts it before the messages of errors thrown here.
   * @param {string} path
   */
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
   * @returns {Promise<number | null>} bytes; null: there is no such file
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
   * @returns {Promise<Bytes>} exactly `end - start` bytes, valid until the next call
   */
  read(path, start, end) {
    return this.#recordingProblem(async () => {
      if (this.#isVocabulary(path)) {
        return (await this.#vocabulary.bytes(path)).subarray(start, end);
      }
      const file = await this.#file(path);
      if (!file) throw new DarkroomError("missing", "there is no such file");
      if (start < 0 || end < start || end > file.size) throw outOfRange(start, end, file.size);
      if (start === end) return new Uint8Array(0);
      await this.#space;
      const { chunks } = this.#reader;
      const [first, last] = [chunks.at(start), chunks.at(end - 1)];
      if (first === last) {
        const { from } = chunks.bounds(file, first);
        return (await this.#verifiedChunk(path, file, first)).subarray(start - from, end - from);
      }
      const bytes = new Uint8Array(end - start);
      for (let index = first; index <= last; index += 1) {
        const { from, to } = chunks.bounds(file, index);
        const chunk = await this.#verifiedChunk(path, file, index);
        const part = chunk.subarray(Math.max(start, from) - from, Math.min(end, to) - from);
        bytes.set(part, Math.max(start, from) - start);
      }
      return bytes;
    });
  }

  /**
   * Fetches what the engine will read, as far as that is certain, before the engine has started:
   * the small files, the first chunks, and all chunks of a small model.
   */
  async prefetch() {
    if (this.#manifest?.complete) return;
    /** @param {string} path */
    const file = (path) => this.#file(path).catch(() => null);
    /** @type {(RemoteFile | null)[]} */
    let weights;
    if (this.#checkpoint === null) {
      const [first, ...others] = METADATA;
      // Servers that refuse unknown files do so with the answers of an unknown model.
      if (!(await file(first))) return;
      const found = WEIGHT_FILES.map(async ([best, other]) => (await file(best)) ?? file(other));
      [weights] = await Promise.all([Promise.all(found), ...others.map(file)]);
    } else weights = [await file(this.#checkpoint)];
    const bytes = weights.reduce((sum, file) => sum + (file?.size ?? Infinity), 0);
    if (bytes > this.#tuning.ahead || this.#abort.signal.aborted) return;
    this.#space ??= this.#reserveSpace(bytes);
    await this.#space;
    for (const file of weights) {
      const count = file?.size ? this.#reader.chunks.count(file) : 0;
      for (let index = 0; file && index < count; index += 1) this.#reader.ahead(file, index);
    }
  }

  /**
   * Takes the byte ranges of the weights that will be read, in order. Only these are fetched ahead.
   * @param {[path: string, start: number, end: number][]} ranges
   */
  async announce(ranges) {
    const order = new ReadOrder(this.#reader.chunks);
    for (const [path, start, end] of ranges) {
      const file = await this.#recordingProblem(() => this.#file(path));
      if (file && end > start) order.add(file, start, end);
    }
    this.#reader.order = order;
    this.expect(order.total);
    await this.#space;
  }

  /**
   * Announces the weights. Reads wait until it is known whether they can be cached.
   * @param {number} bytes
   */
  expect(bytes) {
    this.#space ??= this.#reserveSpace(bytes);
    this.#reader.readsWeights = true;
  }

  /** Ends a load that succeeded: the next visit needs no network. */
  async complete() {
    this.#loaded = true;
    this.#reader.storesParts = false;
    await this.close();
    await this.#writeManifest();
    this.#release();
    await this.#reopen();
  }

  /** Allows further reads: a change of LoRAs reads weights again. */
  async #reopen() {
    this.#abort = new AbortController();
    this.#net = new Net(this.#tuning, this.#abort.signal, this.#listener);
    for (const opening of this.#files.values())
      (await opening.catch(() => null))?.reopen(this.#net);
  }

  /** Ends all downloads, and stores the bytes that have come. */
  async close() {
    this.#abort.abort();
    await this.#reader.settled();
    if (!this.#loaded) this.#release();
    for (const opening of this.#files.values()) (await opening.catch(() => null))?.end();
  }

  async #writeManifest() {
    /** @type {Manifest} */
    const manifest = {
      index: this.#manifest?.index ?? "",
      files: {},
      complete: this.#loaded,
      when: Date.now(),
    };
    for (const [path, opening] of this.#files) {
      const file = await opening.catch(() => undefined);
      if (file === undefined) continue;
      const verified = file?.checksum?.verified ?? file?.verified;
      manifest.files[path] = file && { size: file.size, ...file.version, verified };
      if (path === INDEX && file?.whole) manifest.index = await file.whole.text();
    }
    await this.#cache.writeManifest(this.#address, manifest);
  }

  /** Deletes the cached files that the server has in another version now. */
  async #revalidate() {
    const manifest = this.#manifest;
    if (!manifest || !navigator.onLine) return;
    const signal = AbortSignal.timeout(this.#tuning.revalidateMs);
    const revalidate = async (/** @type {string} */ path) => {
      const file = manifest.files[path];
      const url = this.describe(path);
      const text = path === INDEX ? manifest.index : null;
      if (!file || !(await hasChanged(url, file, text, signal))) return;
      this.#listener.notice(`${path} was replaced on the server. Downloading it again.`);
      delete manifest.files[path];
      await this.#cache.deleteFile(url);
    };
    await Promise.all(Object.keys(manifest.files).map(revalidate));
  }

  /**
   * Compares the size of the weights with the free storage, before their first byte.
   * @param {number} bytes
   */
  async #reserveSpace(bytes) {
    if (!this.#cache.enabled) return;
    await this.#writeManifest();
    const missing = Math.max(0, bytes - (await this.#cache.bytes(this.#address)));
    const storage = await storageEstimate();
    if (missing === 0 || !storage) return;
    if (missing * STORAGE_OVERHEAD <= storage.free) return this.#listener.storing?.(missing);
    const [needed, left] = [missing, storage.free].map(megabytes);
    this.#cache.disable(strings().problems.storage.short(needed, left));
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
    if (await this.#isSpared(path)) return null;
    const url = this.describe(path);
    const known = this.#manifest?.files[path];
    if (known) {
      const file = new RemoteFile(url, known, this.#net);
      file.verified = known.verified ?? false;
      // A file that was loaded from end to end has been compared, where that was possible.
      return file.verified || this.#manifest?.complete ? file : this.#withChecksum(file);
    }
    const found = known === null ? null : await this.#firstChunk(path, url);
    if (!found) {
      if (!this.absent.has(path)) this.absent.set(path, "");
      return null;
    }
    this.#served = true;
    const { file, head } = found;
    if (!head) return file;
    this.#withChecksum(file);
    this.#reader.add(file, head);
    return file;
  }

  /**
   * Tells that a file need not be asked for. The engine asks for the fp16 variant of the weights
   * first, which most models beside a page do not have: there the plain file is looked for before
   * it, so that no visit begins with answers of "404 Not Found".
   * @param {string} path
   */
  async #isSpared(path) {
    const plain = path.replace(HALF, ".safetensors");
    const beside = new URL(this.#address).origin === globalThis.location?.origin;
    if (plain === path || !beside || this.#manifest?.files[path]) return false;
    return (await this.#file(plain).catch(() => null)) !== null;
  }

  /** @param {string} path @param {string} url */
  async #firstChunk(path, url) {
    try {
      return await RemoteFile.open(url, this.#tuning.head, this.#net);
    } catch (error) {
      // Object stores without listing answer "forbidden" for files that do not exist.
      if (!(error instanceof HttpError && error.forbidden && this.#served)) throw error;
      this.absent.set(path, error.summary);
      return null;
    }
  }

  /** Compares a file of weights with the host's SHA-256 as it is read. @param {RemoteFile} file */
  #withChecksum(file) {
    const sha256 = Promise.resolve(file.sha256 ?? pointerSha256(file.url, file.size, this.#net));
    if (file.size > 0) {
      const { createSha256 } = this.#listener;
      file.checksum = new Checksum(createSha256, sha256, this.#reader.chunks.count(file));
    }
    return file;
  }

  /**
   * A chunk. Throws after the last one of a file with another SHA-256 than its host's.
   * @param {string} path
   * @param {RemoteFile} file
   * @param {number} index
   */
  async #verifiedChunk(path, file, index) {
    const chunk = await this.#reader.read(file, index);
    const wrong = await file.checksum?.update(index, chunk);
    if (!wrong) return chunk;
    this.#abort.abort();
    await this.#reader.settled();
    this.#files.delete(path);
    await this.#cache.deleteFile(file.url);
    this.#deleted = true;
    const { actual, expected } = wrong;
    const where = "it was corrupted in transit, or it is corrupt on the server";
    const message = `its SHA-256 is ${actual}, its host states ${expected}: ${where}`;
    throw new DarkroomError("damaged", message);
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

/** @param {string} address of a file */
function fileName(address) {
  const { pathname } = new URL(address);
  const name = pathname.slice(pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** @param {number} bytes */
const megabytes = (bytes) => Math.ceil(bytes / 1e6);
