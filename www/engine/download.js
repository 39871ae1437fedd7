// @ts-check
/**
 * Download of the engine, compiled while it arrives. Where the host compresses files by itself, the
 * plain file is asked for, and the browser decompresses it. Elsewhere the compressed copy is, a
 * quarter of its size, and this module decompresses it.
 */
import { DarkroomError } from "../base/problem.js";
import { HttpError, Net, RETRY_POLICY } from "../weights/fetch.js";

/** @typedef {import("./engine-files.js").EngineFiles} EngineFiles */
/** @typedef {import("../weights/fetch.js").Answer} Answer */

/**
 * @typedef {object} Listener
 * @property {(done: number, total: number) => void} progress bytes over the network; total 0:
 *   unknown
 * @property {(text: string) => void} notice a message for the visitor; empty: the last one is over
 */

/** First bytes of a WebAssembly module. */
const MAGIC = [0x00, 0x61, 0x73, 0x6d];

/**
 * Downloads and compiles the engine. A download that breaks off is repeated.
 * @param {EngineFiles} files
 * @param {Listener} listener
 * @returns {Promise<WebAssembly.Module>}
 */
export async function compileEngine(files, listener) {
  const { signal } = new AbortController();
  const net = new Net(RETRY_POLICY, signal, { notice: listener.notice, fetched: () => {} });
  if (files.gzip && !(await prefersPlain(files))) {
    try {
      return await compileFrom(files.gzip, 0, net, listener);
    } catch (error) {
      // Some hosts do not serve files of this kind.
      if (!(error instanceof HttpError)) throw error;
    }
  }
  try {
    return await compileFrom(files.wasm, files.bytes, net, listener);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    throw new DarkroomError("start", `${files.wasm}: ${error.summary}.`);
  }
}

/**
 * Tells if the plain file is the smaller download: the service worker has it, or the host
 * compresses it.
 * @param {EngineFiles} files
 */
async function prefersPlain({ wasm, gzip }) {
  if (!gzip || !("DecompressionStream" in globalThis)) return true;
  try {
    if (await caches.match(gzip)) return false;
    if (await caches.match(wasm)) return true;
  } catch {
    // There is no Cache Storage outside secure contexts, nor in some private windows.
  }
  const answer = await fetch(wasm, { method: "HEAD" }).catch(() => null);
  return Boolean(answer?.ok && answer.headers.has("content-encoding"));
}

/**
 * @param {URL} url
 * @param {number} bytes of the module; 0: unknown
 * @param {Net} net
 * @param {Listener} listener
 */
function compileFrom(url, bytes, net, listener) {
  return net.retry(url.href, () =>
    // The default cache: a second worker, for another device, does not download the engine again.
    net.ask(url.href, { cache: "default" }, async (answer) => {
      const { response } = answer;
      if (!response.ok) throw new HttpError(response);
      const body = new Body(answer, scaleOf(response, bytes), listener);
      try {
        const module = await compile(await body.module());
        body.finish();
        return module;
      } catch (error) {
        // The compiler reports a broken stream in its own words.
        throw body.failure ?? error;
      }
    }),
  );
}

/**
 * The size of the download, and the part of it that a byte of the body is: of a body that the
 * browser decompresses, `Content-Length` counts the compressed bytes.
 * @param {Response} response
 * @param {number} bytes of the module; 0: unknown
 */
function scaleOf({ headers }, bytes) {
  const total = Number(headers.get("content-length") ?? 0);
  if (!headers.has("content-encoding")) return { total, share: 1 };
  return total && bytes ? { total, share: total / bytes } : { total: bytes, share: 1 };
}

/** The body of an answer as a WebAssembly module, with its bytes counted. */
class Body {
  #answer;
  #scale;
  #listener;
  #received = 0;
  /** The error that the body ended with. @type {unknown} */ failure = null;

  /**
   * @param {Answer} answer
   * @param {{total: number, share: number}} scale
   * @param {Listener} listener
   */
  constructor(answer, scale, listener) {
    this.#answer = answer;
    this.#scale = scale;
    this.#listener = listener;
  }

  /** @returns {Promise<ReadableStream<Uint8Array<ArrayBuffer>>>} */
  async module() {
    const first = await this.#next();
    // A host may have decompressed the copy already.
    const isPlain = first !== null && MAGIC.every((byte, at) => first[at] === byte);
    const stream = this.#stream(first);
    return isPlain ? stream : stream.pipeThrough(new DecompressionStream("gzip"));
  }

  /** Reports all bytes as received. */
  finish() {
    const { total } = this.#scale;
    if (total) this.#listener.progress(total, total);
  }

  /** @param {Uint8Array<ArrayBuffer> | null} first part of the body */
  #stream(first) {
    let part = first;
    return new ReadableStream({
      pull: async (controller) => {
        const now = part ?? (await this.#next());
        part = null;
        if (now) controller.enqueue(now);
        else controller.close();
      },
    });
  }

  async #next() {
    try {
      const part = await this.#answer.next();
      this.#received += part?.length ?? 0;
      const { total, share } = this.#scale;
      const done = Math.round(this.#received * share);
      this.#listener.progress(total ? Math.min(done, total) : done, total);
      return part;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}

/** @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream */
async function compile(stream) {
  const response = new Response(stream, { headers: { "content-type": "application/wasm" } });
  return WebAssembly.compileStreaming(response);
}
