// @ts-check
/** What this browser keeps of models: chunks of files in Cache Storage, each with its server's name of the version and its own SHA-256. */

/** @typedef {import("./fetch.js").Version} Version */

/**
 * What is kept of a model, written when its files are known and again when it has loaded.
 * @typedef {object} Manifest
 * @property {string} index the text of model_index.json
 * @property {Record<string, ({size: number, verified?: boolean} & Version) | null>} files by path; null: there is no such file; `verified`: by its
 *   host's SHA-256
 * @property {boolean} complete whether it has been loaded from end to end
 * @property {number} when milliseconds since 1970
 */

/**
 * A model as the visitor sees it.
 * @typedef {object} CachedModel
 * @property {string} address
 * @property {number} bytes
 * @property {boolean} complete
 * @property {number} when milliseconds since 1970
 */

const CACHE = "darkroom-models-2";
const VERSION = "x-darkroom-version";
const SHA256 = "x-darkroom-sha256";
/** Marks our keys: addresses of files with this query. */
const MARK = "?darkroom=";
const MANIFEST = `${MARK}manifest`;

/** The key of bytes `start … end` of a file. @param {string} url @param {number} start @param {number} end */
export const chunkKey = (url, start, end) => `${url}${MARK}${start}-${end}`;
/** The key of as much of a chunk as had come when its download was given up. @param {string} key */
export const partKey = (key) => `${key}-part`;

/** Blobs by name in Cache Storage; keeps nothing where that cannot be had. */
export class ModelCache {
  #cache;
  #tell;
  /** Why nothing more is kept, as a part of a sentence; empty: it is kept. */
  why = "";

  /**
   * @param {Cache | null} cache
   * @param {(notice: string) => void} tell
   */
  constructor(cache, tell) {
    this.#cache = cache;
    this.#tell = tell;
  }

  /** @param {(notice: string) => void} tell */
  static async open(tell) {
    try {
      return new ModelCache(await caches.open(CACHE), tell);
    } catch (error) {
      // No Cache Storage outside secure contexts, nor in some private windows.
      const store = new ModelCache(null, tell);
      store.stop(
        `this browser offers no storage here (${error instanceof Error ? error.message : error})`,
      );
      return store;
    }
  }

  get keeping() {
    return this.why === "";
  }

  /** Keeps nothing more from here on, and says so. @param {string} why */
  stop(why) {
    if (this.why) return;
    this.why = why;
    this.#tell(`The model goes through memory only and is fetched again next time: ${why}.`);
  }

  /**
   * @param {string} key
   * @returns {Promise<{bytes: Uint8Array<ArrayBuffer>, version: Version} | null>} null also where what was kept has been spoilt
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
    this.#tell(
      `${key.slice(key.lastIndexOf("/") + 1, key.lastIndexOf(MARK))}: a chunk kept in this browser was spoilt and is fetched again.`,
    );
    await this.delete(key);
    return null;
  }

  /**
   * @param {string} key
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @param {Version} version
   */
  async put(key, bytes, version) {
    if (!this.#cache || !this.keeping) return;
    try {
      const headers = {
        [VERSION]: encodeURIComponent(JSON.stringify(version)),
        [SHA256]: await digest(bytes),
      };
      await this.#cache.put(key, new Response(bytes, { headers }));
    } catch (error) {
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      this.stop(
        full ? "this browser’s storage is full" : `this browser’s storage failed (${error})`,
      );
    }
  }

  /** @param {string} key */
  async delete(key) {
    await this.#cache?.delete(key).catch(() => false);
  }

  /** @param {string} address of a model @returns {Promise<Manifest | null>} */
  async manifest(address) {
    const kept = await this.get(address + MANIFEST);
    return kept && JSON.parse(new TextDecoder().decode(kept.bytes));
  }

  /** @param {string} address @param {Manifest} manifest */
  async describe(address, manifest) {
    await this.put(address + MANIFEST, new TextEncoder().encode(JSON.stringify(manifest)), {
      etag: "",
      modified: "",
    });
  }

  /** Bytes kept of a model. @param {string} address */
  async bytes(address) {
    return sum(keysOf(address, await keys(this.#cache)));
  }

  /** Forgets a model. @param {string} address */
  async drop(address) {
    await drop(this.#cache, keysOf(address, await keys(this.#cache)));
  }

  /** Forgets a file. @param {string} url */
  async dropFile(url) {
    await drop(
      this.#cache,
      (await keys(this.#cache)).filter((key) => key.startsWith(url + MARK)),
    );
  }
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
async function drop(cache, keys) {
  await Promise.all(keys.map((key) => cache?.delete(key)));
}

/** The addresses of all models, whole or begun. @param {string[]} keys */
const addresses = (keys) =>
  keys.filter((key) => key.endsWith(MANIFEST)).map((key) => key.slice(0, -MANIFEST.length));

/**
 * The keys that belong to a model. A folder's address is the beginning of many others, among them such as have a manifest of their own.
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

/** A key tells how much it holds; of a part, at most. @param {string} key */
function bytesOf(key) {
  const [, start, end] = /\?darkroom=(\d+)-(\d+)$/.exec(key) ?? [];
  return end ? Number(end) - Number(start) : 0;
}

// For the page

/** All that is kept, the newest first. @returns {Promise<CachedModel[]>} */
export async function cachedModels() {
  if (!globalThis.caches || !(await caches.has(CACHE))) return [];
  const store = new ModelCache(await caches.open(CACHE), () => {});
  const all = await keys(await caches.open(CACHE));
  const models = await Promise.all(
    addresses(all).map(async (address) => {
      const { when = 0, complete = false } = (await store.manifest(address)) ?? {};
      return { address, bytes: sum(keysOf(address, all)), complete, when };
    }),
  );
  return models.sort((a, b) => b.when - a.when);
}

/** @param {string | null} address null: all models, and what may be left of others */
export async function deleteModel(address) {
  // The cache itself stays: a worker may have it open, and would go on filling one that nobody sees any more.
  const cache = await caches.open(CACHE);
  const all = await keys(cache);
  await drop(cache, address === null ? all : keysOf(address, all));
}

/** What this browser offers to this site, in bytes. @returns {Promise<{used: number, free: number} | null>} null where it does not say */
export async function storageEstimate() {
  const { usage, quota } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
  return usage === undefined || quota === undefined
    ? null
    : { used: usage, free: Math.max(0, quota - usage) };
}
