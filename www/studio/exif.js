// @ts-check
/**
 * Texts and sizes in JPEG and WebP files: A1111 writes its parameters into Exif's UserComment,
 * ComfyUI its graph into Exif's texts. The file may have any content: malformed parts are skipped,
 * and nothing is thrown.
 */

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

const EXIF = "Exif\0\0";
/** Exif's tags: the offset of its own directory, and the comment in it. */
const OWN_DIRECTORY = 0x8769;
const USER_COMMENT = 0x9286;
const ASCII = 2;
/** More entries than any directory has. */
const ENTRIES = 500;

/** @param {Bytes} bytes */
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** @param {Bytes} bytes @param {number} start @param {number} end */
const latin1 = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));

/**
 * Segments of a JPEG before its pixels.
 * @param {Bytes} file
 * @returns {Generator<{type: number, data: Bytes}>}
 */
function* segments(file) {
  if (file[0] !== 0xff || file[1] !== 0xd8) return;
  for (let at = 2; at + 4 <= file.length; ) {
    if (file[at] !== 0xff) return;
    const type = file[at + 1];
    const length = view(file).getUint16(at + 2);
    // The pixels begin.
    if (type === 0xda || length < 2) return;
    yield { type, data: file.subarray(at + 4, at + 2 + length) };
    at += 2 + length;
  }
}

/**
 * Chunks of a WebP.
 * @param {Bytes} file
 * @returns {Generator<{type: string, data: Bytes}>}
 */
function* chunks(file) {
  if (latin1(file, 0, 4) !== "RIFF" || latin1(file, 8, 12) !== "WEBP") return;
  for (let at = 12; at + 8 <= file.length; ) {
    const length = view(file).getUint32(at + 4, true);
    yield { type: latin1(file, at, at + 4), data: file.subarray(at + 8, at + 8 + length) };
    at += 8 + length + (length % 2);
  }
}

/** The Exif data of a file; null where it has none. @param {Bytes} file @returns {Bytes | null} */
function exifOf(file) {
  for (const { type, data } of segments(file))
    if (type === 0xe1 && latin1(data, 0, 6) === EXIF) return data.subarray(6);
  for (const { type, data } of chunks(file))
    if (type === "EXIF") return latin1(data, 0, 6) === EXIF ? data.subarray(6) : data;
  return null;
}

/**
 * The entries of a directory with a value of bytes.
 * @param {Bytes} tiff
 * @param {number} at
 * @param {boolean} little
 * @returns {{tag: number, type: number, value: Bytes, number: number}[]}
 */
function entriesAt(tiff, at, little) {
  const data = view(tiff);
  if (at + 2 > tiff.length) return [];
  const count = Math.min(ENTRIES, data.getUint16(at, little));
  const entries = [];
  for (let entry = at + 2; entries.length < count && entry + 12 <= tiff.length; entry += 12) {
    const length = data.getUint32(entry + 4, little);
    const number = data.getUint32(entry + 8, little);
    // Up to four bytes are in the entry itself.
    const start = length <= 4 ? entry + 8 : number;
    const value = tiff.subarray(start, start + length);
    const [tag, type] = [data.getUint16(entry, little), data.getUint16(entry + 2, little)];
    entries.push({ tag, type, value, number });
  }
  return entries;
}

/** @param {Bytes} value */
function commentText(value) {
  const body = value.subarray(8);
  const code = latin1(value, 0, 8);
  if (!code.startsWith("UNICODE")) return new TextDecoder().decode(body).replace(/\0+$/, "");
  // Programs disagree about the order of bytes. Most texts have many letters of ASCII.
  const zeros = [0, 0];
  body.forEach((byte, at) => {
    if (byte === 0) zeros[at % 2] += 1;
  });
  const order = zeros[1] > zeros[0] ? "utf-16le" : "utf-16be";
  return new TextDecoder(order).decode(body).replace(/\0+$/, "");
}

/**
 * Texts of a JPEG or a WebP, under the names of a PNG's text chunks.
 * @param {Bytes} file
 * @returns {Record<string, string>}
 */
export function exifTexts(file) {
  /** @type {Record<string, string>} */
  const texts = {};
  const tiff = exifOf(file);
  if (!tiff || tiff.length < 8) return texts;
  const little = latin1(tiff, 0, 2) === "II";
  const first = entriesAt(tiff, view(tiff).getUint32(4, little), little);
  for (const { type, value } of first) {
    const text = type === ASCII ? new TextDecoder().decode(value).replace(/\0+$/, "") : "";
    const [, name, rest] = /^(prompt|workflow):(.*)$/s.exec(text) ?? [];
    if (name) texts[name] = rest;
  }
  const own = first.find(({ tag }) => tag === OWN_DIRECTORY);
  const comment = own && entriesAt(tiff, own.number, little).find((e) => e.tag === USER_COMMENT);
  if (comment && comment.value.length > 8) texts.parameters = commentText(comment.value);
  return texts;
}

/**
 * Pixels of a picture, by its header; Infinity where it does not say.
 * @param {Bytes} file
 */
export function pixelsOf(file) {
  const data = view(file);
  if (latin1(file, 1, 4) === "PNG")
    return file.length < 24 ? Infinity : data.getUint32(16) * data.getUint32(20);
  for (const { type, data: segment } of segments(file)) {
    const isFrame = type >= 0xc0 && type <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(type);
    if (isFrame && segment.length >= 5)
      return view(segment).getUint16(1) * view(segment).getUint16(3);
  }
  for (const { type, data: chunk } of chunks(file)) {
    const body = view(chunk);
    if (type === "VP8X" && chunk.length >= 10)
      return (1 + (body.getUint32(4, true) & 0xffffff)) * (1 + (body.getUint32(6, true) >>> 8));
    if (type === "VP8 " && chunk.length >= 10)
      return (body.getUint16(6, true) & 0x3fff) * (body.getUint16(8, true) & 0x3fff);
    if (type === "VP8L" && chunk.length >= 5) {
      const bits = body.getUint32(1, true);
      return (1 + (bits & 0x3fff)) * (1 + ((bits >>> 14) & 0x3fff));
    }
  }
  return Infinity;
}
