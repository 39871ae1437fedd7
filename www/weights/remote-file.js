// @ts-check
/** A file on a server, read by byte ranges where the server supports them, else as a stream. */
import { DarkroomError } from "../base/problem.js";
import { linkedSha256 } from "./checksum.js";
import { free } from "./chunks.js";
import { HttpError, isMissing, sameVersion, sizeOf, TransientError, versionOf } from "./fetch.js";

/** @typedef {import("./fetch.js").Answer} Answer */
/** @typedef {import("./fetch.js").Net} Net */
/** @typedef {import("./fetch.js").Version} Version */
/**
 * An answer with the whole file, and the offset of its next byte.
 * @typedef {Answer & {at: number}} Stream
 */

/**
 * Text is often sent compressed. Then no header states its size, and ranges count compressed bytes.
 */
const TEXT = /\.(json|txt)$/;

export class RemoteFile {
  #net;
  /**
   * The open stream, where the server does not support ranges.
   * @type {Stream | null}
   */
  #stream = null;
  /**
   * The last of the reads that wait for the stream, which serves one at a time; null where ranges
   * work.
   * @type {Promise<unknown> | null}
   */
  #queue = null;
  /** The whole file, where it came in one answer. @type {Blob | null} */ whole = null;
  /** The SHA-256 in the server's headers. @type {string | null} */ sha256 = null;
  /**
   * The running hash that is compared with the host's SHA-256.
   * @type {import("./checksum.js").Checksum | null}
   */
  checksum = null;
  /** The SHA-256 was verified at an earlier visit. */
  verified = false;

  /**
   * @param {string} url
   * @param {{size: number} & Version} about
   * @param {Net} net
   */
  constructor(url, { size, etag, modified }, net) {
    this.url = url;
    this.size = size;
    /** @type {Version} */
    this.version = { etag, modified };
    this.#net = net;
  }

  /**
   * Finds out the size and version of a file; its first bytes come with them.
   * @param {string} url
   * @param {number} count of first bytes
   * @param {Net} net
   * @returns {Promise<{file: RemoteFile, head: Uint8Array<ArrayBuffer> | null} | null>} null: there
   *   is no such file
   */
  static open(url, count, net) {
    const init = TEXT.test(url) ? {} : { headers: { range: `bytes=0-${count - 1}` } };
    return net.retry(url, () =>
      net.ask(url, init, async (answer) => {
        const { response } = answer;
        // An empty file has no first bytes.
        if (response.status === 416)
          return {
            file: new RemoteFile(url, { size: 0, ...versionOf(response) }, net),
            head: null,
          };
        if (isMissing(response)) return null;
        if (!response.ok) throw new HttpError(response);
        const size = TEXT.test(url) ? null : await fullSize(url, response, net);
        if (size === null)
          return { file: await RemoteFile.#fromText(url, answer, net), head: null };
        const file = new RemoteFile(url, { size, ...versionOf(response) }, net);
        file.sha256 = linkedSha256(response);
        if (response.status !== 206) file.#queue = Promise.resolve();
        checkStart(response, 0);
        return { file, head: await file.#first(Math.min(count, size), answer) };
      }),
    );
  }

  /**
   * Reads the first bytes from an answer. Where that breaks off, further requests fetch the rest.
   * @param {number} count
   * @param {Answer} answer
   */
  async #first(count, answer) {
    const bytes = new Uint8Array(count);
    let filled = 0;
    try {
      await fill(bytes, 0, answer, (count) => (filled = count));
      return bytes;
    } catch (error) {
      if (!(error instanceof TransientError) || filled === 0) throw error;
      return this.fetch(0, count, bytes.slice(0, filled), async () => {});
    }
  }

  /** @param {string} url @param {Answer} answer @param {Net} net */
  static async #fromText(url, answer, net) {
    const whole = await answer.blob();
    const file = new RemoteFile(url, { size: whole.size, ...versionOf(answer.response) }, net);
    file.whole = whole;
    return file;
  }

  /**
   * Fetches bytes `from … to`, with retries.
   * @param {number} from
   * @param {number} to
   * @param {Uint8Array<ArrayBuffer> | null} part the first of them, where they were fetched before
   * @param {(part: Uint8Array<ArrayBuffer>) => Promise<void>} savePart called with the first bytes
   *   where the rest does not come
   */
  async fetch(from, to, part, savePart) {
    if (TEXT.test(this.url)) await this.#reload();
    if (this.whole) return new Uint8Array(await this.whole.slice(from, to).arrayBuffer());
    const bytes = new Uint8Array(to - from);
    bytes.set(part ?? []);
    let filled = part?.length ?? 0;
    const attempt = async () => {
      const before = filled;
      try {
        return await this.#receive(
          bytes,
          from,
          () => filled,
          (count) => (filled = count),
        );
      } catch (error) {
        this.#dropStream();
        if (error instanceof TransientError) error.progress = filled > before;
        throw error;
      }
    };
    try {
      if (this.#queue || !(await this.#net.retry(this.url, attempt))) {
        const wait = () => this.#net.retry(this.url, attempt);
        this.#queue = (this.#queue ?? Promise.resolve()).then(wait, wait);
        await this.#queue;
      }
    } catch (error) {
      if (
        filled > (part?.length ?? 0) &&
        !(error instanceof DarkroomError && error.kind === "damaged")
      )
        await savePart(bytes.slice(0, filled));
      throw error;
    }
    return bytes;
  }

  /** Reads by other connections from now on. @param {Net} net */
  reopen(net) {
    this.#net = net;
  }

  /** Closes the connection. */
  end() {
    this.#dropStream();
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @param {number} from offset of the first of them in the file
   * @param {() => number} filled
   * @param {(filled: number) => void} onFilled
   * @returns {Promise<boolean>} false: the server sends the whole file, and another read has the
   *   stream
   */
  async #receive(bytes, from, filled, onFilled) {
    const at = from + filled();
    if (!this.#stream || this.#stream.at > at) {
      this.#dropStream();
      const answer = await this.#net.request(this.url, {
        headers: { range: `bytes=${at}-${from + bytes.length - 1}` },
      });
      try {
        this.#check(at, answer.response);
        if (answer.response.status === 206) {
          await fill(bytes, filled(), answer, onFilled);
          if (await answer.finish())
            throw new DarkroomError(
              "damaged",
              `the server sent more than the ${bytes.length} bytes requested`,
            );
          return true;
        }
        // Other reads run at the same time. From now on they go one after the other.
        if (!this.#queue) return false;
        this.#stream = Object.assign(answer, { at: 0 });
      } finally {
        if (answer !== this.#stream) answer.end();
      }
    }
    const stream = this.#stream;
    while (stream.at < at) {
      const part = await stream.next();
      if (!part)
        throw new TransientError(`the connection ended after ${stream.at} of ${this.size} bytes`);
      const used = Math.min(part.length, at - stream.at);
      if (used === part.length) free(part);
      else stream.unread(part.subarray(used));
      stream.at += used;
    }
    await fill(bytes, filled(), stream, onFilled);
    stream.at = from + bytes.length;
    return true;
  }

  #dropStream() {
    this.#stream?.end();
    this.#stream = null;
  }

  /** Fetches a text file again as a whole, after its cached copy was lost. */
  async #reload() {
    if (this.whole) return;
    const again = await RemoteFile.open(this.url, 0, this.#net);
    if (!again) throw gone();
    if (again.file.size !== this.size || !sameVersion(again.file.version, this.version))
      throw changed("is another version");
    this.whole = again.file.whole;
  }

  /**
   * Throws unless the answer is about the same version of the file, and starts at this byte or at
   * the first.
   * @param {number} at
   * @param {Response} response
   */
  #check(at, response) {
    const { status, ok } = response;
    // The sign-in page of a network, or a server with an error page under status 200.
    if (ok && isMissing(response))
      throw new TransientError("the server sent a web page instead of the file");
    if (isMissing(response)) throw gone();
    if (status === 416) throw changed("is shorter than it was");
    if (!ok) {
      const failure = new HttpError(response);
      // The file was readable a moment ago: a signed link has expired, or the server limits
      // requests.
      throw failure.forbidden ? new TransientError(failure.summary) : failure;
    }
    const size = sizeOf(response);
    if (size !== null && size !== this.size)
      throw changed(`has ${size} bytes, expected ${this.size}`);
    if (!sameVersion(versionOf(response), this.version)) throw changed("is another version");
    checkStart(response, at);
  }
}

/**
 * Throws where the answer says that it starts at another byte.
 * @param {Response} response
 * @param {number} at
 */
function checkStart({ headers }, at) {
  const start = /^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1];
  if (start !== undefined && Number(start) !== at)
    throw new TransientError(`the server sent bytes from ${start} instead of from ${at}`);
}

/**
 * @param {string} url
 * @param {Response} response to a request for the first bytes
 * @param {Net} net
 * @returns {Promise<number | null>} null: unknown before the end of the file
 */
async function fullSize(url, response, net) {
  const size = sizeOf(response);
  if (size !== null || response.status !== 206) return size;
  // Other origins hide Content-Range unless they expose it. Content-Length is always readable.
  for (const method of ["HEAD", "GET"]) {
    const size = await net.ask(url, { method }, async ({ response }) =>
      response.ok ? sizeOf(response) : null,
    );
    if (size !== null) return size;
  }
  throw new DarkroomError("network", "the server does not state the size of the file");
}

/**
 * Fills `bytes` from an answer, to the end.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {number} filled bytes that are there already
 * @param {Answer} answer
 * @param {(filled: number) => void} [onFilled] after each part
 */
async function fill(bytes, filled, answer, onFilled) {
  while (filled < bytes.length) {
    const part = await answer.next();
    if (!part)
      throw new TransientError(`the connection ended after ${filled} of ${bytes.length} bytes`);
    const used = Math.min(part.length, bytes.length - filled);
    bytes.set(part.subarray(0, used), filled);
    if (used === part.length) free(part);
    else answer.unread(part.subarray(used));
    filled += used;
    onFilled?.(filled);
  }
}

/**
 * Asks the server for another version of a file. False also where the server does not answer or
 * does not show the file any more.
 * @param {string} url
 * @param {{size: number} & Version} file
 * @param {string | null} text of a small file, which is compared itself
 * @param {AbortSignal} signal
 */
export async function hasChanged(url, file, text, signal) {
  try {
    const response = await fetch(url, {
      method: text === null ? "HEAD" : "GET",
      cache: "no-store",
      signal,
    });
    if (!response.ok || isMissing(response)) return false;
    if (text !== null) return (await response.text()) !== text;
    const size = sizeOf(response);
    return (size !== null && size !== file.size) || !sameVersion(versionOf(response), file);
  } catch {
    return false;
  }
}

/** @param {string} how */
const changed = (how) =>
  new DarkroomError(
    "changed",
    `the file ${how}: it was replaced on the server while it was being read`,
  );

const gone = () => new DarkroomError("missing", "the file was there a moment ago and is gone now");
