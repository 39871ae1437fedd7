// @ts-check
/**
 * Writes PNG files with generation parameters: a text chunk after the header of a finished file.
 */
import { crc32 } from "./crc32.js";

const SIGNATURE_AND_HEADER = 8 + 25;

/**
 * @param {string} type four letters
 * @param {Uint8Array} data
 */
function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(latin1(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** @param {string} text of characters up to U+00FF */
const latin1 = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/**
 * A `tEXt` chunk where Latin-1 can encode the text, else `iTXt`: as Pillow does, and so A1111.
 * @param {string} keyword
 * @param {string} text
 */
function textChunk(keyword, text) {
  if (!/[\u0100-\uffff]/.test(text)) return chunk("tEXt", latin1(`${keyword}\0${text}`));
  // Not compressed, no language, no translated keyword.
  const head = latin1(`${keyword}\0\0\0\0\0`);
  const body = new TextEncoder().encode(text);
  const data = new Uint8Array(head.length + body.length);
  data.set(head);
  data.set(body, head.length);
  return chunk("iTXt", data);
}

/** @param {HTMLCanvasElement | OffscreenCanvas} canvas @returns {Promise<Blob | null>} */
const encode = (canvas) =>
  "convertToBlob" in canvas
    ? canvas.convertToBlob({ type: "image/png" })
    : new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

/**
 * @param {HTMLCanvasElement | OffscreenCanvas} canvas
 * @param {string} parameters see `infotext`
 * @returns {Promise<Blob>}
 */
export async function pngOf(canvas, parameters) {
  const plain = await encode(canvas);
  if (!plain) throw new Error("This browser could not encode the picture as PNG.");
  const text = textChunk("parameters", parameters);
  return new Blob([plain.slice(0, SIGNATURE_AND_HEADER), text, plain.slice(SIGNATURE_AND_HEADER)], {
    type: "image/png",
  });
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download has begun by then, and the picture need not stay in memory twice.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
