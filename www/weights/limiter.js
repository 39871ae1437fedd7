// @ts-check
/** How many things are under way at once, and what must not be lost of them. */

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

export class Limiter {
  /** Limiter left, and who waits for one. */
  #free;
  /** @type {(() => void)[]} */ #waiting = [];
  /** What must not be lost: fetching, storing. @type {Set<Promise<unknown>>} */ #busy = new Set();

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * Acts when one of the few places is free, and leaves it when what came is stored as well: so memory is bounded where the disk is slower.
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

  /** Something not to be lost. @param {Promise<unknown>} work */
  keep(work) {
    const busy = work.catch(() => {}).finally(() => this.#busy.delete(busy));
    this.#busy.add(busy);
  }

  /** Settled when nothing is under way any more. */
  async settled() {
    while (this.#busy.size) await Promise.allSettled(this.#busy);
  }
}
