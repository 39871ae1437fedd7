// @ts-check
/** Bytes from servers that refuse, stall, break off and change their files: what model files are fetched with. */
import { DarkroomError } from "../base/problem.js";

/** @typedef {{etag: string, modified: string}} Version what a server calls this version of a file; empty where it does not say, or does not say it to us */

/**
 * @typedef {object} RetryPolicy
 * @property {number} stallMs how long nothing may come before the connection is given up
 * @property {number} attempts how many in a row may bring nothing new
 * @property {number} waitMs before the second attempt; twice as long before each further one
 */

/** @type {Readonly<RetryPolicy>} */
export const RETRY_POLICY = { stallMs: 20_000, attempts: 5, waitMs: 500 };
/** What comes late because this thread was busy has come all the same. */
const GRACE_MS = 100;
/** How long the end of a body may stay away after its last byte. */
const END_MS = 250;
/** A server that asks for more is not waited for. */
const LONGEST_WAIT_S = 60;
/** Answers that another attempt may better: timeout, too many requests, and the server's own troubles. */
const TRANSIENT = new Set([408, 429, 500, 502, 503, 504]);

/** What another attempt may better. */
export class TransientError extends Error {
  /**
   * @param {string} message
   * @param {number} [waitS] as long as the server asks to be left alone
   */
  constructor(message, waitS = 0) {
    super(message);
    this.waitS = waitS;
    /** Whether the attempt brought something nevertheless. */
    this.progress = false;
  }
}

/** How a model's files are asked for: with policy, and audibly. */
export class Net {
  #policy;
  #signal;
  #listener;

  /**
   * @param {RetryPolicy} policy
   * @param {AbortSignal} signal ends everything
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
   * @returns {Promise<Answer>} whatever the server said, except what another attempt may better
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
   * Acts until it goes well. An attempt that brought new bytes does not count: a connection that breaks every minute still ends in a whole file.
   * @template T
   * @param {string} url
   * @param {() => Promise<T>} act throws {@link TransientError} where another attempt may help
   * @returns {Promise<T>}
   */
  async retry(url, act) {
    const { attempts, waitMs } = this.#policy;
    const { notice } = this.#listener;
    const name = url.slice(url.lastIndexOf("/") + 1);
    for (let failures = 0, onFilled = false; ; ) {
      try {
        const result = await act();
        if (onFilled) notice("");
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
            `${error.message}, and asks to be left alone for ${Math.ceil(error.waitS / 60)} minutes`,
          );
        }
        const wait = Math.max(error.waitS * 1000, waitMs * 2 ** (failures - 1));
        notice(
          `${name}: ${error.message}. Trying again in ${Number((wait / 1000).toPrecision(2))} s.`,
        );
        onFilled = true;
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

/** A server's answer, its body read part by part, neither waited for without end. */
export class Answer {
  #body;
  #abort;
  #policy;
  #onBytes;
  /** What was read and not used. @type {Uint8Array<ArrayBuffer> | null} */ #rest = null;

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
   * @param {(count: number) => void} onBytes onFilled of each part of the body
   * @returns {Promise<Answer>} whatever the server said, except what another attempt may better
   */
  static async to(address, init, signal, policy, onBytes) {
    const abort = new AbortController();
    if (signal.aborted) abort.abort();
    signal.addEventListener("abort", () => abort.abort(), { once: true });
    let response;
    try {
      // Cache Storage keeps what is to be kept: no second copy in the browser's HTTP cache.
      response = await withTimeout(
        policy.stallMs,
        fetch(address, { cache: "no-store", ...init, signal: abort.signal }),
      );
    } catch (error) {
      abort.abort();
      // A refused connection, a missing network and a server that does not allow other sites to read all look alike from here.
      throw error instanceof TransientError
        ? error
        : new TransientError(
            navigator.onLine ? "the server could not be reached" : "there is no network",
          );
    }
    const answer = new Answer(response, abort, policy, onBytes);
    if (!TRANSIENT.has(response.status)) return answer;
    answer.end();
    throw new TransientError(new HttpError(response).said, retryAfter(response));
  }

  /** @returns {Promise<Uint8Array<ArrayBuffer> | null>} the next part of the body; null at its end */
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

  /** Gives back what belongs to the next reader. @param {Uint8Array<ArrayBuffer>} rest */
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

  /** Nothing more is wanted of it. */
  end() {
    this.#abort.abort();
  }

  /**
   * Everything wanted has come. A body that is read to its end leaves the connection to the next request.
   * @returns {Promise<boolean>} whether there was more
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

/** An answer that no further attempt will better. */
export class HttpError extends DarkroomError {
  /** @param {Response} response */
  constructor({ status, statusText }) {
    const said = `the server answered ${status} ${statusText}`.trimEnd();
    const closed = status === 401 || status === 403;
    super(
      "network",
      `${said}${closed ? ": there is no such model, or it is not open to everyone (Darkroom sends no password)" : ""}`,
    );
    /** Without the explanation. */
    this.said = said;
    this.closed = closed;
  }
}

/** Seconds. The header comes as a number of them or as a date, and from other origins often not at all. @param {Response} response */
function retryAfter(response) {
  const text = response.headers.get("retry-after") ?? "";
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
}

/**
 * Whether the answer says that there is no such file. Servers of single-page apps say so with their start page.
 * @param {Response} response
 */
export function isMissing(response) {
  if (response.status === 404 || response.status === 410) return true;
  return response.ok && (response.headers.get("content-type") ?? "").startsWith("text/html");
}

/** @param {Response} response @returns {Version} */
export function versionOf({ headers }) {
  // Weak or strong makes no difference where the same bytes are asked for in the same way.
  return {
    etag: (headers.get("etag") ?? "").replace(/^W\//, ""),
    modified: headers.get("last-modified") ?? "",
  };
}

/**
 * Whether two answers may be about the same bytes, as far as both say.
 * @param {Version} a
 * @param {Version} b
 */
export function sameVersion(a, b) {
  if (a.etag && b.etag) return a.etag === b.etag;
  return !a.modified || !b.modified || a.modified === b.modified;
}

/** The file's size as the answer tells it; null where it does not. @param {Response} response */
export function sizeOf({ status, headers }) {
  if (status === 206) {
    const total = /\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1];
    return total === undefined ? null : Number(total);
  }
  return headers.has("content-length") && !headers.has("content-encoding")
    ? Number(headers.get("content-length"))
    : null;
}
