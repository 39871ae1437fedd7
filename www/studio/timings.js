// @ts-check
/** Times of a picture, taken from the engine's progress. */

/**
 * Seconds.
 * @typedef {object} Timings
 * @property {number} waiting for other pictures and for the model
 * @property {number} prompts encoding of the prompts
 * @property {number} steps all steps
 * @property {number} decoding from the latent to pixels
 * @property {number} total
 */

export class TimingRecorder {
  #asked = performance.now();
  #begun = 0;
  #encoded = 0;
  #denoised = 0;

  /** The engine begins with the picture. */
  begin() {
    this.#begun = performance.now();
  }

  /** @param {import("../engine/protocol.js").StepProgress} progress */
  step({ call, done }) {
    if (call === 0) this.#encoded = performance.now();
    if (done) this.#denoised = performance.now();
  }

  /** The picture is finished. @returns {Timings} */
  end() {
    const now = performance.now();
    return {
      waiting: (this.#begun - this.#asked) / 1000,
      prompts: (this.#encoded - this.#begun) / 1000,
      steps: (this.#denoised - this.#encoded) / 1000,
      decoding: (now - this.#denoised) / 1000,
      total: (now - this.#asked) / 1000,
    };
  }
}
