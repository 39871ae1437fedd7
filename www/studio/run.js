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
 * The outcome of `generate()`. `without`: with `compare`, the picture of the same seed without the
 * negative prompt.
 * @typedef {Picture & {without?: Picture}} Outcome
 */

/** The error of an operation that was cancelled, as `fetch` has it. */
const abortError = () => new DOMException("The picture was cancelled.", "AbortError");

/** @typedef {import("./picture-view.js").Frame} Frame */
/** Kind of a run: one picture, a pair, or a pair for each of nine seeds.
 * @typedef {"picture" | "compare" | "wall"} Kind
 */

/**
 * The settings of all pictures of a run.
 * @param {Settings} settings
 * @param {Kind} kind
 * @returns {Settings[]}
 */
function settingsOfRun(settings, kind) {
  if (kind === "wall") return wallOf(settings);
  return kind === "compare" ? [{ ...settings, negative_prompt: "" }, settings] : [settings];
}

export class Run {
  /** @type {(Promise<Picture>)[]} */ #pictures = [];
  /** @type {Problem | null} */ #problem = null;
  #timings = new TimingRecorder();

  /**
   * @param {Kind} kind
   * @param {Frame | null} made the first picture, if it exists already
   */
  constructor(kind, made) {
    this.kind = kind;
    this.made = made;
  }

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

  /** Adds a picture that exists already. @param {Promise<Picture>} picture */
  add(picture) {
    this.#pictures.push(picture);
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
 * @param {Settings} settings
 * @param {{compare: boolean, wall: boolean, signal?: AbortSignal}} options of `generate()`
 */
export async function makeRun(shown, settings, { compare, wall, signal }) {
  const { session } = shown;
  const kind = wall ? "wall" : compare ? "compare" : "picture";
  const all = settingsOfRun(settings, kind);
  const made = kind === "compare" ? shown.made(all[0]) : null;
  const run = new Run(kind, made);
  if (made) run.add(shown.published(made));
  shown.run = run;
  const cancel = () => shown.run === run && session.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    await session.generate(all, { from: made ? 1 : 0 });
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
