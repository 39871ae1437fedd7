// @ts-check
/**
 * Writes ZIP archives of files that are compressed already, as PNG files are: stored as they are
 * (PKWARE's APPNOTE 6.3, method 0), with names in UTF-8. The files are read one after the other, so
 * an archive may be larger than the memory.
 */
import { crc32 } from "./crc32.js";

/** @typedef {{name: string, made: number, file: Blob}} ZipEntry `made`: milliseconds since 1970 */

/** Larger archives, or ones of more files, need the format's 64-bit extension. */
export const BYTES_AT_MOST = 0xffffffff;
export const FILES_AT_MOST = 0xffff;
/** The lowest version of the format that has what is used here. */
const VERSION = 20;
const NAMES_IN_UTF8 = 1 << 11;
/** Length of the record that ends an archive. */
const END_LENGTH = 22;

/**
 * @param {AsyncIterable<ZipEntry> | Iterable<ZipEntry>} entries files of the same name get a number
 * @returns {Promise<Blob>}
 */
export async function zipOf(entries) {
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  const names = new Names();
  let at = 0;
  let directoryLength = 0;
  for await (const { name, made, file } of entries) {
    const own = new TextEncoder().encode(names.unique(name));
    const facts = factsOf(made, new Uint8Array(await file.arrayBuffer()), own.length);
    const head = joined(numbers([4, 0x04034b50]), facts, own);
    // No comment, first disk, no attributes, and the head's position.
    const row = joined(
      numbers([4, 0x02014b50], [2, VERSION]),
      facts,
      numbers([2, 0], [2, 0], [2, 0], [4, 0], [4, at]),
      own,
    );
    directory.push(row);
    directoryLength += row.length;
    parts.push(head, file);
    at += head.length + file.size;
    if (at + directoryLength + END_LENGTH > BYTES_AT_MOST || directory.length > FILES_AT_MOST)
      throw new RangeError(
        `an archive holds at most ${FILES_AT_MOST} files and 4 GB; this one would have more`,
      );
  }
  const count = directory.length;
  const end = numbers(
    [4, 0x06054b50],
    [4, 0],
    [2, count],
    [2, count],
    [4, directoryLength],
    [4, at],
    [2, 0],
  );
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/**
 * The fields that an entry has in both of its places.
 * @param {number} made
 * @param {Uint8Array} bytes
 * @param {number} nameLength
 */
function factsOf(made, bytes, nameLength) {
  const { length } = bytes;
  return numbers(
    [2, VERSION],
    [2, NAMES_IN_UTF8],
    [2, 0],
    [4, dosTime(new Date(made))],
    [4, crc32(bytes)],
    [4, length],
    [4, length],
    [2, nameLength],
    [2, 0],
  );
}

/** Local time as in FAT, from 1980 on, in steps of two seconds. @param {Date} time */
function dosTime(time) {
  const year = Math.min(127, Math.max(0, time.getFullYear() - 1980));
  const date = (year << 9) | ((time.getMonth() + 1) << 5) | time.getDate();
  const day = (time.getHours() << 11) | (time.getMinutes() << 5) | (time.getSeconds() >> 1);
  return ((date << 16) | day) >>> 0;
}

/** Little-endian numbers, each as its bytes and its value. @param {[2 | 4, number][]} values */
function numbers(...values) {
  const bytes = new Uint8Array(values.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of values) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

/** @param {Uint8Array[]} parts */
function joined(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Makes names different from each other. */
class Names {
  /** Times that each name was wanted. @type {Map<string, number>} */ #wanted = new Map();

  /** @param {string} name @returns {string} */
  unique(name) {
    const times = (this.#wanted.get(name) ?? 0) + 1;
    this.#wanted.set(name, times);
    if (times === 1) return name;
    const dot = name.lastIndexOf(".");
    const end = dot < 0 ? name.length : dot;
    return this.unique(`${name.slice(0, end)}-${times}${name.slice(end)}`);
  }
}
