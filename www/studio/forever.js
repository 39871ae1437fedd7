// @ts-check
/**
 * "Forever": adds a run to the queue whenever it is empty, until the visitor stops it. A run that
 * fails does not end it; several in a row do.
 */
import { strings } from "../strings/index.js";

/** @typedef {import("./queue.js").Outcome} Outcome */
/** @typedef {import("./queue.js").RunQueue} RunQueue */

/**
 * @typedef {object} ForeverHost
 * @property {() => RunQueue} queue
 * @property {(again: boolean) => string} add adds a run; `again`: after others. Returns its id
 * @property {() => void} onChange
 */

/** So many runs in a row that fail end it. */
const FAILURES_AT_MOST = 3;

export class Forever {
  #host;
  #made = 0;
  #failed = 0;
  /** The run that was added last. */ #last = "";
  #adding = false;
  /** A pause that was there before. @type {import("./queue.js").Pause | null} */ #pause = null;
  /** @type {"" | "done" | "failed" | "paused"} */ #end = "";
  on = false;

  /** @param {ForeverHost} host */
  constructor(host) {
    this.#host = host;
  }

  /** A sentence about its state; empty: it was not used. */
  get text() {
    const t = strings().noise;
    if (this.on) return t.foreverOn(this.#made);
    if (this.#end === "failed") return t.foreverFailed(this.#failed);
    if (this.#end === "paused") return t.foreverPaused;
    if (this.#end !== "done") return "";
    return this.#isWaiting ? t.foreverLast : t.foreverDone(this.#made);
  }

  /** Its last run waits or is in progress. */
  get #isWaiting() {
    const { running, waiting } = this.#host.queue();
    return running?.id === this.#last || waiting.some(({ id }) => id === this.#last);
  }

  start() {
    if (this.on) return;
    this.on = true;
    this.#made = 0;
    this.#failed = 0;
    this.#last = "";
    this.#end = "";
    this.#pause = this.#host.queue().pause;
    this.next();
    this.#host.onChange();
  }

  /** Says nothing more about runs that are over. */
  forget() {
    if (this.on) return;
    this.#end = "";
    this.#host.onChange();
  }

  /** Adds no more runs. @param {"done" | "failed" | "paused"} [end] */
  stop(end = "done") {
    if (!this.on) return;
    this.on = false;
    this.#end = end;
    this.#host.onChange();
  }

  /** A run has ended. @param {string} id @param {Outcome} outcome */
  ended(id, outcome) {
    if (id !== this.#last) return;
    if (outcome === "made") {
      this.#made += 1;
      this.#failed = 0;
    } else if (outcome === "lost" || typeof outcome === "object") {
      this.#failed += 1;
      if (this.#failed >= FAILURES_AT_MOST) this.stop("failed");
    } else if (outcome === "cancelled") this.stop();
    this.#host.onChange();
  }

  /** Adds a run if none waits. Called after every change of the queue. */
  next() {
    if (!this.on || this.#adding) return;
    const { busy, pause, waiting } = this.#host.queue();
    if (pause !== null && pause !== this.#pause) return this.stop("paused");
    this.#pause = pause;
    const waits = waiting.some(
      ({ id, problem }) => !problem && (pause === null || id === this.#last),
    );
    if (busy || waits) return;
    // The queue reports the new run before its id is known here.
    this.#adding = true;
    this.#last = this.#host.add(this.#last !== "");
    this.#adding = false;
  }
}
