// @ts-check
/** How files are cut into pieces, and which pieces will be read. */
import { pieceKey } from "./cache.js";

/** @typedef {import("./remote-file.js").RemoteFile} RemoteFile */

/** A small piece first, for a file's head is read before anything is decided; then larger ones of one size. */
export class Pieces {
  #head;
  #piece;

  /** @param {{head: number, piece: number}} sizes in bytes */
  constructor({ head, piece }) {
    this.#head = head;
    this.#piece = piece;
  }

  /** Which piece holds this byte. @param {number} offset */
  at(offset) {
    return offset < this.#head ? 0 : 1 + Math.floor((offset - this.#head) / this.#piece);
  }

  /** @param {RemoteFile} file with a byte at least */
  count({ size }) {
    return this.at(size - 1) + 1;
  }

  /** @param {RemoteFile} file @param {number} index */
  bounds({ url, size }, index) {
    const from = index === 0 ? 0 : this.#head + (index - 1) * this.#piece;
    const to = Math.min(size, this.#head + index * this.#piece);
    return { from, to, key: pieceKey(url, from, to) };
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

/** The pieces that will be read, in order, where the engine has said. */
export class Order {
  #pieces;
  /** @type {[RemoteFile, number][]} */ #order = [];
  /** @type {Map<string, number>} */ #at = new Map();
  /** Bytes of them all. */
  total = 0;

  /** @param {Pieces} pieces */
  constructor(pieces) {
    this.#pieces = pieces;
  }

  /** Those with bytes `start … end` come next. @param {RemoteFile} file @param {number} start @param {number} end */
  add(file, start, end) {
    for (let index = this.#pieces.at(start); index <= this.#pieces.at(end - 1); index += 1) {
      const { key, from, to } = this.#pieces.bounds(file, index);
      if (this.#at.has(key)) continue;
      this.#at.set(key, this.#order.push([file, index]) - 1);
      this.total += to - from;
    }
  }

  /** The next so many behind a piece. @param {string} key @param {number} count @returns {[RemoteFile, number][]} */
  behind(key, count) {
    const at = this.#at.get(key) ?? Infinity;
    return this.#order.slice(at + 1, at + 1 + count);
  }
}
