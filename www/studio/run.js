// @ts-check
/** The outcome of a call of `generate()`: its pictures, or the error that it ends in. */
import { DarkroomError } from "../base/problem.js";
import { TimingRecorder } from "./timings.js";

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("../engine/protocol.js").StepProgress} StepProgress */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./timings.js").Timings} Timings */

/**
 * A finished picture.
 * @typedef {object} Picture
 * @property {Blob} blob a PNG file with the generation parameters
 * @property {ImageBitmap} bitmap
 * @property {string} seed
 * @property {Settings} settings complete: with the model's defaults
 * @property {Timings} timings seconds
 * @property {string[]} warnings
 * @property {string} device name of the device that made it
 */

/**
 * The outcome of `generate()`. `without`: with `compare`, the picture of the same seed without the
 * negative prompt.
 * @typedef {Picture & {without?: Picture}} Outcome
 */

/** The error of an operation that was cancelled, as `fetch` has it. */
const abortError = () => new DOMException("The picture was cancelled.", "AbortError");

export class Run {
  /** @type {(Promise<Picture>)[]} */ #pictures = [];
  /** @type {Problem | null} */ #problem = null;
  #timings = new TimingRecorder();

  /** The engine begins with the next picture. */
  begin() {
    this.#timings.begin();
  }

  /** @param {StepProgress} progress */
  step(progress) {
    this.#timings.step(progress);
  }

  /** A picture is finished. @param {(timings: Timings) => Promise<Picture>} make */
  finish(make) {
    this.#pictures.push(make(this.#timings.end()));
    this.#timings = new TimingRecorder();
    this.#timings.begin();
  }

  /** @param {Problem | null} problem null: the last one is over */
  problem(problem) {
    this.#problem = problem;
  }

  /**
   * The outcome after the end of the run.
   * @param {number} count of pictures wanted
   * @returns {Promise<Outcome>}
   * @throws {DarkroomError | DOMException} why there is no picture; an AbortError where the run was
   *   cancelled
   */
  async outcome(count) {
    const pictures = await Promise.all(this.#pictures);
    if (pictures.length === count) {
      const [last, without] = pictures.reverse();
      return without ? { ...last, without } : last;
    }
    if (this.#problem && this.#problem.kind !== "cancelled")
      throw new DarkroomError(this.#problem.kind, this.#problem.message);
    throw abortError();
  }
}

/**
 * Makes the pictures of a run.
 * @param {import("./session-view.js").SessionView} shown
 * @param {Settings[]} all settings of each picture
 * @param {AbortSignal} [signal]
 */
export async function makeRun(shown, all, signal) {
  const { session } = shown;
  const run = new Run();
  shown.run = run;
  const cancel = () => shown.run === run && session.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    await session.generate(all);
    return await run.outcome(all.length);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", cancel);
    if (shown.run === run) shown.run = null;
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>} rejected when the signal aborts
 */
export function until(promise, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}
