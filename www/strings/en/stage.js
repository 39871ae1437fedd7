// @ts-check
/** English texts of what a comparison has changed, of the wall of seeds, and of the model line. */
import { number } from "../number.js";

/** @param {number} share 0 … 1 */
const percent = (share) =>
  number("en", share, { style: "percent", maximumFractionDigits: share < 0.1 ? 1 : 0 });

export const stage = {
  changed: (/** @type {number} */ share) =>
    `${percent(share)} of the picture changed; the rest stayed as it was.`,
  much: (/** @type {number} */ share) =>
    `${percent(share)} of the picture changed, more than the word asks for. A lower guidance ` +
    "scale changes less.",
  nothing: (/** @type {string} */ negative) =>
    `Nothing to remove: without “${negative}” as the negative prompt, the picture is the same.`,
  nothingBecause: (/** @type {string} */ none) => `Nothing here to remove: ${none}.`,
  trySeed: (/** @type {string} */ seed) => `Try seed ${seed}, where there was`,
  tryAnother: "Try another seed",
  back: "Back to the nine seeds",
  wall: "Nine seeds",
  wallTitle: "Nine seeds, each without and with the negative prompt",
  wallOf: (/** @type {string} */ negative) =>
    `Nine seeds, each without and with the negative prompt “${negative}”`,
  counted: (/** @type {number} */ changed, /** @type {number} */ all) => {
    const same = all - changed;
    const rest = same === 0 ? "" : `, ${same} had nothing to remove`;
    return `${changed} of ${all} changed${rest}.`;
  },
  stopped: (/** @type {number} */ made) => `Stopped after ${made} of 9 seeds.`,
  pending: "not made yet",
  cellChanged: "changed",
  share: percent,
  same: "same",
  model: (/** @type {string} */ name) => `Model: ${name}`,
  noPictures: "The pictures you make appear here.",
  changeModel: "Use another model…",
};
