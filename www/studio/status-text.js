// @ts-check
/** Text below the model field: the model's size, its memory, and where it is stored. */
import { size } from "./models.js";

/** @param {import("../engine/protocol.js").MemoryPlan} plan */
export function planText({ total, tiled, width, height }) {
  const picture = `${width}\u00a0×\u00a0${height}${tiled ? ", decoded in tiles" : ""}`;
  return `Needs ${size(total)} of memory at ${picture}.`;
}

/**
 * @param {import("../engine/protocol.js").Opened} opened
 * @param {boolean} checkpoint a single file: then the text states the prediction type found out
 */
export function modelText({ model, stored, why }, checkpoint) {
  const where = {
    browser: "saved for offline use",
    memory: `not saved, because ${why}`,
    disk: "read from your disk",
  }[stored];
  const texts = [`${size(model.weight_bytes)}, ${where}.`];
  const prediction = model.prediction_type === "epsilon" ? "epsilon" : "v";
  if (checkpoint) texts.push(`Prediction type: ${prediction}.`);
  return [...texts, ...model.warnings.map(sentence)].join(" ");
}

/**
 * The text after the model was deleted from the browser's cache.
 * @param {import("../engine/protocol.js").Opened} opened
 */
export const deletedText = ({ model }) =>
  `${size(model.weight_bytes)}, deleted from the browser’s cache; still loaded in this tab.`;

/** Makes a sentence of the engine's text. @param {string} text */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
