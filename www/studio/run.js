// @ts-check
/** The outcome of a call of `generate()`: its pictures, or the error that it ends in. */
import { DarkroomError } from "../base/problem.js";
import { TimingRecorder } from "./timings.js";
import { wallOf } from "./wall.js";

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
 * The outcome of `generate()`: the last picture, and all pictures of the call in their order.
 * `without`: with `compare`, the picture of the same seed without the negative prompt.
 * @typedef {Picture & {pictures: Picture[], without?: Picture}} Outcome
 */

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
   * @param {import("./stage.js").Kind} kind
   * @param {number} count of pictures wanted
   * @returns {Promise<Outcome>}
   * @throws {DarkroomError | DOMException} why there is no picture; an AbortError where the run was
   *   cancelled
   */
  async outcome(kind, count) {
    const pictures = await Promise.all(this.#pictures);
    const last = pictures.at(-1);
    if (last && pictures.length === count)
      return { ...last, pictures, ...(kind === "compare" && { without: pictures[0] }) };
    if (this.#problem && this.#problem.kind !== "cancelled")
      throw new DarkroomError(this.#problem.kind, this.#problem.message);
    throw new DOMException("The picture was cancelled.", "AbortError");
  }
}

/**
 * Makes the pictures of a run. The one without a negative prompt is not made twice.
 * @param {import("./session-view.js").SessionView} shown
 * @param {Settings} settings
 * @param {import("./stage.js").Kind} kind
 * @param {AbortSignal} [signal]
 */
export async function makeRun(shown, settings, kind, signal) {
  const { session } = shown;
  const run = new Run();
  shown.run = run;
  shown.kind = kind;
  const cancel = () => shown.run === run && session.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    const plain = { ...settings, negative_prompt: "" };
    const made = kind === "compare" ? shown.reusable(plain) : null;
    const all =
      kind === "wall" ? wallOf(settings) : kind === "compare" ? [plain, settings] : [settings];
    const ended = session.generate(all, { from: made ? 1 : 0 });
    if (made) shown.reuse(made, all);
    await ended;
    return await run.outcome(kind, all.length);
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
