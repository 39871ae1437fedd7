// @ts-check
/** What stands below the model's field: what it takes, and where it is. */
import { size } from "./models.js";

/** @param {import("../engine/protocol.js").MemoryPlan} plan before the weights move */
export function planText({ weights, total, tiled, width, height }) {
  const work = `${size(weights)} of weights and ${size(Math.max(0, total - weights))} to work in for a picture of ${width}\u00a0×\u00a0${height}`;
  return `Memory: ${work}${tiled ? "; it is decoded in tiles" : ""}.`;
}

/**
 * @param {import("../engine/protocol.js").Opened} opened
 * @param {boolean} checkpoint whether it is one: then it is worth saying what was found out about it
 */
export function modelText({ model, stored, why }, checkpoint) {
  const where = {
    browser: "kept in this browser for the next visit",
    memory: `in memory only, fetched again next time: ${why}`,
    disk: "read from your disk",
  }[stored];
  const predicts = checkpoint
    ? [`It predicts ${model.prediction_type === "epsilon" ? "the noise" : "v"}.`]
    : [];
  return [
    `${size(model.weight_bytes)} of weights, ${where}.`,
    ...predicts,
    ...model.warnings.map(sentence),
  ].join(" ");
}

/** After it has been deleted from the browser's storage. @param {import("../engine/protocol.js").Opened} opened */
export const deletedText = ({ model }) =>
  `${size(model.weight_bytes)} of weights, in memory only now: deleted from this browser.`;

/** The engine's words as a sentence. @param {string} text */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
