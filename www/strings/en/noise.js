// @ts-check
/** English texts of the noise settings, of variations and of "Forever". */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("en");

export const noise = {
  title: "Noise and variations",
  variationSeed: "Variation seed",
  variationSeedRandom: "a new one each time",
  variationSeedAbout: "Seed of a second noise that is mixed into the noise of the seed.",
  newVariation: "New variation seed",
  strength: "Variation strength",
  strengthAbout: "0 leaves the picture as it is, 0.1 varies it, 1 is the other seed’s picture.",
  rng: "Noise generator",
  rngAbout: "Programs turn a seed into different noise. Choose the one that your seeds are for.",
  torch: "torch: diffusers, ComfyUI",
  philox: "NV: A1111 and its kin",
  ensd: "ENSD",
  ensdAbout: "Added to the seed for the noise that the steps add; A1111’s eta noise seed delta.",
  eta: "Eta",
  etaDefault: "the sampler’s",
  etaAbout: "Noise that the steps add, 0 to 1. Read by DDIM, TCD, and samplers with “a” or “SDE”.",
  forever: "Forever",
  foreverTitle: "Makes one picture after the other, until you press this again or Cancel",
  foreverOn: (/** @type {number} */ made) =>
    made === 0
      ? "Makes pictures until you press Forever again, or Cancel."
      : `Makes pictures until you press Forever again, or Cancel: ${made} so far.`,
  foreverLast: "The picture in progress is the last one.",
  foreverFailed: (/** @type {number} */ times) =>
    `“Forever” has ended: ${times} runs in a row failed.`,
  foreverPaused: "“Forever” has ended, because the queue is paused.",
  foreverDone: (/** @type {number} */ made) =>
    plural(made, {
      one: "“Forever” has ended after 1 picture.",
      other: `“Forever” has ended after ${made} pictures.`,
    }),
  vary: "Vary",
  varyTitle: "Keep this picture’s seed, and mix in a little of another noise",
  varied: (/** @type {string} */ seed) =>
    `Seed ${seed} is locked, and a variation seed is set. Press Generate for a variation.`,
  caption: (/** @type {string} */ seed, /** @type {number} */ strength) =>
    `variation ${seed} at ${number("en", strength, { style: "percent" })}`,
};
