// @ts-check
/**
 * Checks a file that came in chunks against the SHA-256 that its host states.
 *
 * Model hubs store large files with Git LFS, which identifies a file by its SHA-256. Hubs state it
 * in two places: in the header `X-Linked-ETag` of the redirecting response, which scripts cannot
 * read; and in the file's pointer, the small text in its place in the repository. A plain ETag does
 * not count, even where it looks like a SHA-256: hubs put hashes of other things there.
 */
/** @typedef {import("./fetch.js").Net} Net */

/** Address of a file on a hub: `/owner/name/resolve/revision/path`. */
const ON_HUB = /^(https?:\/\/[^/]+\/[^/]+\/[^/]+)\/resolve\/([^/]+\/.+)$/;
const POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n/;
/** A pointer has about 130 bytes. */
const MAX_POINTER = 1024;

/** The SHA-256 in the headers of a response. @param {Response} response */
export function linkedSha256({ headers }) {
  return /^"?([0-9a-f]{64})"?$/.exec(headers.get("x-linked-etag") ?? "")?.[1] ?? null;
}

/**
 * The SHA-256 in a file's pointer; null where there is no pointer.
 * @param {string} url of the file
 * @param {number} size
 * @param {Net} net
 * @returns {Promise<string | null>}
 */
export async function pointerSha256(url, size, net) {
  const [, repository, path] = ON_HUB.exec(url) ?? [];
  if (!repository) return null;
  try {
    // Only a few bytes: on other servers this may be the address of the file itself.
    const text = await net.ask(
      `${repository}/raw/${path}`,
      { headers: { range: `bytes=0-${MAX_POINTER - 1}` } },
      async (answer) => {
        const part = answer.response.ok ? await answer.next() : null;
        return new TextDecoder().decode(part?.subarray(0, MAX_POINTER));
      },
    );
    const ours = POINTER.test(text) && Number(/^size (\d+)$/m.exec(text)?.[1]) === size;
    return (ours && /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1]) || null;
  } catch {
    return null;
  }
}

/**
 * SHA-256 of bytes that come in parts. The engine has one; the browser's own digest takes all bytes
 * at once, and a model has gigabytes.
 *
 * @typedef {{update(bytes: Uint8Array): void, digest(): string, free(): void}} Sha256
 */

/** Bytes that are hashed at once: they pass through the engine's memory, which never shrinks. */
const HASHED_AT_ONCE = 2 ** 20;

/** Hash of a file, updated chunk by chunk in order. */
export class Checksum {
  #expected;
  #chunks;
  #createHash;
  /** @type {Sha256 | null} */ #hash = null;
  /** Index of the next chunk; −1: the hash of the whole file cannot be computed. */
  #next = 0;
  /** The whole file was hashed, and its SHA-256 is the host's. */
  verified = false;

  /**
   * @param {() => Sha256} createHash called with the first chunk: a file may be opened before the
   *   engine, which computes the hash, has started
   * @param {Promise<string | null>} expected
   * @param {number} chunks of the whole file
   */
  constructor(createHash, expected, chunks) {
    this.#createHash = createHash;
    this.#expected = expected;
    this.#chunks = chunks;
  }

  /**
   * @param {number} index of a chunk; one that was hashed before changes nothing
   * @param {Uint8Array} bytes
   * @returns {Promise<{actual: string, expected: string} | null>} after the last chunk, where the
   *   hashes differ
   */
  async update(index, bytes) {
    // Some files are not read whole: a VAE's encoder is left out. There is nothing to compare then.
    if (index > this.#next) this.#next = -1;
    if (index !== this.#next) return null;
    if (index === 0 && (await this.#expected) === null) {
      this.#next = -1;
      return null;
    }
    this.#hash ??= this.#createHash();
    for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE)
      this.#hash.update(bytes.subarray(at, at + HASHED_AT_ONCE));
    this.#next += 1;
    if (this.#next < this.#chunks) return null;
    const expected = (await this.#expected) ?? "";
    const actual = this.#hash.digest();
    this.#next = -1;
    this.verified = actual === expected;
    return this.verified ? null : { actual, expected };
  }
}
