// @ts-check
/** Downloads with retries, from servers that refuse, stall, break off or replace their files. */
import { DarkroomError } from "../base/problem.js";

/**
 * The server's names for a version of a file; empty where it has none or does not show it to
 * scripts.
 * @typedef {{etag: string, modified: string}} Version
 */

/**
 * @typedef {object} RetryPolicy
 * @property {number} stallMs a connection that sends nothing for so long is given up
 * @property {number} attempts so many in a row without new bytes end in an error
 * @property {number} waitMs before the second attempt; twice as long before each further one
 */

/** @type {Readonly<RetryPolicy>} */
export const RETRY_POLICY = { stallMs: 20_000, attempts: 5, waitMs: 500 };
/** Extra time for bytes that came in time while this thread was busy. */
const GRACE_MS = 100;
/** Time to wait for the end of a body after its last byte. */
const END_MS = 250;
/** The longest `Retry-After` that is waited for. */
const LONGEST_WAIT_S = 60;
/** Statuses that are worth a retry: timeout, too many requests, and errors of the server. */
const TRANSIENT = new Set([408, 429, 500, 502, 503, 504]);

/** A failure that is worth a retry. */
export class TransientError extends Error {
  /** @param {string} message @param {number} [waitS] the server's `Retry-After` */
  constructor(message, waitS = 0) {
    super(message);
    this.waitS = waitS;
    /** The failed attempt brought new bytes. */
    this.progress = false;
  }
}

/** Requests for a model's files, with retries and notices for the visitor. */
export class Net {
  #policy;
  #signal;
  #listener;

  /**
   * @param {RetryPolicy} policy
   * @param {AbortSignal} signal ends all requests
   * @param {{notice(text: string): void, fetched(bytes: number): void}} listener
   */
  constructor(policy, signal, listener) {
    this.#policy = policy;
    this.#signal = signal;
    this.#listener = listener;
  }

  /**
   * @param {string} url
   * @param {RequestInit} init
   * @returns {Promise<Answer>} of any status that is not worth a retry
   * @throws {TransientError} for those that are
   */
  request(url, init) {
    return Answer.to(url, init, this.#signal, this.#policy, this.#listener.fetched);
  }

  /**
   * @template T
   * @param {string} url
   * @param {RequestInit} init
   * @param {(answer: Answer) => Promise<T>} use
   */
  async ask(url, init, use) {
    const answer = await this.request(url, init);
    try {
      return await use(answer);
    } finally {
      answer.end();
    }
  }

  /**
   * Repeats `act` until it succeeds. An attempt that brought new bytes does not count: a connection
   * that breaks every minute still delivers a whole file.
   * @template T
   * @param {string} url
   * @param {() => Promise<T>} act throws {@link TransientError} where a retry may help
   * @returns {Promise<T>}
   */
  async retry(url, act) {
    const { attempts, waitMs } = this.#policy;
    const { notice } = this.#listener;
    const name = url.slice(url.lastIndexOf("/") + 1);
    for (let failures = 0, notified = false; ; ) {
      try {
        const result = await act();
        if (notified) notice("");
        return result;
      } catch (error) {
        if (this.#signal.aborted) throw new DarkroomError("cancelled", "Cancelled.");
        if (!(error instanceof TransientError)) throw error;
        failures = error.progress ? 1 : failures + 1;
        if (failures >= attempts)
          throw new DarkroomError("network", `${error.message}, ${attempts} times in a row`);
        if (error.waitS > LONGEST_WAIT_S) {
          throw new DarkroomError(
            "network",
            `${error.message}, and asks to wait for ${Math.ceil(error.waitS / 60)} minutes`,
          );
        }
        const wait = Math.max(error.waitS * 1000, waitMs * 2 ** (failures - 1));
        notice(
          `${name}: ${error.message}. Trying again in ${Number((wait / 1000).toPrecision(2))} s.`,
        );
        notified = true;
        await pause(wait, this.#signal);
      }
    }
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal ends it early
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });
}

/**
 * A server's answer. The body is read part by part, and each part has to come within a time limit.
 */
export class Answer {
  #body;
  #abort;
  #policy;
  #onBytes;
  /** Bytes read but not used yet. @type {Uint8Array<ArrayBuffer> | null} */ #rest = null;

  /**
   * @param {Response} response
   * @param {AbortController} abort
   * @param {RetryPolicy} policy
   * @param {(count: number) => void} onBytes
   */
  constructor(response, abort, policy, onBytes) {
    this.response = response;
    this.#body = /** @type {ReadableStream<Uint8Array<ArrayBuffer>> | null} */ (
      response.body
    )?.getReader();
    this.#abort = abort;
    this.#policy = policy;
    this.#onBytes = onBytes;
  }

  /**
   * @param {string} address
   * @param {RequestInit} init
   * @param {AbortSignal} signal
   * @param {RetryPolicy} policy
   * @param {(count: number) => void} onBytes called for each part of the body
   * @returns {Promise<Answer>} of any status that is not worth a retry
   */
  static async to(address, init, signal, policy, onBytes) {
    const abort = new AbortController();
    if (signal.aborted) abort.abort();
    signal.addEventListener("abort", () => abort.abort(), { once: true });
    let response;
    try {
      // "no-store": Cache Storage holds the file; the browser's HTTP cache needs no second copy.
      response = await withTimeout(
        policy.stallMs,
        fetch(address, { cache: "no-store", ...init, signal: abort.signal }),
      );
    } catch (error) {
      abort.abort();
      // A refused connection, a missing network and a server without CORS headers look the same
      // here.
      throw error instanceof TransientError
        ? error
        : new TransientError(
            navigator.onLine ? "the server could not be reached" : "there is no network",
          );
    }
    const answer = new Answer(response, abort, policy, onBytes);
    if (!TRANSIENT.has(response.status)) return answer;
    answer.end();
    throw new TransientError(new HttpError(response).summary, retryAfter(response));
  }

  /**
   * @returns {Promise<Uint8Array<ArrayBuffer> | null>} the next part of the body; null at its end
   */
  async next() {
    const rest = this.#rest;
    this.#rest = null;
    if (rest || !this.#body) return rest;
    try {
      const { value } = await withTimeout(this.#policy.stallMs, this.#body.read());
      if (!value) return null;
      this.#onBytes(value.length);
      return value;
    } catch (error) {
      this.#abort.abort();
      throw error instanceof TransientError ? error : new TransientError("the connection broke");
    }
  }

  /** Gives back bytes that the next reader needs. @param {Uint8Array<ArrayBuffer>} rest */
  unread(rest) {
    if (rest.length) this.#rest = rest;
  }

  /** The whole body. @returns {Promise<Blob>} */
  async blob() {
    /** @type {Uint8Array<ArrayBuffer>[]} */
    const parts = [];
    for (let part = await this.next(); part; part = await this.next()) parts.push(part);
    return new Blob(parts);
  }

  /** Drops the rest of the answer. */
  end() {
    this.#abort.abort();
  }

  /**
   * Ends after the last byte that was asked for. A body read to its end leaves the connection to
   * the next request.
   * @returns {Promise<boolean>} true: there were more bytes
   */
  async finish() {
    const more =
      this.#rest ??
      (
        await Promise.race([
          this.#body?.read().catch(() => null),
          new Promise((resolve) => setTimeout(resolve, END_MS)),
        ])
      )?.value;
    this.#abort.abort();
    return Boolean(more);
  }
}

/**
 * @template T
 * @param {number} milliseconds
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function withTimeout(milliseconds, promise) {
  let timer = 0;
  const stalled = new Promise((_, reject) => {
    const give = () =>
      reject(
        new TransientError(
          `the server sent nothing for ${Number((milliseconds / 1000).toPrecision(2))} s`,
        ),
      );
    timer = /** @type {any} */ (
      setTimeout(() => (timer = /** @type {any} */ (setTimeout(give, GRACE_MS))), milliseconds)
    );
  });
  return Promise.race([promise, /** @type {Promise<never>} */ (stalled)]).finally(() =>
    clearTimeout(timer),
  );
}

const NO_ACCESS =
  "the model does not exist or requires authentication (Darkroom sends no password)";

/** An answer that no retry will change. */
export class HttpError extends DarkroomError {
  /** @param {Response} response */
  constructor({ status, statusText }) {
    const summary = `the server answered ${status} ${statusText}`.trimEnd();
    const forbidden = status === 401 || status === 403;
    super(forbidden ? "refused" : "network", forbidden ? `${summary}: ${NO_ACCESS}` : summary);
    /** The message without its explanation. */
    this.summary = summary;
    this.forbidden = forbidden;
  }
}

/**
 * `Retry-After` in seconds. The header is a number or a date; other origins often hide it.
 * @param {Response} response
 */
function retryAfter(response) {
  const text = response.headers.get("retry-after") ?? "";
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
}

/**
 * Tells that there is no such file. Servers of single-page apps answer with their start page then.
 * @param {Response} response
 */
export function isMissing(response) {
  if (response.status === 404 || response.status === 410) return true;
  return response.ok && (response.headers.get("content-type") ?? "").startsWith("text/html");
}

/** @param {Response} response @returns {Version} */
export function versionOf({ headers }) {
  // Weak and strong tags are the same where the same bytes are requested in the same way.
  return {
    etag: (headers.get("etag") ?? "").replace(/^W\//, ""),
    modified: headers.get("last-modified") ?? "",
  };
}

/**
 * Compares two versions as far as both are known: false only where they are certainly different.
 * @param {Version} a
 * @param {Version} b
 */
export function sameVersion(a, b) {
  if (a.etag && b.etag) return a.etag === b.etag;
  return !a.modified || !b.modified || a.modified === b.modified;
}

/**
 * Size of the file by the headers of the answer; null where they do not state it.
 * @param {Response} response
 */
export function sizeOf({ status, headers }) {
  if (status === 206) {
    const total = /\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1];
    return total === undefined ? null : Number(total);
  }
  return headers.has("content-length") && !headers.has("content-encoding")
    ? Number(headers.get("content-length"))
    : null;
}
