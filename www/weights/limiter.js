// @ts-check
/** Concurrency limiter that also tracks pending writes. */

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

export class Limiter {
  /** Free slots, and the tasks that wait for one. */
  #free;
  /** @type {(() => void)[]} */ #waiting = [];
  /**
   * Downloads and writes under way.
   * @type {Set<Promise<unknown>>}
   */
  #busy = new Set();

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * Runs a task when a slot is free. The slot is free again when the result is also stored: memory
   * stays bounded where the disk is slower than the network.
   * @param {() => Promise<{bytes: Bytes, stored: Promise<void> | null}>} act
   */
  async take(act) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((resolve) => this.#waiting.push(() => resolve(null)));
    const leave = () => {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    };
    const acting = act();
    this.keep(acting.then(({ stored }) => stored).finally(leave));
    return (await acting).bytes;
  }

  /** Tracks a pending write. @param {Promise<unknown>} work */
  keep(work) {
    const busy = work.catch(() => {}).finally(() => this.#busy.delete(busy));
    this.#busy.add(busy);
  }

  /** Waits for all tasks and writes. */
  async settled() {
    while (this.#busy.size) await Promise.allSettled(this.#busy);
  }
}
