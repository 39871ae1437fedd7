// @ts-check
/** Guidance over the steps as the settings say it, by the engine's rules. */

/** @typedef {import("./settings.js").Settings} Settings */

/**
 * Steps of a window, counted from 1. An empty one has `last` before `first`.
 * @typedef {{first: number, last: number}} Range
 */

/**
 * The steps between two shares: from ⌊start · steps⌋ to before ⌊end · steps⌋, counted from 0.
 * @param {number} start @param {number} end @param {number} steps
 * @returns {Range}
 */
export function stepsOf(start, end, steps) {
  // A share such as 0.29 times 100 is below 29 in floating point.
  const bound = (/** @type {number} */ share) => Math.floor(share * steps + 1e-9);
  return { first: bound(start) + 1, last: bound(end) };
}

/**
 * The guidance scale of a step. The mean over the steps is `scale` in each schedule.
 * @param {string} schedule
 * @param {number} scale
 * @param {number} step from 0
 * @param {number} steps
 */
export function scaleAt(schedule, scale, step, steps) {
  const done = (step + 0.5) / steps;
  if (schedule === "linear") return 1 + (scale - 1) * 2 * done;
  if (schedule === "cosine") return 1 + (scale - 1) * (1 - Math.cos(Math.PI * done));
  return scale;
}

/**
 * Guidance in each step.
 * @typedef {object} Plan
 * @property {(number | null)[]} scales null: no guidance in this step
 * @property {boolean[]} negative the negative prompt acts in this step
 * @property {boolean} mayEnd the lowest sigma or the cosine may end the guidance
 */

/**
 * The plan of a picture; null where a number is not valid. The samplers' sigmas are not known here:
 * what depends on them is left out.
 * @param {Settings} settings
 * @returns {Plan | null}
 */
export function planOf(settings) {
  const steps = Number(settings.steps);
  const scale = Number(settings.guidance_scale);
  if (!Number.isInteger(steps) || steps < 1 || steps > 1000 || !(scale >= 0)) return null;
  const guided = windowOf(settings, "guidance");
  const window = windowOf(settings, "negative");
  const strength = Number(settings.negative_strength);
  /** @type {Plan} */
  const plan = {
    scales: [],
    negative: [],
    mayEnd: Number(settings.guidance_min_sigma) > 0 || settings.guidance_stop !== "",
  };
  for (let step = 1; step <= steps; step += 1) {
    const inside = contains(window, step);
    const on =
      scale !== 1 && contains(guided, step) && (inside || settings.negative_outside !== "none");
    plan.scales.push(on ? scaleAt(settings.guidance_schedule, scale, step - 1, steps) : null);
    plan.negative.push(on && inside && strength > 0);
  }
  return plan;
}

/** @param {Settings} settings @param {"negative" | "guidance"} name @returns {Range} */
export function windowOf(settings, name) {
  const [start, end] = [settings[`${name}_start`], settings[`${name}_end`]];
  return stepsOf(Number(start), Number(end), Number(settings.steps));
}

/** @param {Range} range @param {number} step */
const contains = ({ first, last }, step) => step >= first && step <= last;

/**
 * The first and the last step for which `holds` is true; null: none.
 * @param {number} steps
 * @param {(at: number) => boolean} holds of an index from 0
 * @returns {Range | null}
 */
export function rangeOf(steps, holds) {
  const held = Array.from({ length: steps }, (_, at) => at).filter(holds);
  return held.length > 0 ? { first: held[0] + 1, last: held[held.length - 1] + 1 } : null;
}
