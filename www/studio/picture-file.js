// @ts-check
/** The file of a picture, with its name and its generation parameters. */
import { DarkroomError } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { exifTexts, pixelsOf } from "./exif.js";
import { fromInfotext, infotext } from "./infotext.js";
import { pngOf } from "./png.js";
import { textsOf } from "./png-text.js";
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
 * @param {File} picture a PNG, a JPEG or a WebP
 * @param {import("./settings.js").Settings} settings
 * @param {string[]} warnings
 * @returns {Promise<import("./picture-view.js").Frame | null>}
 */
export async function frameOfFile(picture, settings, warnings) {
  if (pixelsOf(await bytesOf(picture)) > MOST_PIXELS) return null;
  const bitmap = await createImageBitmap(picture).catch(() => null);
  if (!bitmap) return null;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { settings, canvas, seconds: 0, device: "", warnings };
}

/** @param {Blob} file */
const bytesOf = async (file) => new Uint8Array(await file.arrayBuffer());

/** Names of the texts that programs write: A1111 and most others, ComfyUI, InvokeAI. */
const TEXTS = ["parameters", "prompt", "invokeai_metadata"];

/**
 * The settings that a picture was made with.
 * @param {File} picture
 * @param {string} model as in the model field
 * @throws {DarkroomError} the file has none
 */
export async function settingsOfFile(picture, model) {
  const bytes = await bytesOf(picture);
  const found = await settingsOfTexts(
    { ...exifTexts(bytes), ...(await textsOf(bytes, TEXTS)) },
    model,
  );
  if (found) return { ...found, settings: complete(found.settings) };
  throw new DarkroomError("picture", strings().studio.status.noParameters(picture.name));
}

/**
 * The settings in a file's texts; null where there are none.
 * @param {Record<string, string>} texts by name
 * @param {string} model as in the model field
 * @returns {Promise<import("./infotext.js").Found | null>}
 */
export async function settingsOfTexts({ parameters, prompt, invokeai_metadata: invoke }, model) {
  const found = parameters === undefined ? null : fromInfotext(parameters, model);
  if (found || (prompt ?? invoke) === undefined) return found;
  const { fromComfy, fromInvoke } = await import("./infotext-json.js");
  return (prompt && fromComfy(prompt, model)) || (invoke && fromInvoke(invoke, model)) || null;
}
