// @ts-check
/**
 * Reads the text chunks of a PNG file (PNG 1.2, 11.3.4). The file may have any content: malformed
 * parts are skipped, nothing is thrown, and at most {@link AT_MOST} times the file's size is
 * allocated.
 */

/**
 * Bytes allocated for each byte of the file: a compressed text is decompressed to at most
 * {@link UNPACKED} times its size, joined, and converted to UTF-16.
 */
export const AT_MOST = 64;
const UNPACKED = 16;

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Bytes around a chunk's data: length and type before it, a checksum after it. */
const AROUND = 12;
const KEYWORD_AT_MOST = 79;

/**
 * @typedef {object} Text
 * @property {string} keyword
 * @property {Uint8Array<ArrayBuffer>} bytes a view into the file
 * @property {boolean} compressed by zlib
 * @property {"latin1" | "utf8"} encoding
 */

/**
 * The first readable text with this keyword.
 * @param {Uint8Array<ArrayBuffer>} file
 * @param {string} keyword
 * @returns {Promise<string | null>}
 */
export async function textOf(file, keyword) {
  for (const text of texts(file)) {
    if (text.keyword !== keyword) continue;
    const bytes = text.compressed ? await unpack(text.bytes) : text.bytes;
    if (bytes) return text.encoding === "utf8" ? new TextDecoder().decode(bytes) : latin1(bytes);
  }
  return null;
}

/**
 * All readable texts by their keywords; of several the first.
 * @param {Uint8Array<ArrayBuffer>} file
 * @param {string[]} keywords
 * @returns {Promise<Record<string, string>>}
 */
export async function textsOf(file, keywords) {
  /** @type {Record<string, string>} */
  const all = {};
  for (const keyword of keywords) {
    const text = await textOf(file, keyword);
    if (text !== null) all[keyword] = text;
  }
  return all;
}

/**
 * All text chunks, in the file's order.
 * @param {Uint8Array<ArrayBuffer>} file
 * @returns {Generator<Text>}
 */
export function* texts(file) {
  if (SIGNATURE.some((byte, at) => file[at] !== byte)) return;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = SIGNATURE.length; at + AROUND <= file.length; ) {
    const length = view.getUint32(at);
    const type = latin1(file.subarray(at + 4, at + 8));
    // The checksum is not verified: a readable text is better than none.
    if (at + AROUND + length > file.length || type === "IEND") return;
    const text = textIn(type, file.subarray(at + 8, at + 8 + length));
    if (text) yield text;
    at += AROUND + length;
  }
}

/** @param {string} type @param {Uint8Array<ArrayBuffer>} data @returns {Text | null} */
function textIn(type, data) {
  if (type !== "tEXt" && type !== "zTXt" && type !== "iTXt") return null;
  const end = data.subarray(0, KEYWORD_AT_MOST + 1).indexOf(0);
  if (end < 1) return null;
  const keyword = latin1(data.subarray(0, end));
  const rest = data.subarray(end + 1);
  if (type === "tEXt") return { keyword, bytes: rest, compressed: false, encoding: "latin1" };
  if (type === "zTXt")
    return rest[0] === 0
      ? { keyword, bytes: rest.subarray(1), compressed: true, encoding: "latin1" }
      : null;
  // Flag, method, language, translated keyword.
  const [flag, method] = rest;
  const language = rest.indexOf(0, 2);
  const translated = language < 0 ? -1 : rest.indexOf(0, language + 1);
  if (translated < 0 || flag > 1 || (flag === 1 && method !== 0)) return null;
  return {
    keyword,
    bytes: rest.subarray(translated + 1),
    compressed: flag === 1,
    encoding: "utf8",
  };
}

/** Decodes Latin-1. TextDecoder's "latin1" is Windows-1252. @param {Uint8Array} bytes */
function latin1(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 4096)
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 4096)));
  return parts.join("");
}

/**
 * @param {Uint8Array<ArrayBuffer>} packed
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null: malformed, or too large for a text
 */
async function unpack(packed) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  let length = 0;
  try {
    const reader = new Blob([packed])
      .stream()
      .pipeThrough(new DecompressionStream("deflate"))
      .getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      length += part.value.length;
      if (length > packed.length * UNPACKED) {
        await reader.cancel();
        return null;
      }
      parts.push(part.value);
    }
  } catch {
    return null;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
