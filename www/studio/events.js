// @ts-check
/** Events of the element. All bubble and leave shadow roots, except `error`. */

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("../engine/protocol.js").Opened} Opened */
/** @typedef {import("../engine/protocol.js").Pixels} Pixels */
/** @typedef {import("./run.js").Picture} Picture */
/** @typedef {import("./session.js").OpenProgress} OpenProgress */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * A step of a picture.
 * @typedef {object} StepDetail
 * @property {number} step number of steps done
 * @property {number} steps in all
 * @property {number} fraction 0 … 1 of the run
 * @property {number} picture which one, from 0; a comparison makes two
 * @property {number} pictures in all
 * @property {Pixels | null} preview colours of the latent, 1/8 of the picture's size
 */

/**
 * Progress of opening a model, as in the engine's protocol. `fraction`: 0 … 1 of the bytes; null
 * where it is unknown.
 * @typedef {OpenProgress & {fraction: number | null}} ProgressDetail
 */

/**
 * Details of the events by name.
 * @typedef {object} Details
 * @property {Opened} ready a model is open
 * @property {Settings} settings the settings changed
 * @property {ProgressDetail} progress of opening a model
 * @property {StepDetail} step of a picture
 * @property {Picture & {canvas: HTMLCanvasElement, seconds: number}} picture a finished picture
 * @property {Problem} error as shown to the visitor
 */

/** @typedef {{[K in keyof Details]: CustomEvent<Details[K]>}} StudioEventMap */

/**
 * @template {keyof Details} K
 * @param {HTMLElement} host
 * @param {K} type
 * @param {Details[K]} detail
 */
export function emit(host, type, detail) {
  // Pages report every `error` event that reaches the window as an error of their own.
  const far = type !== "error";
  host.dispatchEvent(new CustomEvent(type, { detail, bubbles: far, composed: far }));
}

/** @param {OpenProgress} progress @returns {ProgressDetail} */
export function withFraction(progress) {
  const weights = progress.stage === "weights" && progress.total > 0 ? progress : null;
  const done = weights && Math.min(weights.total, Math.max(weights.done, weights.fetched));
  return { ...progress, fraction: weights && done !== null ? done / weights.total : null };
}
