// @ts-check
/**
 * Seeds of several pictures. Without a variation the seeds differ; with one the variation seeds do,
 * as in A1111, so that all of them are variations of one picture.
 */
import { seedsFor } from "./queue.js";
import { randomSeed } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

/** Share of the other noise that "Vary" begins with. */
const SLIGHT = "0.1";

/** @param {Settings} settings */
const isVaried = ({ variation_strength }) => Number(variation_strength) > 0;

/** The setting that tells pictures of a series apart. @param {Settings} settings */
const counted = (settings) => (isVaried(settings) ? "variation_seed" : "seed");

/** Settings with a variation seed, if they need one and have none. @param {Settings} settings */
export const drawn = (settings) =>
  isVaried(settings) && settings.variation_seed === ""
    ? { ...settings, variation_seed: randomSeed() }
    : settings;

/**
 * The settings of several pictures.
 * @param {Settings} first of the first picture
 * @param {number} count
 * @param {boolean} random random seeds; else each is the last one plus 1
 * @returns {Settings[]}
 */
export function seriesOf(first, count, random) {
  const settings = drawn(first);
  const field = counted(settings);
  const seeds = seedsFor(settings[field], count, random ? randomSeed : undefined);
  return seeds.map((seed) => ({ ...settings, [field]: seed }));
}

/**
 * The settings of a picture after the last one.
 * @param {Settings} form as it is now
 * @param {Settings} before the form after the last picture was begun
 * @param {Settings} last of the last picture
 * @param {boolean} random
 * @returns {Settings}
 */
export function following(form, before, last, random) {
  const field = counted(form);
  // A seed that was changed meanwhile begins another series.
  if (form[field] !== before[field] || last[field] === "") return drawn(form);
  const [, seed] = seedsFor(last[field], 2, random ? randomSeed : undefined);
  return { ...form, [field]: seed };
}

/** Settings of one picture after the other, from a form that may change meanwhile. */
export class Series {
  /** The form after the last picture was begun. @type {Settings | null} */ #shown = null;
  /** Settings of the last picture. @type {Settings | null} */ last = null;

  /**
   * The settings of the next picture. Shows its seed in the form.
   * @param {import("./form.js").SettingsForm} form
   * @param {object} options
   * @param {boolean} options.again it follows another one of the series
   * @param {boolean} options.random
   * @param {Set<string>} options.taken seeds of pictures that wait
   * @returns {Settings}
   */
  next(form, { again, random, taken }) {
    const { last } = this;
    const shown = this.#shown;
    if (!again || !last || !shown) {
      form.useSeed(taken);
      this.last = drawn(form.settings);
    } else {
      // The visitor may be typing: then the settings of the last picture hold.
      const { seed, variation_seed } = shown;
      const now = form.isValid({ quietly: true })
        ? form.settings
        : { ...last, seed, variation_seed };
      // Another model ends the series. Its name may not be complete.
      const { model, prediction } = last;
      this.last = { ...following(now, shown, last, random), model, prediction };
      if (form.settings.seed === seed) form.followSeed(this.last.seed);
    }
    this.#shown = form.settings;
    return this.last;
  }
}

/** The settings of a slight variation of a picture. @param {Settings} settings of the picture */
export const variationOf = ({ seed }) => ({
  seed,
  variation_seed: randomSeed(),
  variation_strength: SLIGHT,
});
