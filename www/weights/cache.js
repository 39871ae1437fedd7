// @ts-check
/**
 * Cache of model files: chunks in Cache Storage, each with the server's version of its file and its
 * own SHA-256.
 */
import { problemOf } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { tellDeleted } from "./sharing.js";

/** @typedef {import("./fetch.js").Version} Version */

/**
 * The cached files of a model. Written when the files are known, and again when the model has
 * loaded.
 * @typedef {object} Manifest
 * @property {string} index the text of model_index.json
 * @property {Record<string, ({size: number, verified?: boolean} & Version) | null>} files by path;
 *   null: there is no such file; `verified`: its SHA-256 was the host's
 * @property {boolean} complete the model has been loaded from end to end
 * @property {number} when milliseconds since 1970
 */

/**
 * A cached model, for the dialog of downloaded models.
 * @typedef {object} CachedModel
 * @property {string} address
 * @property {number} bytes
 * @property {number} total bytes of its files, as far as they are known
 * @property {boolean} complete
 * @property {number} when milliseconds since 1970
 */

const CACHE = "darkroom-models-2";
const VERSION = "x-darkroom-version";
const SHA256 = "x-darkroom-sha256";
/** Query that marks the cache's keys; the rest of a key is the file's address. */
const MARK = "?darkroom=";
const MANIFEST = `${MARK}manifest`;

/**
 * Key of bytes `start … end` of a file.
 * @param {string} url
 * @param {number} start
 * @param {number} end
 */
export const chunkKey = (url, start, end) => `${url}${MARK}${start}-${end}`;
/**
 * Key of the beginning of a chunk, stored when its download was given up.
 * @param {string} key of the chunk
 */
export const partKey = (key) => `${key}-part`;

/** Chunks and manifests in Cache Storage. Stores nothing where there is no Cache Storage. */
export class ModelCache {
  #cache;
  #notify;
  /** The reason why nothing more is stored, as part of a sentence; empty: chunks are stored. */
  why = "";

  /**
   * @param {Cache | null} cache
   * @param {(notice: string) => void} notify
   */
  constructor(cache, notify) {
    this.#cache = cache;
    this.#notify = notify;
  }

  /** @param {(notice: string) => void} notify */
  static async open(notify) {
    try {
      return new ModelCache(await caches.open(CACHE), notify);
    } catch (error) {
      // There is no Cache Storage outside secure contexts, nor in some private windows.
      const cache = new ModelCache(null, notify);
      cache.disable(whyNoStorage(error));
      return cache;
    }
  }

  get enabled() {
    return this.why === "";
  }

  /** Stores nothing more, and tells the visitor. @param {string} why part of a sentence */
  disable(why) {
    if (this.why) return;
    this.why = why;
    this.#notify(strings().problems.storage.uncached(why));
  }

  /**
   * @param {string} key
   * @returns {Promise<{bytes: Uint8Array<ArrayBuffer>, version: Version} | null>} null: not cached,
   *   or its checksum is wrong
   */
  async get(key) {
    const response = await this.#cache?.match(key).catch(() => undefined);
    if (!response) return null;
    const bytes = await response.arrayBuffer().catch(() => null);
    if (bytes && (await digest(bytes)) === response.headers.get(SHA256)) {
      return {
        bytes: new Uint8Array(bytes),
        version: JSON.parse(decodeURIComponent(response.headers.get(VERSION) ?? "%7B%7D")),
      };
    }
    const name = key.slice(key.lastIndexOf("/") + 1, key.lastIndexOf(MARK));
    this.#notify(`${name}: a cached chunk failed its checksum. Downloading it again.`);
    await this.delete(key);
    return null;
  }

  /**
   * @param {string} key
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @param {Version} version
   */
  async put(key, bytes, version) {
    if (!this.#cache || !this.enabled) return;
    try {
      const headers = {
        [VERSION]: encodeURIComponent(JSON.stringify(version)),
        [SHA256]: await digest(bytes),
      };
      await this.#cache.put(key, new Response(bytes, { headers }));
    } catch (error) {
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      const t = strings().problems.storage;
      this.disable(full ? t.full : t.failed(String(error)));
    }
  }

  /** @param {string} key */
  async delete(key) {
    await this.#cache?.delete(key).catch(() => false);
  }

  /** @param {string} address of a model @returns {Promise<Manifest | null>} */
  async manifest(address) {
    const cached = await this.get(address + MANIFEST);
    return cached && JSON.parse(new TextDecoder().decode(cached.bytes));
  }

  /** @param {string} address @param {Manifest} manifest */
  async writeManifest(address, manifest) {
    await this.put(address + MANIFEST, new TextEncoder().encode(JSON.stringify(manifest)), {
      etag: "",
      modified: "",
    });
  }

  /** Cached bytes of a model. @param {string} address */
  async bytes(address) {
    return sum(keysOf(address, await keys(this.#cache)));
  }

  /** Deletes the cached files of a model. @param {string} address */
  async deleteModel(address) {
    await deleteAll(this.#cache, keysOf(address, await keys(this.#cache)));
  }

  /** Deletes a cached file. @param {string} url */
  async deleteFile(url) {
    await deleteAll(
      this.#cache,
      (await keys(this.#cache)).filter((key) => key.startsWith(url + MARK)),
    );
  }
}

/** The reason for no storage, as part of a sentence. @param {unknown} error */
function whyNoStorage(error) {
  const { insecure, refused } = strings().problems.storage;
  return globalThis.isSecureContext ? refused(problemOf(error, "disk").message) : insecure;
}

/** @param {BufferSource} bytes */
async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Cache | null} cache */
async function keys(cache) {
  return ((await cache?.keys()) ?? []).map(({ url }) => url);
}

/** @param {Cache | null} cache @param {string[]} keys */
async function deleteAll(cache, keys) {
  await Promise.all(keys.map((key) => cache?.delete(key)));
}

/** Addresses of all models, complete or not. @param {string[]} keys */
const addresses = (keys) =>
  keys.filter((key) => key.endsWith(MANIFEST)).map((key) => key.slice(0, -MANIFEST.length));

/**
 * Keys that belong to a model. The address of a folder is the beginning of other addresses; some of
 * these have a manifest of their own and belong to another model.
 * @param {string} address
 * @param {string[]} keys
 */
function keysOf(address, keys) {
  const nested = addresses(keys).filter(
    (other) => other.length > address.length && other.startsWith(address),
  );
  const starts = address.endsWith("/") ? address : address + MARK;
  return keys.filter(
    (key) =>
      key.startsWith(starts) &&
      !nested.some((other) => key.startsWith(other.endsWith("/") ? other : other + MARK)),
  );
}

/** @param {string[]} keys */
const sum = (keys) => keys.reduce((bytes, key) => bytes + bytesOf(key), 0);

/** The size of the chunk with this key. Of the beginning of a chunk, 0. @param {string} key */
function bytesOf(key) {
  const [, start, end] = /\?darkroom=(\d+)-(\d+)$/.exec(key) ?? [];
  return end ? Number(end) - Number(start) : 0;
}

// For the page:

/**
 * All cached models, the newest first.
 * @param {(why: string) => void} [onRefused] the reason for no storage, as part of a sentence
 * @returns {Promise<CachedModel[]>}
 */
export async function cachedModels(onRefused) {
  let store;
  try {
    if (!(await caches.has(CACHE))) return [];
    store = await caches.open(CACHE);
  } catch (error) {
    onRefused?.(whyNoStorage(error));
    return [];
  }
  const cache = new ModelCache(store, () => {});
  const all = await keys(store);
  const models = await Promise.all(
    addresses(all).map(async (address) => {
      const { when = 0, complete = false, files = {} } = (await cache.manifest(address)) ?? {};
      const total = Object.values(files).reduce((bytes, file) => bytes + (file?.size ?? 0), 0);
      return { address, bytes: sum(keysOf(address, all)), total, complete, when };
    }),
  );
  return models.sort((a, b) => b.when - a.when);
}

/** @param {string | null} address null: all models, and remains of others */
export async function deleteModel(address) {
  // The cache itself stays. A worker may have it open, and would go on writing into a deleted one.
  const cache = await caches.open(CACHE);
  const all = await keys(cache);
  await deleteAll(cache, address === null ? all : keysOf(address, all));
  tellDeleted(address);
}

/**
 * Bytes that the browser offers to this site.
 * @returns {Promise<{used: number, free: number} | null>} null: the browser does not say
 */
export async function storageEstimate() {
  const { usage, quota } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
  return usage === undefined || quota === undefined
    ? null
    : { used: usage, free: Math.max(0, quota - usage) };
}
