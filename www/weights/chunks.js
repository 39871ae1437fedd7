// @ts-check
/** How files are cut into chunks, and which chunks will be read. */
import { chunkKey } from "./cache.js";

/** @typedef {import("./remote-file.js").RemoteFile} RemoteFile */

/** A small chunk first, for a file's head is read before anything is decided; then larger ones of one size. */
export class Chunks {
  #head;
  #chunk;

  /** @param {{head: number, chunk: number}} sizes in bytes */
  constructor({ head, chunk }) {
    this.#head = head;
    this.#chunk = chunk;
  }

  /** Which chunk holds this byte. @param {number} offset */
  at(offset) {
    return offset < this.#head ? 0 : 1 + Math.floor((offset - this.#head) / this.#chunk);
  }

  /** @param {RemoteFile} file with a byte at least */
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
 * Gives a buffer's memory back now. Collectors leave such buffers lying while memory lasts: of a model of 2 GB there were 2.2 GB in the end.
 * @param {Uint8Array<ArrayBuffer>} bytes of no use any more
 */
export function free(bytes) {
  const buffer = /** @type {ArrayBuffer & {transfer?: (length: number) => ArrayBuffer}} */ (
    bytes.buffer
  );
  // Not where somebody else may have a part of it. Browsers of before 2024 leave it to the collector.
  if (bytes.byteLength === buffer.byteLength) buffer.transfer?.(0);
}

/** The chunks that will be read, in order, where the engine has said. */
export class ReadOrder {
  #chunks;
  /** @type {[RemoteFile, number][]} */ #order = [];
  /** @type {Map<string, number>} */ #at = new Map();
  /** Bytes of them all. */
  total = 0;

  /** @param {Chunks} chunks */
  constructor(chunks) {
    this.#chunks = chunks;
  }

  /** Those with bytes `start … end` come next. @param {RemoteFile} file @param {number} start @param {number} end */
  add(file, start, end) {
    for (let index = this.#chunks.at(start); index <= this.#chunks.at(end - 1); index += 1) {
      const { key, from, to } = this.#chunks.bounds(file, index);
      if (this.#at.has(key)) continue;
      this.#at.set(key, this.#order.push([file, index]) - 1);
      this.total += to - from;
    }
  }

  /** The next so many after a chunk. @param {string} key @param {number} count @returns {[RemoteFile, number][]} */
  after(key, count) {
    const at = this.#at.get(key) ?? Infinity;
    return this.#order.slice(at + 1, at + 1 + count);
  }
}
