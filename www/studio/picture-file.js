// @ts-check
/** The PNG file of a finished picture, with its name and its generation parameters. */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { fromInfotext, infotext } from "./infotext.js";
import { pngOf } from "./png.js";
import { textOf } from "./png-text.js";

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

/**
 * The settings that a picture was made with.
 * @param {File} picture
 * @param {string} model as in the model field
 * @throws {DarkroomError} the file has none
 */
export async function settingsOfFile(picture, model) {
  const text = await textOf(new Uint8Array(await picture.arrayBuffer()), "parameters");
  const found = text === null ? null : fromInfotext(text, model);
  if (found) return found;
  throw new DarkroomError("request", strings().studio.status.noParameters(picture.name));
}
