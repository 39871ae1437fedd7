// @ts-check
/**
 * The studio's engine session: opens a model, makes pictures one run at a time, cancels them, and
 * recovers when the engine crashes. It knows no elements: its host shows what it reports.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { Client } from "../engine/client.js";
import { language, strings } from "../strings/index.js";
import { withModelDefaults } from "./form.js";
import { Stopwatch, stepsDone } from "./progress.js";
import { requestOf } from "./settings.js";
import { Watchdog } from "./watchdog.js";

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("../engine/protocol.js").DeviceChoice} DeviceChoice */
/**
 * Progress of opening a model, as far as the visitor sees it.
 * @typedef {Exclude<import("../engine/protocol.js").OpenProgress, {stage: "chosen"}>} OpenProgress
 */
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
 * @property {Addition[] | Promise<Addition[]>} [additions] to the model
 * @property {string} [vae] the name of the addition in place of the model's own VAE
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
 * @property {import("../engine/protocol.js").Predictions} predictions
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
 * @property {(text: string) => void} onLater a change takes effect after the run; what it is
 * @property {(text: string) => void} onLong the step takes longer than those before it
 * @property {(settings: Settings) => ReturnType<typeof import("./loras.js").equip>} equip
 *   the settings of a picture with the additions that there are
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
/** Time for an answer of a worker that may be busy, and of one that is not. */
const PING_MS = 5_000;
const IDLE_PING_MS = 15_000;
/** Bytes that WebAssembly can address: the CPU path has no more. */
const MOST_ON_CPU = 2 ** 32;

export class Session {
  #host;
  #client = new Client((problem) => this.#crashed(problem));
  /** @type {Promise<Opened>} */ #opening = new Promise(() => {});
  /** @type {Opened | null} */ #opened = null;
  /** @type {{abort: AbortController, done: Promise<void>, stuck: boolean} | null} */ #run = null;
  #gpuCrashes = 0;
  /** The device that the engine is being started on. @type {"gpu" | "cpu" | null} */
  #starting = null;
  /** @type {Choice | null} */ #choice = null;
  /** The model or the device is opened again after the run. */ #later = false;
  /** The step in progress, from 1, and their number. */ #step = { at: 0, of: 0 };
  #watchdog = new Watchdog((report) => this.#slow(report));
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
    this.#later = false;
    this.#starting = null;
    this.#watchdog.begin("opening");
    if (!quietly) this.#host.onProblem(null);
    this.#host.onOpening();
    const choice = this.#host.choice();
    this.#choice = choice;
    const to = device ?? choice.device;
    const wanted = { ...choice, device: to, fresh, reason, language: language() };
    const opening = this.#client.open(wanted, (progress) => {
      if (opening !== this.#opening) return;
      this.#watchdog.alive();
      if (progress.stage === "chosen") this.#starting = progress.device;
      else this.#host.onOpenProgress(progress);
      // A download has time limits of its own, and says when a server sends nothing.
      if (progress.stage === "weights") this.#watchdog.end();
    });
    this.#opening = opening;
    this.engine = "loading";
    opening.then(
      (opened) => opening === this.#opening && this.#ready(opened),
      (error) => opening === this.#opening && this.#failed(error),
    );
    this.#host.onChange();
  }

  /**
   * Loads the chosen model after a change of the model or the device. A picture in progress is
   * finished first.
   */
  change() {
    if (!this.#run || !this.#opened) return this.open();
    this.#later = true;
    const { later, modelLater } = strings().problems.session;
    const { model, device } = this.#host.choice();
    const onlyDevice = this.#choice?.model === model && this.#choice?.device !== device;
    this.#host.onLater(onlyDevice ? later : modelLater);
  }

  /** Leaves a step that takes too long in peace. */
  wait() {
    this.#watchdog.wait();
    this.#host.onProblem(null);
  }

  /** Ends the worker. */
  close() {
    this.#watchdog.end();
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
    this.#watchdog.end();
    this.engine = "ready";
    this.#host.onReady(opened);
    this.#host.onChange();
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#watchdog.end();
    const { kind, message } = problemOf(error, "start");
    if (kind === "crash" && this.#starting === "gpu")
      return this.#recover({ kind, message }, strings().problems.session.gpuFailedLoading);
    this.engine = "failed";
    this.#host.onProblem({ kind: kind === "crash" ? "start" : kind, message });
    this.#host.onFailed(false);
    this.#host.onChange();
  }

  /** @param {Problem} problem */
  #crashed(problem) {
    // While a model is being opened, the client or the rejected promise handles the crash.
    if (!this.#opened) return;
    const { kind } = this.#opened.device;
    if (kind === "gpu") this.#recover(problem, strings().problems.session.gpuFailed);
    else {
      this.#host.onProblem(problem);
      this.open({ quietly: true });
    }
  }

  /**
   * Opens the model again after the GPU failed, and on the CPU where it failed too often. A GPU
   * that the visitor insists on is tried once more, and then left to the visitor.
   * @param {Problem} problem
   * @param {string} reason for the CPU
   */
  #recover(problem, reason) {
    this.#gpuCrashes += 1;
    const tooOften = this.#gpuCrashes > GPU_CRASHES_TOLERATED;
    const insists = this.#host.choice().device === "gpu";
    if (tooOften && insists && !this.#opened) {
      this.engine = "failed";
      this.#host.onProblem({ kind: "device", message: problem.message });
      this.#host.onFailed(false);
      return this.#host.onChange();
    }
    this.#host.onProblem(problem);
    if (tooOften && !insists) this.open({ quietly: true, device: "cpu", reason });
    else this.open({ quietly: true });
  }

  /** @param {import("./watchdog.js").Report} report about the step in progress */
  #slow({ pace, taken, usual }) {
    const t = strings().problems.session;
    const spent = strings().studio.picture.seconds;
    const { at, of } = this.#step;
    if (pace === "long") {
      const step = strings().studio.progress.step(at, of);
      return this.#host.onLong(`${step} · ${t.longer(spent(taken))}`);
    }
    const message =
      this.engine === "loading"
        ? t.slowOpening(spent(taken))
        : usual === null
          ? t.slowFirst(spent(taken))
          : t.slowStep(at, spent(taken), spent(usual));
    void this.#reportSlow(message);
  }

  /** @param {string} message */
  async #reportSlow(message) {
    const step = this.#step;
    const answers = await this.#client.ping(PING_MS);
    // It has moved meanwhile.
    if (step !== this.#step) return;
    const { deviceSilent, workerSilent } = strings().problems.session;
    const who = answers ? deviceSilent : workerSilent;
    this.#host.onProblem({ kind: "slow", message: `${message} ${who}` });
  }

  /**
   * Parts of a prompt as the engine reads it; null while no model is loaded.
   * @param {string} text
   * @param {import("../engine/protocol.js").LayoutOptions} options
   */
  async layout(text, options) {
    return this.#opened && this.#client.layout(text, options).catch(() => null);
  }

  /**
   * The memory that a picture of this size takes; null while no model is loaded.
   * @param {number} width pixels
   * @param {number} height pixels
   */
  async plan(width, height) {
    return this.#opened && this.#client.plan(width, height).catch(() => null);
  }

  /**
   * Adds a file to the loaded model; to one that is loading, once it is there.
   * @param {Addition} addition
   * @returns {Promise<import("../engine/protocol.js").Added | null>} null: no model is loaded, and
   *   the next one is opened with it; rejected where it does not fit
   */
  async add(addition) {
    if (this.engine === "loading") await this.#opening.catch(() => {});
    return this.#opened && this.#client.add(addition);
  }

  /** Removes an addition. @param {Addition["kind"]} kind @param {string} name */
  async remove(kind, name) {
    if (this.engine === "loading") await this.#opening.catch(() => {});
    if (this.#opened) await this.#client.remove(kind, name);
  }

  /** Replaces the worker. A picture in progress ends. */
  restart() {
    this.open();
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
   * @param {object} [options]
   * @param {number} [options.from] index of the first picture to make; the others exist already
   */
  generate(settings, { from = 0 } = {}) {
    const abort = new AbortController();
    const done = this.#make(settings, from, abort.signal);
    this.#run = { abort, done, stuck: false };
    this.#host.onChange();
    return done;
  }

  /** @param {Settings[]} wanted @param {number} from @param {AbortSignal} signal */
  async #make(wanted, from, signal) {
    const host = this.#host;
    host.onProblem(null);
    host.onStart(wanted);
    try {
      if (this.engine === "failed") this.open();
      await this.#awake(signal);
      const { model, device } = await this.#loaded(signal);
      const all = wanted.map((settings) => withModelDefaults(settings, model));
      host.onPrompts();
      this.#watchdog.begin(device.kind);
      for (let at = from; at < all.length; at++)
        await this.#picture({ at, all }, device.name, signal);
    } catch (error) {
      const problem = problemOf(error, "engine");
      const cancelled = problem.kind === "cancelled";
      if (!cancelled && this.engine !== "failed") host.onProblem(problem);
      host.onFailed(cancelled);
    } finally {
      this.#run = null;
      // Where the worker was replaced, the watchdog watches the next one start.
      if (this.engine === "ready") this.#watchdog.end();
      host.onEnd();
      host.onChange();
      if (this.#later) this.open();
    }
  }

  /**
   * Replaces a worker that does not answer although nothing is asked of it: the browser has ended
   * it.
   * @param {AbortSignal} signal
   */
  async #awake(signal) {
    if (!this.#opened || (await this.#client.ping(IDLE_PING_MS)) || signal.aborted) return;
    const { workerDied } = strings().problems.session;
    if (this.#opened) this.#crashed({ kind: "crash", message: workerDied });
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
    const { settings, using, warnings: absent } = this.#host.equip(job.all[job.at]);
    job.all[job.at] = settings;
    const request = requestOf(settings);
    await this.#checkMemory(request);
    const finished = await this.#client.generate(request, using, signal, (progress) => {
      this.#beat(progress);
      const { warnings } = progress;
      const all = warnings ? { ...progress, warnings: [...absent, ...warnings] } : progress;
      this.#host.onStep(all, job, watch);
    });
    this.#watchdog.beat();
    const warnings = [...absent, ...finished.warnings];
    this.#host.onPicture({ ...finished, warnings, seconds: watch.seconds, device }, job);
  }

  /** @param {StepProgress} progress */
  #beat(progress) {
    const { call, steps } = progress;
    this.#step = { at: Math.min(stepsDone(progress) + 1, steps), of: steps };
    // The first message comes before the first step.
    if (call > 0) this.#watchdog.beat();
    else this.#watchdog.alive();
  }

  /**
   * Throws where a picture needs more memory than a page can have: the engine would end in the
   * middle of it.
   * @param {import("../engine/protocol.js").Request} request
   */
  async #checkMemory({ width = 0, height = 0 }) {
    if (this.#opened?.device.kind !== "cpu") return;
    const plan = await this.plan(width, height);
    if (!plan || plan.total <= MOST_ON_CPU) return;
    const { bytes } = strings().studio.models;
    const picture = `${width}\u00a0×\u00a0${height}`;
    const { tooLarge } = strings().problems.session;
    throw new DarkroomError("request", tooLarge(bytes(plan.total), bytes(MOST_ON_CPU), picture));
  }

  /** Ends the run after its current step. Where that takes long, a second call ends the worker. */
  cancel() {
    const run = this.#run;
    if (!run) return;
    if (run.stuck) return this.restart();
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
