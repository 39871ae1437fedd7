// @ts-check
/**
 * Queue of runs: one at a time, in an order that the visitor can change. It can be added to while
 * it runs. A run leaves the queue when its pictures are stored, or when the visitor takes it out;
 * an engine that crashes or a page that is closed does not take it away.
 */
import { newId } from "../store/pictures.js";

/** @typedef {import("../store/queue.js").QueueRecord} QueueRecord */
/** @typedef {import("../store/queue.js").QueueStore} QueueStore */
/** @typedef {import("./run.js").Kind} Kind */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * The end of a run: `made`: all its pictures are stored. `cancelled`: by the visitor. `lost`: the
 * engine crashed. `interrupted`: the visitor chose another device. `replaced`: another model.
 * `unloaded`: the model could not be loaded. Else the problem of this run.
 * @typedef {"made" | "cancelled" | "lost" | "interrupted" | "replaced" | "unloaded"
 *   | {message: string}} Outcome
 */

/**
 * Reasons for a pause: the visitor stopped the queue, a page was closed with runs in it, or the
 * model could not be loaded. Runs that are added in a pause are made all the same.
 * @typedef {"stopped" | "left" | "failed"} Pause
 */

/**
 * @typedef {object} QueueHost
 * @property {() => boolean} isIdle no run is in progress
 * @property {(settings: Settings, kind: Kind, tries: number) => Promise<Outcome>} make
 * @property {() => void} cancel ends the run in progress
 * @property {() => void} onChange
 * @property {() => void} announce tells other tabs about a change
 */

/** A run that crashes the engine this often is not begun again. */
const TRIES_AT_MOST = 3;
/** The problem of such a run, in place of a message. */
export const CRASHED = "crashed";

export class RunQueue {
  #store;
  #host;
  /** This tab's runs, the next one first. @type {QueueRecord[]} */ #records = [];
  /** Runs that a pause does not stop. @type {Set<string>} */ #wanted = new Set();
  /** The visitor has taken out the run in progress. */ #removed = false;
  #pumping = false;
  /** The run in progress. @type {QueueRecord | null} */ running = null;
  /** @type {Pause | null} */ pause = null;
  /** Runs of other tabs that are open. */ elsewhere = 0;

  /** @param {QueueStore} store @param {QueueHost} host */
  constructor(store, host) {
    this.#store = store;
    this.#host = host;
  }

  /** Runs that wait or have failed, the next one first. */
  get waiting() {
    return this.#records.filter((record) => record !== this.running);
  }

  /** A run is in progress, or the next one is about to begin. */
  get busy() {
    return this.#pumping;
  }

  /** Seeds that waiting runs and the one in progress will use. */
  get seeds() {
    return new Set(this.#records.map(({ settings }) => settings.seed));
  }

  /** Finds the runs that closed pages have left behind. */
  async load() {
    const [all, open] = await Promise.all([this.#store.all(), this.#store.openTabs()]);
    const own = new Set(this.#records.map(({ id }) => id));
    const others = all.filter(({ id, tab }) => !own.has(id) && tab !== this.#store.tab);
    const left = others.filter(({ tab }) => !open?.has(tab));
    this.elsewhere = others.length - left.length;
    if (left.length > 0) {
      for (const record of left) record.tab = this.#store.tab;
      this.#records.unshift(...left);
      this.pause ??= "left";
      await this.#store.put(left);
      this.#host.announce();
    }
    this.#host.onChange();
  }

  /**
   * Adds runs.
   * @param {Settings[]} runs
   * @param {Kind} kind
   * @returns {string[]} their ids
   */
  add(runs, kind) {
    const start = Math.max(0, ...this.#records.map(({ order }) => order)) + 1;
    const records = runs.map((settings, at) => ({
      id: newId(Date.now()),
      tab: this.#store.tab,
      order: start + at,
      kind,
      settings: { ...settings },
      tries: 0,
      problem: "",
    }));
    this.#records.push(...records);
    if (this.pause) for (const { id } of records) this.#wanted.add(id);
    void this.#store.put(records).then(() => this.#host.announce());
    this.#host.onChange();
    void this.pump();
    return records.map(({ id }) => id);
  }

  /** Ends the run in progress. What waits then waits until `resume`. */
  stop() {
    if (!this.running) return;
    if (this.waiting.some(({ problem }) => !problem)) this.hold();
    this.#host.cancel();
  }

  /** Pauses after the run in progress. */
  hold() {
    this.pause = "stopped";
    this.#wanted.clear();
    this.#host.onChange();
  }

  /** Ends a pause. */
  resume() {
    this.pause = null;
    this.#wanted.clear();
    this.#host.onChange();
    void this.pump();
  }

  /** Takes a run out; the one in progress is cancelled. @param {string} id */
  remove(id) {
    if (this.running?.id === id) {
      this.#removed = true;
      this.#host.cancel();
    } else this.#drop([id]);
  }

  /** Takes out all that wait or have failed. */
  clear() {
    this.#drop(this.waiting.map(({ id }) => id));
  }

  /** Lets a run that failed be tried again. @param {string} id */
  again(id) {
    const record = this.#records.find((record) => record.id === id);
    if (!record) return;
    Object.assign(record, { tries: 0, problem: "" });
    if (this.pause) this.#wanted.add(id);
    void this.#store.put([record]);
    this.#host.onChange();
    void this.pump();
  }

  /** Moves a run that waits. @param {string} id @param {-1 | 1} by */
  move(id, by) {
    const { waiting } = this;
    const at = waiting.findIndex((record) => record.id === id);
    const other = waiting[at + by];
    if (at < 0 || !other) return;
    const record = waiting[at];
    [record.order, other.order] = [other.order, record.order];
    this.#records.sort((a, b) => a.order - b.order);
    void this.#store.put([record, other]);
    this.#host.onChange();
  }

  /** Makes runs until none may be made. Called when one is added and when the engine is idle. */
  async pump() {
    if (this.#pumping || !this.#next()) return;
    this.#pumping = true;
    try {
      for (let next = this.#next(); next; next = this.#next()) await this.#make(next);
    } finally {
      this.#pumping = false;
      this.#host.onChange();
    }
  }

  #next() {
    if (!this.#host.isIdle()) return undefined;
    return this.#records.find(
      ({ id, problem }) => !problem && (this.pause === null || this.#wanted.has(id)),
    );
  }

  /** @param {QueueRecord} record */
  async #make(record) {
    this.running = record;
    record.tries += 1;
    this.#removed = false;
    void this.#store.put([record]);
    this.#host.onChange();
    const outcome = await this.#outcome(record);
    this.running = null;
    this.#settle(record, this.#removed && outcome !== "made" ? "cancelled" : outcome);
  }

  /** @param {QueueRecord} record @returns {Promise<Outcome>} */
  async #outcome({ id, settings, kind, tries }) {
    // Where another tab has it, it counts as cancelled here.
    let outcome = /** @type {Outcome} */ ("cancelled");
    try {
      await this.#store.once(id, async () => {
        const wanted = /** @type {Settings} */ ({ ...settings });
        outcome = await this.#host.make(wanted, /** @type {Kind} */ (kind), tries);
        // Within the lock, so that no other tab begins a run that is finished.
        if (outcome === "made") await this.#store.remove([id]);
      });
    } catch (error) {
      outcome = { message: error instanceof Error ? error.message : String(error) };
    }
    return outcome;
  }

  /** @param {QueueRecord} record @param {Outcome} outcome */
  #settle(record, outcome) {
    if (outcome === "made" || outcome === "cancelled") return this.#drop([record.id]);
    if (typeof outcome === "object") record.problem = outcome.message;
    else if (outcome === "lost") {
      if (record.tries >= TRIES_AT_MOST) record.problem = CRASHED;
    } else {
      record.tries -= 1;
      if (outcome !== "interrupted") {
        this.pause = outcome === "unloaded" ? "failed" : "stopped";
        this.#wanted.clear();
      }
    }
    void this.#store.put([record]);
    this.#host.onChange();
  }

  /** @param {string[]} ids */
  #drop(ids) {
    this.#records = this.#records.filter(({ id }) => !ids.includes(id));
    for (const id of ids) this.#wanted.delete(id);
    if (this.#records.length === 0) this.pause = null;
    void this.#store.remove(ids).then(() => this.#host.announce());
    this.#host.onChange();
  }
}

const SEEDS = 2n ** 64n;

/**
 * Seeds for several pictures.
 * @param {string} first a valid seed, of the first picture
 * @param {number} count
 * @param {() => string} [random] absent: each seed is the last one plus 1
 * @returns {string[]}
 */
export function seedsFor(first, count, random) {
  return Array.from({ length: count }, (_, at) =>
    random && at > 0 ? random() : String((BigInt(first) + BigInt(at)) % SEEDS),
  );
}
