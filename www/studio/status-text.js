// @ts-check
/** Text below the model field: the model's size, its memory, and where it is stored. */
import { strings } from "../strings/index.js";

/** @param {import("../engine/protocol.js").MemoryPlan} plan */
export function planText({ total, tiled, width, height }) {
  const t = strings().studio.status;
  const picture = `${width}\u00a0×\u00a0${height}${tiled ? t.inTiles : ""}`;
  return t.needs(size(total), picture);
}

/**
 * @param {import("../engine/protocol.js").Opened} opened
 * @param {boolean} checkpoint a single file: then the text states the prediction type found out
 */
export function modelText({ model, stored, why }, checkpoint) {
  const t = strings().studio.status;
  const where = { browser: t.saved, memory: t.notSaved(why), disk: t.onDisk }[stored];
  const texts = [`${size(model.weight_bytes)}, ${where}.`];
  const prediction = model.prediction_type === "epsilon" ? "epsilon" : "v";
  if (checkpoint) texts.push(t.predictionType(prediction));
  return [...texts, ...model.warnings.map(sentence)].join(" ");
}

/**
 * The text after the model was deleted from the browser's cache.
 * @param {import("../engine/protocol.js").Opened} opened
 */
export const deletedText = ({ model }) =>
  strings().studio.status.deletedModel(size(model.weight_bytes));

/** @param {number} bytes */
const size = (bytes) => strings().studio.models.bytes(bytes);

/** Makes a sentence of the engine's text. @param {string} text */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
