// @ts-check
/** Progress, as text and as a bar. */
import { strings } from "../strings/index.js";

/** @typedef {import("../engine/protocol.js").OpenProgress} OpenProgress */
/** @typedef {import("../engine/protocol.js").StepProgress} StepProgress */

/**
 * @typedef {object} Status
 * @property {string} text beside the bar
 * @property {string} [spoken] for screen readers, at turning points only
 * @property {number | null} [fraction] 0 … 1 of the bar; null: unknown; absent: no bar
 */

/** Measures the time since its creation, and estimates the time left. */
export class Stopwatch {
  #began = performance.now();
  /**
   * Time of the first step. It also compiles and warms up, so it does not count in the estimate.
   */
  #first = 0;

  get seconds() {
    return (performance.now() - this.#began) / 1000;
  }

  /**
   * @param {number} call number of calls done
   * @param {number} calls in all
   * @returns {number | null} seconds
   */
  left(call, calls) {
    if (call === 1) this.#first = this.seconds;
    return call > 1 ? ((this.seconds - this.#first) / (call - 1)) * (calls - call) : null;
  }
}

/**
 * @param {Exclude<OpenProgress, {stage: "notice" | "storage" | "plan" | "chosen"}>} progress
 * @param {boolean} waiting a picture waits for the model
 * @returns {Status}
 */
export function openingText(progress, waiting) {
  const t = strings().studio.progress;
  const then = waiting ? t.thenPicture : "";
  if (progress.stage === "engine" && progress.total) {
    const { done, total } = progress;
    return { text: `${t.engineBytes(done, total)}${then}`, fraction: done / total };
  }
  if (progress.stage !== "weights") return { text: `${t[progress.stage]}${then}`, fraction: null };
  const { total, fetched } = progress;
  if (!total) return { text: `${t.loading}${then}`, fraction: null };
  // Bytes fetched, or bytes taken by the engine: for a cached model only the latter move.
  const done = Math.min(total, Math.max(progress.done, fetched));
  return {
    text: `${t.loadingBytes(done, total)}${then}`,
    fraction: done / total,
  };
}

/**
 * Steps done. Some samplers make two calls in a step, or in the first one.
 * @param {Pick<StepProgress, "call" | "calls" | "steps">} progress
 */
export const stepsDone = ({ call, calls, steps }) =>
  Math.min(steps, Math.floor((call * steps) / Math.max(1, calls)));

/**
 * @param {StepProgress} progress
 * @param {Stopwatch} watch
 * @param {number} at which picture, from 0
 * @param {number} count of pictures
 * @returns {Status}
 */
export function stepText(progress, watch, at, count) {
  const { call, calls, steps, done } = progress;
  const t = strings().studio.progress;
  const left = watch.left(call, calls);
  const which = count > 1 ? t.picture(at + 1, count) : "";
  const fraction = (at + call / calls) / count;
  if (done) return { text: `${which}${t.developing}`, fraction };
  const time =
    left === null ? "" : t.left(left + (count - at - 1) * watch.seconds * (calls / call));
  const step = Math.min(stepsDone(progress) + 1, steps);
  const inStep = calls > 1.5 * steps ? t.call(Math.min(call + 1, calls), calls) : "";
  const halfway = call > 0 && call - 1 < calls / 2 && call >= calls / 2;
  return {
    text: `${which}${t.step(step, steps)}${inStep}${time}`,
    spoken: halfway ? t.halfway : undefined,
    fraction,
  };
}
