// @ts-check
/**
 * The studio's engine session: opens a model, makes pictures one run at a time, cancels them, and
 * recovers when the engine crashes. It knows no elements: its host shows what it reports.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { Client } from "../engine/client.js";
import { withModelDefaults } from "./form.js";
import { Stopwatch } from "./progress.js";
import { requestOf } from "./settings.js";

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("../engine/protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("../engine/protocol.js").OpenProgress} OpenProgress */
/** @typedef {import("../engine/protocol.js").Opened} Opened */
/** @typedef {import("../engine/protocol.js").Pixels} Pixels */
/** @typedef {import("../engine/protocol.js").StepProgress} StepProgress */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * The model and the device to open.
 * @typedef {object} Choice
 * @property {string | import("../engine/protocol.js").LocalModel} model
 * @property {import("../engine/protocol.js").Prediction} prediction
 * @property {DeviceChoice} device
 */

/**
 * A picture of a run, and the run it belongs to.
 * @typedef {object} Job
 * @property {number} at index in `all`
 * @property {Settings[]} all complete settings of every picture of the run
 */

/**
 * @typedef {object} Result
 * @property {Pixels} picture
 * @property {string[]} warnings
 * @property {number} seconds
 * @property {string} device name for people
 */

/**
 * @typedef {object} Host
 * @property {() => Choice} choice the model and the device as they are set now
 * @property {() => void} onChange `engine` or `work` has changed
 * @property {() => void} onOpening a model begins to load
 * @property {(progress: OpenProgress) => void} onOpenProgress
 * @property {(opened: Opened) => void} onReady
 * @property {(problem: Problem | null) => void} onProblem null: the last one is over
 * @property {(settings: Settings[]) => void} onStart a run begins
 * @property {() => void} onPrompts the prompts are being encoded
 * @property {(progress: StepProgress, job: Job, watch: Stopwatch) => void} onStep
 * @property {(result: Result, job: Job) => void} onPicture
 * @property {() => void} onCancelling the run ends after the current step
 * @property {(cancelled: boolean) => void} onFailed a model could not be opened, or a run ended
 *   early
 * @property {() => void} onEnd the run is over, however it ended
 */

const OFFER_HARD_STOP_AFTER_MS = 3000;
/** More crashes than this on a GPU, and "auto" means the CPU. */
const GPU_CRASHES_TOLERATED = 1;

export class Session {
  #host;
  #client = new Client((problem) => this.#crashed(problem));
  /** @type {Promise<Opened>} */ #opening = new Promise(() => {});
  /** @type {Opened | null} */ #opened = null;
  /** @type {{abort: AbortController, done: Promise<void>, stuck: boolean} | null} */ #run = null;
  #gpuCrashes = 0;
  /** @type {"closed" | "loading" | "ready" | "failed"} */ engine = "closed";

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  /** The loaded model and its device; null while there is none. */
  get opened() {
    return this.#opened;
  }

  get idle() {
    return this.#run === null;
  }

  /** The state of the run. `stuck`: a cancelled step takes so long that a hard stop is offered. */
  get work() {
    if (!this.#run) return "idle";
    if (this.#run.stuck) return "stuck";
    return this.#run.abort.signal.aborted ? "ending" : "running";
  }

  /**
   * Loads the chosen model into a new worker.
   * @param {object} options
   * @param {boolean} [options.fresh] delete the cached files of the model first
   * @param {"cpu"} [options.device] in place of the chosen one
   * @param {string} [options.reason] why it is in place of the chosen one
   * @param {boolean} [options.quietly] leave the last problem on the page
   */
  open({ fresh = false, device, reason, quietly = false } = {}) {
    this.#opened = null;
    if (!quietly) this.#host.onProblem(null);
    this.#host.onOpening();
    const choice = this.#host.choice();
    const wanted = { ...choice, device: device ?? choice.device, fresh, reason };
    const opening = this.#client.open(wanted, (progress) => {
      if (opening === this.#opening) this.#host.onOpenProgress(progress);
    });
    this.#opening = opening;
    this.engine = "loading";
    opening.then(
      (opened) => opening === this.#opening && this.#ready(opened),
      (error) => opening === this.#opening && this.#failed(error),
    );
    this.#host.onChange();
  }

  /** Ends the worker. */
  close() {
    this.#opened = null;
    this.#opening = new Promise(() => {});
    this.engine = "closed";
    this.#run?.abort.abort();
    this.#client.close();
    this.#host.onChange();
  }

  /** @param {Opened} opened */
  #ready(opened) {
    this.#opened = opened;
    this.engine = "ready";
    this.#host.onReady(opened);
    this.#host.onChange();
  }

  /** @param {unknown} error */
  #failed(error) {
    this.engine = "failed";
    const { kind, message } = problemOf(error, "start");
    this.#host.onProblem({ kind: kind === "crash" ? "start" : kind, message });
    this.#host.onFailed(false);
    this.#host.onChange();
  }

  /** @param {Problem} problem */
  #crashed(problem) {
    // While a model is being opened, the client or the rejected promise handles the crash.
    if (!this.#opened) return;
    this.#host.onProblem(problem);
    const { kind } = this.#opened.device;
    if (kind === "gpu") this.#gpuCrashes += 1;
    const tooOften = kind === "gpu" && this.#gpuCrashes > GPU_CRASHES_TOLERATED;
    if (tooOften && this.#host.choice().device === "auto") {
      const reason = "The GPU has failed more than once on this visit.";
      this.open({ quietly: true, device: "cpu", reason });
    } else this.open({ quietly: true });
  }

  /** The tokens of a prompt; null while no model is loaded. @param {string} text */
  async count(text) {
    return this.#opened && this.#client.count(text).catch(() => null);
  }

  /**
   * The memory that a picture of this size takes; null while no model is loaded.
   * @param {number} width pixels
   * @param {number} height pixels
   */
  async plan(width, height) {
    return this.#opened && this.#client.plan(width, height).catch(() => null);
  }

  /** Cancels what is running and waits for its end. */
  async stop() {
    while (this.#run) {
      this.#run.abort.abort();
      await this.#run.done;
    }
  }

  /**
   * Makes a picture for each of these settings. Only one run at a time: see `stop`.
   * @param {Settings[]} settings
   */
  generate(settings) {
    const abort = new AbortController();
    const done = this.#make(settings, abort.signal);
    this.#run = { abort, done, stuck: false };
    this.#host.onChange();
    return done;
  }

  /** @param {Settings[]} wanted @param {AbortSignal} signal */
  async #make(wanted, signal) {
    const host = this.#host;
    host.onProblem(null);
    host.onStart(wanted);
    try {
      if (this.engine === "failed") this.open();
      const { model, device } = await this.#loaded(signal);
      const all = wanted.map((settings) => withModelDefaults(settings, model));
      host.onPrompts();
      for (const at of all.keys()) await this.#picture({ at, all }, device.name, signal);
    } catch (error) {
      const problem = problemOf(error, "engine");
      const cancelled = problem.kind === "cancelled";
      if (!cancelled && this.engine !== "failed") host.onProblem(problem);
      host.onFailed(cancelled);
    } finally {
      this.#run = null;
      host.onEnd();
      host.onChange();
    }
  }

  /**
   * The loaded model. Where another one is opened meanwhile, that one.
   * @param {AbortSignal} signal
   */
  async #loaded(signal) {
    for (;;) {
      const opening = this.#opening;
      try {
        return await until(opening, signal);
      } catch (error) {
        if (signal.aborted || opening === this.#opening) throw error;
      }
    }
  }

  /** @param {Job} job @param {string} device @param {AbortSignal} signal */
  async #picture(job, device, signal) {
    const watch = new Stopwatch();
    const request = requestOf(job.all[job.at]);
    const { picture, warnings } = await this.#client.generate(request, signal, (progress) =>
      this.#host.onStep(progress, job, watch),
    );
    this.#host.onPicture({ picture, warnings, seconds: watch.seconds, device }, job);
  }

  /** Ends the run after its current step. Where that takes long, a second call ends the worker. */
  cancel() {
    const run = this.#run;
    if (!run) return;
    if (run.stuck) return this.open();
    if (run.abort.signal.aborted) return;
    run.abort.abort();
    if (this.engine !== "ready") return;
    this.#host.onCancelling();
    this.#host.onChange();
    setTimeout(() => {
      if (this.#run !== run) return;
      run.stuck = true;
      this.#host.onChange();
    }, OFFER_HARD_STOP_AFTER_MS);
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<T>} rejected when the signal aborts
 */
function until(promise, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new DarkroomError("cancelled", "Cancelled."));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject);
  });
}
