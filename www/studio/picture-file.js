// @ts-check
/** The PNG file of a finished picture, with its name and its generation parameters. */
import { infotext } from "./infotext.js";
import { pngOf } from "./png.js";

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
