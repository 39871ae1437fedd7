// @ts-check
/** What {@link import("./weights.js").ModelSource} stands on: a place that keeps pieces of files, and a fetch that does not give up at once. */
import { DarkroomError } from "./protocol.js";

const CACHE = "darkroom-models-1";
const TAG = "x-darkroom-tag";
const ATTEMPTS = 4;
/** Answers that another attempt may better: timeout, too many requests, and the server's own troubles. */
const PASSING = new Set([408, 429, 500, 502, 503, 504]);

/** Named blobs in Cache Storage, or in memory where that cannot be had. */
export class Store {
  /** @type {Cache | null} */ #cache;
  /** @type {Map<string, {blob: Blob, tag: string}>} */ #memory = new Map();
  #tell;

  /**
   * @param {Cache | null} cache
   * @param {(notice: string) => void} tell
   */
  constructor(cache, tell) {
    this.#cache = cache;
    this.#tell = tell;
    this.keeping = cache !== null;
  }

  /** @param {(notice: string) => void} tell */
  static async open(tell) {
    try {
      return new Store(await caches.open(CACHE), tell);
    } catch (error) {
      // No Cache Storage outside secure contexts, nor in some private windows.
      tell(`This browser does not keep the model for the next visit (${error instanceof Error ? error.message : error}).`);
      return new Store(null, tell);
    }
  }

  /**
   * @param {string} key an http(s) address
   * @returns {Promise<{blob: Blob, tag: string} | null>}
   */
  async get(key) {
    const held = this.#memory.get(key);
    if (held) return held;
    const response = await this.#cache?.match(key).catch(() => undefined);
    return response ? { blob: await response.blob(), tag: response.headers.get(TAG) ?? "" } : null;
  }

  /**
   * @param {string} key
   * @param {Blob} blob
   * @param {string} tag what the server calls this version of the file
   */
  async put(key, blob, tag) {
    if (this.#cache && this.keeping) {
      try {
        return await this.#cache.put(key, new Response(blob, { headers: { [TAG]: tag } }));
      } catch (error) {
        this.keeping = false;
        const full = error instanceof DOMException && error.name === "QuotaExceededError";
        this.#tell(`The model stays in memory only and will be fetched again next time: ${full ? "this browser’s storage is full" : error}.`);
      }
    }
    this.#memory.set(key, { blob, tag });
  }

  /** Forgets everything whose key starts like this. @param {string} prefix */
  async drop(prefix) {
    for (const key of this.#memory.keys()) if (key.startsWith(prefix)) this.#memory.delete(key);
    for (const request of (await this.#cache?.keys()) ?? []) {
      if (request.url.startsWith(prefix)) await this.#cache?.delete(request);
    }
  }
}

/** @param {number} milliseconds */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Fetches and uses the answer, both again where the connection breaks or the server is in passing trouble: four attempts within 3.5 seconds.
 * @template T
 * @param {string} address
 * @param {RequestInit} init
 * @param {(notice: string) => void} tell
 * @param {(response: Response) => Promise<T>} use throws a DarkroomError where another attempt would not help
 * @returns {Promise<T>}
 */
export async function fetchRetrying(address, init, tell, use) {
  for (let attempt = 1; ; attempt += 1) {
    let failure;
    try {
      const response = await fetch(address, init);
      if (!PASSING.has(response.status)) return await use(response);
      failure = `the server answered ${response.status} ${response.statusText}`.trimEnd();
    } catch (error) {
      if (error instanceof DarkroomError) throw error;
      // A refused connection, a missing network and a server that does not allow other sites to read all look alike from here.
      failure = error instanceof BrokenOff ? error.message : "the server could not be reached";
    }
    if (attempt === ATTEMPTS) throw new DarkroomError("network", `${failure}, ${ATTEMPTS} times in a row`);
    const wait = 500 * 2 ** (attempt - 1);
    tell(`${address.slice(address.lastIndexOf("/") + 1)}: ${failure}. Trying again in ${wait / 1000} s.`);
    await pause(wait);
  }
}

/** The connection ended before everything had come. */
export class BrokenOff extends Error {}

/**
 * Whether the answer says that there is no such file. Servers of single-page apps say so with their start page.
 * @param {Response} response
 */
export function isMissing(response) {
  if (response.status === 404 || response.status === 410) return true;
  return response.ok && (response.headers.get("content-type") ?? "").startsWith("text/html");
}
