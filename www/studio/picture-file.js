// @ts-check
/** The PNG file of a finished picture, with its name and its generation parameters. */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { fromInfotext, infotext } from "./infotext.js";
import { pngOf } from "./png.js";
import { textOf } from "./png-text.js";
import { complete } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

/** @param {Settings} settings */
export function fileName(settings) {
  const words = settings.prompt.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return `${["darkroom", settings.seed, ...words].join("-").slice(0, 80)}.png`;
}

/**
 * @param {HTMLCanvasElement | OffscreenCanvas} canvas
 * @param {Settings} settings complete ones
 * @returns {Promise<File>}
 */
export async function pictureFile(canvas, settings) {
  const blob = await pngOf(canvas, infotext(settings));
  return new File([blob], fileName(settings), { type: blob.type });
}

/** Pixels of the largest picture that is decoded; a small file may hold a much larger one. */
const MOST_PIXELS = 4096 * 4096;

/**
 * The picture in a file of the visitor's, to be shown with its settings; null where it is damaged
 * or too large.
 * @param {File} picture a PNG
 * @param {import("./settings.js").Settings} settings
 * @param {string[]} warnings
 * @returns {Promise<import("./picture-view.js").Frame | null>}
 */
export async function frameOfFile(picture, settings, warnings) {
  const head = new DataView(await picture.slice(0, 24).arrayBuffer());
  // The header of a PNG has its width and height after 16 bytes.
  const pixels = head.byteLength < 24 ? Infinity : head.getUint32(16) * head.getUint32(20);
  if (pixels > MOST_PIXELS) return null;
  const bitmap = await createImageBitmap(picture).catch(() => null);
  if (!bitmap) return null;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { settings, canvas, seconds: 0, device: "", warnings };
}

/**
 * The settings that a picture was made with.
 * @param {File} picture
 * @param {string} model as in the model field
 * @throws {DarkroomError} the file has none
 */
export async function settingsOfFile(picture, model) {
  const text = await textOf(new Uint8Array(await picture.arrayBuffer()), "parameters");
  const found = text === null ? null : fromInfotext(text, model);
  if (found) return { ...found, settings: complete(found.settings) };
  throw new DarkroomError("request", strings().studio.status.noParameters(picture.name));
}
