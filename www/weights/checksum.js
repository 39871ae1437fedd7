// @ts-check
/**
 * Whether a file that came in chunks is the one its host means. Git LFS, which model hubs keep their large files with, knows a file by its SHA-256.
 * Hubs tell it in the header `X-Linked-ETag`, but on the answer that redirects, which no script gets to see; and in the file's pointer, the small text
 * that stands for it in the repository. A plain ETag is no such hash, even where it looks like one: hubs put hashes of other things there.
 */
import { Sha256 } from "./sha256.js";

/** @typedef {import("./fetch.js").Net} Net */

/** A file on a hub: `/owner/name/resolve/revision/path`. */
const ON_HUB = /^(https?:\/\/[^/]+\/[^/]+\/[^/]+)\/resolve\/([^/]+\/.+)$/;
const POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n/;
/** A pointer has about 130 bytes. */
const POINTER_AT_MOST = 1024;

/** The SHA-256 in an answer's headers. @param {Response} response */
export function linkedSha256({ headers }) {
  return /^"?([0-9a-f]{64})"?$/.exec(headers.get("x-linked-etag") ?? "")?.[1] ?? null;
}

/**
 * The SHA-256 that a file's pointer tells; null where there is none to be had.
 * @param {string} url of the file
 * @param {number} size
 * @param {Net} net
 * @returns {Promise<string | null>}
 */
export async function pointerSha256(url, size, net) {
  const [, repository, path] = ON_HUB.exec(url) ?? [];
  if (!repository) return null;
  try {
    // Only so many bytes: elsewhere this may be the address of the file itself.
    const text = await net.ask(
      `${repository}/raw/${path}`,
      { headers: { range: `bytes=0-${POINTER_AT_MOST - 1}` } },
      async (answer) => {
        const part = answer.response.ok ? await answer.next() : null;
        return new TextDecoder().decode(part?.subarray(0, POINTER_AT_MOST));
      },
    );
    const ours = POINTER.test(text) && Number(/^size (\d+)$/m.exec(text)?.[1]) === size;
    return (ours && /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1]) || null;
  } catch {
    return null;
  }
}

/** Hashes a file whose chunks pass by in order. */
export class Checksum {
  #expected;
  #chunks;
  #hash = new Sha256();
  /** The chunk to come; −1: the whole will not be known. */
  #next = 0;
  /** Whether all of the file has been here and is what its host says. */
  verified = false;

  /**
   * @param {Promise<string | null>} expected
   * @param {number} chunks of the whole file
   */
  constructor(expected, chunks) {
    this.#expected = expected;
    this.#chunks = chunks;
  }

  /**
   * @param {number} index of a chunk; one that was here before changes nothing
   * @param {Uint8Array} bytes
   * @returns {Promise<{actual: string, expected: string} | null>} after the last chunk, where the file is another one
   */
  async take(index, bytes) {
    // Where parts are left out, as a VAE's encoder is, there is nothing to compare.
    if (index > this.#next) this.#next = -1;
    if (index !== this.#next) return null;
    if (index === 0 && (await this.#expected) === null) {
      this.#next = -1;
      return null;
    }
    this.#hash.update(bytes);
    this.#next += 1;
    if (this.#next < this.#chunks) return null;
    const expected = (await this.#expected) ?? "";
    const actual = this.#hash.digest();
    this.#next = -1;
    this.verified = actual === expected;
    return this.verified ? null : { actual, expected };
  }
}
