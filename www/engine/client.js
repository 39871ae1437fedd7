// @ts-check
/**
 * The page's end of the protocol: promises over a worker that is replaced when the engine has died.
 */
import { DarkroomError } from "../base/problem.js";
import { startWorker, watchPolicy, whyNotStarted } from "./start-worker.js";

/** @typedef {import("./protocol.js").Addition} Addition */
/** @typedef {import("./protocol.js").PageMessage} PageMessage */
/** @typedef {import("./protocol.js").WorkerMessage} WorkerMessage */
/** @typedef {import("./protocol.js").OpenProgress} OpenProgress */
/** @typedef {import("./protocol.js").StepProgress} StepProgress */
/**
 * @typedef {{resolve(value: any): void, reject(error: Error): void, progress(value: any): void}}
 *   Pending
 */
/**
 * A message without its id.
 * @template T
 * @typedef {T extends {id: number} ? Omit<T, "id"> : never} WithoutId
 */

export class Client {
  /** @type {Worker | null} */ #worker = null;
  /** @type {Map<number, Pending>} */ #pending = new Map();
  #lastId = 0;
  #onCrash;

  /**
   * @param {(problem: import("../base/problem.js").Problem) => void} onCrash the worker has ended
   *   itself; `open` starts the next one
   */
  constructor(onCrash) {
    this.#onCrash = onCrash;
    watchPolicy();
  }

  /**
   * Starts a new worker, which replaces the last one, and loads a model into it. Falls back to the
   * CPU where the GPU fails in set-up or in its test.
   * @param {object} options see `PageMessage`
   * @param {string | import("./protocol.js").LocalModel} options.model
   * @param {import("./protocol.js").Prediction} options.prediction
   * @param {import("./protocol.js").DeviceChoice} options.device
   * @param {boolean} options.fresh
   * @param {string} [options.reason]
   * @param {string} [options.language]
   * @param {Addition[] | Promise<Addition[]>} [options.additions]
   * @param {string} [options.vae]
   * @param {(progress: OpenProgress) => void} onProgress
   * @returns {Promise<import("./protocol.js").Opened>}
   */
  async open({ device, reason, additions: files = [], ...options }, onProgress) {
    let loading = false;
    /** @param {OpenProgress} progress */
    const progress = (progress) => {
      loading ||= progress.stage === "weights";
      onProgress(progress);
    };
    const worker = this.#start();
    const additions = files instanceof Promise ? await files : files;
    if (this.#worker !== worker) throw new DarkroomError("cancelled", "The engine was stopped.");
    const what = { ...options, additions };
    try {
      return await this.#ask({ tag: "open", ...what, device, reason: reason ?? null }, progress);
    } catch (error) {
      const fell =
        error instanceof DarkroomError &&
        (error.kind === "device" || (error.kind === "crash" && !loading));
      if (!fell || device === "cpu" || (this.#worker && this.#worker !== worker)) throw error;
      this.#start();
      const why = `The GPU did not pass its test: ${error.message.replace(/[.\s]+$/, "")}.`;
      return await this.#ask({ tag: "open", ...what, device: "cpu", reason: why }, progress);
    }
  }

  /**
   * @param {string} text
   * @returns {Promise<import("./protocol.js").TokenCount>}
   */
  count(text) {
    return this.#ask({ tag: "count", text });
  }

  /**
   * The place of everything that the engine reads in a prompt.
   * @param {string} text
   * @param {import("./protocol.js").LayoutOptions} options
   * @returns {Promise<import("./protocol.js").PromptLayout>}
   */
  layout(text, options) {
    return this.#ask({ tag: "layout", text, options });
  }

  /**
   * Memory that the model takes for pictures of this size.
   * @param {number} width pixels
   * @param {number} height pixels
   * @returns {Promise<import("./protocol.js").MemoryPlan>}
   */
  plan(width, height) {
    return this.#ask({ tag: "plan", width, height });
  }

  /**
   * Adds a file to the loaded model, after the picture in progress.
   * @param {Addition} addition
   * @returns {Promise<import("./protocol.js").Added>} rejected where it does not fit
   */
  add(addition) {
    return this.#ask({ tag: "add", addition });
  }

  /**
   * Removes an addition, after the picture in progress.
   * @param {Addition["kind"]} kind
   * @param {string} name
   * @returns {Promise<null>}
   */
  remove(kind, name) {
    return this.#ask({ tag: "remove", kind, name });
  }

  /**
   * @param {import("./protocol.js").Request} request
   * @param {import("./protocol.js").Using} using
   * @param {AbortSignal} signal ends the generation after its current step
   * @param {(progress: StepProgress) => void} onProgress
   * @returns {Promise<import("./protocol.js").Finished>}
   */
  generate(request, using, signal, onProgress) {
    const finished = this.#ask({ tag: "generate", request, using }, onProgress);
    const id = this.#lastId;
    const cancel = () => this.#worker?.postMessage({ tag: "cancel", id });
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    return finished.finally(() => signal.removeEventListener("abort", cancel));
  }

  /**
   * Asks the worker for a sign of life. It gives one while it waits, also for its device; not while
   * it computes, nor when the browser has ended it.
   * @param {number} patience milliseconds
   * @returns {Promise<boolean>}
   */
  async ping(patience) {
    const answer = this.#ask({ tag: "ping" }).then(
      () => true,
      () => false,
    );
    const silence = new Promise((resolve) => setTimeout(() => resolve(false), patience));
    return Promise.race([answer, /** @type {Promise<boolean>} */ (silence)]);
  }

  /** Ends the worker at once. */
  close() {
    this.#end(new DarkroomError("cancelled", "Cancelled."));
  }

  #start() {
    this.close();
    const worker = startWorker();
    worker.addEventListener("message", ({ data }) => this.#receive(worker, data));
    worker.addEventListener("error", async ({ message }) => {
      const text = message || (await whyNotStarted());
      this.#receive(worker, { tag: "crashed", problem: { kind: "crash", message: text } });
    });
    this.#worker = worker;
    return worker;
  }

  /** @param {DarkroomError} error rejects every open request */
  #end(error) {
    this.#worker?.terminate();
    this.#worker = null;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }

  /**
   * @param {Worker} worker
   * @param {WorkerMessage} message
   */
  #receive(worker, message) {
    if (worker !== this.#worker) return;
    if (
      message.tag === "crashed" ||
      (message.tag === "failed" && message.problem.kind === "crash")
    ) {
      this.#end(new DarkroomError("crash", message.problem.message));
      this.#onCrash(message.problem);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    if (message.tag === "progress") return pending.progress(message.value);
    this.#pending.delete(message.id);
    if (message.tag === "done") pending.resolve(message.value);
    else pending.reject(new DarkroomError(message.problem.kind, message.problem.message));
  }

  /**
   * @param {WithoutId<PageMessage>} message
   * @param {(value: any) => void} [progress]
   * @returns {Promise<any>}
   */
  #ask(message, progress = () => {}) {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      if (!this.#worker) return reject(new DarkroomError("cancelled", "The engine was stopped."));
      this.#pending.set(id, { resolve, reject, progress });
      this.#worker.postMessage({ ...message, id });
    });
  }
}
