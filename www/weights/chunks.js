// @ts-check
/** Division of files into chunks, and the order in which chunks are read. */
import { DarkroomError } from "../base/problem.js";
import { chunkKey } from "./cache.js";

/** @typedef {import("./remote-file.js").RemoteFile} RemoteFile */

/**
 * Sizes of chunks: a small one first, because a file's header is read before anything is decided;
 * then larger ones of equal size.
 */
export class Chunks {
  #head;
  #chunk;

  /** @param {{head: number, chunk: number}} sizes in bytes */
  constructor({ head, chunk }) {
    this.#head = head;
    this.#chunk = chunk;
  }

  /** Index of the chunk with this byte. @param {number} offset */
  at(offset) {
    return offset < this.#head ? 0 : 1 + Math.floor((offset - this.#head) / this.#chunk);
  }

  /** @param {RemoteFile} file not an empty one */
  count({ size }) {
    return this.at(size - 1) + 1;
  }

  /** @param {RemoteFile} file @param {number} index */
  bounds({ url, size }, index) {
    const from = index === 0 ? 0 : this.#head + (index - 1) * this.#chunk;
    const to = Math.min(size, this.#head + index * this.#chunk);
    return { from, to, key: chunkKey(url, from, to) };
  }
}

/**
 * Releases the memory of a buffer now. The garbage collector does not release such buffers while
 * memory lasts: with a model of 2 GB, 2.2 GB were held in the end.
 * @param {Uint8Array<ArrayBuffer>} bytes not used any more
 */
export function free(bytes) {
  const buffer = /** @type {ArrayBuffer & {transfer?: (length: number) => ArrayBuffer}} */ (
    bytes.buffer
  );
  // Not where the bytes are part of a larger buffer, which others may use. Browsers from before
  // 2024 have no `transfer`: there the collector does it.
  if (bytes.byteLength === buffer.byteLength) buffer.transfer?.(0);
}

/** The chunks that the engine will read, in order. */
export class ReadOrder {
  #chunks;
  /** @type {[RemoteFile, number][]} */ #order = [];
  /** @type {Map<string, number>} */ #at = new Map();
  /** Bytes of all these chunks. */
  total = 0;

  /** @param {Chunks} chunks */
  constructor(chunks) {
    this.#chunks = chunks;
  }

  /**
   * Appends the chunks of bytes `start … end`.
   * @param {RemoteFile} file
   * @param {number} start
   * @param {number} end
   */
  add(file, start, end) {
    for (let index = this.#chunks.at(start); index <= this.#chunks.at(end - 1); index += 1) {
      const { key, from, to } = this.#chunks.bounds(file, index);
      if (this.#at.has(key)) continue;
      this.#at.set(key, this.#order.push([file, index]) - 1);
      this.total += to - from;
    }
  }

  /**
   * The next chunks after one.
   * @param {string} key
   * @param {number} count
   * @returns {[RemoteFile, number][]}
   */
  after(key, count) {
    const at = this.#at.get(key) ?? Infinity;
    return this.#order.slice(at + 1, at + 1 + count);
  }
}

/**
 * The error for bytes that a file does not have.
 * @param {number} start
 * @param {number} end
 * @param {number} size
 */
export const outOfRange = (start, end, size) => {
  const message = `bytes ${start} to ${end} were requested, but the file has ${size} bytes`;
  return new DarkroomError("damaged", `${message}; it may be truncated`);
};
