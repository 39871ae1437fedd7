// @ts-check
/**
 * Watchdog of a run: tells when a step takes much longer than the steps before it. A step on the
 * CPU is one call that answers nothing before its end, so time is the only sign.
 */

/**
 * Limits in seconds. A first step has nothing to be compared with, and may compile kernels.
 */
export const LIMITS = {
  /** So many times the median of the steps before counts as long. */
  longFactor: 3,
  long: 10,
  /** So many times the median counts as stuck. */
  stuckFactor: 10,
  stuck: 60,
  /** A first step, by device. */
  first: { cpu: 900, gpu: 180 },
  /** A start of the engine in which nothing moves. */
  opening: 120,
};
/** Seconds between two looks. Time in which the page is frozen counts no more than that. */
const EVERY = 1;

/** @typedef {"fine" | "long" | "stuck"} Pace */
/**
 * @typedef {object} Report
 * @property {Pace} pace
 * @property {number} taken seconds since the last sign of life
 * @property {number | null} usual seconds that a step took before; null: there is none yet
 */

export class Watchdog {
  #limits;
  #onReport;
  #timer = 0;
  #looked = 0;
  #taken = 0;
  /** @type {number[]} */ #steps = [];
  /** Seconds after which a step without an earlier one is stuck. */ #first = 0;
  /** The visitor wants to wait. */ #patient = false;

  /**
   * @param {(report: Report) => void} onReport called about once a second while a step is long, and
   *   once when it is stuck
   * @param {typeof LIMITS} [limits]
   */
  constructor(onReport, limits = LIMITS) {
    this.#onReport = onReport;
    this.#limits = limits;
  }

  /** Begins to watch. @param {"cpu" | "gpu" | "opening"} what */
  begin(what) {
    this.end();
    this.#first = what === "opening" ? this.#limits.opening : this.#limits.first[what];
    this.#steps = [];
    this.#rest();
    this.#timer = /** @type {any} */ (setInterval(() => this.look(performance.now() / 1000), 1000));
  }

  /** Marks the end of a step: something moves. */
  beat() {
    this.#steps.push(this.#taken + Math.max(0, performance.now() / 1000 - this.#looked));
    this.#rest();
  }

  /** Marks a sign of life that is no step. */
  alive() {
    this.#rest();
  }

  /** Reports this step no more. */
  wait() {
    this.#patient = true;
  }

  end() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  #rest() {
    this.#looked = performance.now() / 1000;
    this.#taken = 0;
    this.#patient = false;
  }

  /**
   * Looks at the time. A page that was frozen, or a machine that slept, adds a moment only.
   * @param {number} now seconds
   */
  look(now) {
    this.#taken += Math.min(Math.max(0, now - this.#looked), 2 * EVERY);
    this.#looked = now;
    const report = paceOf(this.#taken, this.#steps, this.#first, this.#limits);
    if (report.pace === "fine" || (report.pace === "stuck" && this.#patient)) return;
    if (report.pace === "stuck") this.#patient = true;
    this.#onReport(report);
  }
}

/**
 * @param {number} taken seconds
 * @param {number[]} steps seconds of the steps before
 * @param {number} first limit of a step without earlier ones
 * @param {typeof LIMITS} limits
 * @returns {Report}
 */
export function paceOf(taken, steps, first, limits) {
  if (steps.length === 0) {
    return { pace: taken > first ? "stuck" : "fine", taken, usual: null };
  }
  const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)];
  const stuck = taken > limits.stuck && taken > limits.stuckFactor * usual;
  const long = taken > limits.long && taken > limits.longFactor * usual;
  return { pace: stuck ? "stuck" : long ? "long" : "fine", taken, usual };
}
