// @ts-check
/** English texts of the negative prompt's and the guidance's settings. */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("en");

/** @param {number} value */
const short = (value) => number("en", value, { maximumFractionDigits: 2 });

/** @param {number} start @param {number} end shares */
const percents = (start, end) => `${short(start * 100)}–${short(end * 100)}\u00a0%`;

/** @param {number} first @param {number} last */
const stepNumbers = (first, last) =>
  first === last ? `step ${first}` : `steps ${first} to ${last}`;

const shared = {
  strength: (/** @type {string} */ value) => `strength ${value}`,
  steps: (/** @type {number} */ start, /** @type {number} */ end) =>
    `steps ${percents(start, end)}`,
  window: {
    from: "From",
    to: "To",
    at: (/** @type {number} */ share, /** @type {number} */ step) =>
      `${short(share * 100)}\u00a0%, step ${step}`,
    steps: (
      /** @type {number} */ first,
      /** @type {number} */ last,
      /** @type {number} */ of,
      /** @type {number} */ start,
      /** @type {number} */ end,
    ) =>
      last < first
        ? `In no step of ${of} (${percents(start, end)}).`
        : `In ${stepNumbers(first, last)} of ${of} (${percents(start, end)}).`,
    crossed: "The end is before the start.",
  },
};

const negative = {
  title: "Negative prompt",
  strength: "Strength",
  aboutStrength: "0: as without a negative prompt. 1: as it is written. 2: twice as far.",
  window: "Steps with the negative prompt",
  aboutWindow:
    "A negative prompt acts after a delay. An end that is too early can disable it, and a start " +
    "that is too early can create the very thing",
  source: "Ban et al., 2024",
  outside: "In the other steps",
  outsides: { empty: "Empty prompt", none: "No second prediction" },
  aboutOutside: {
    empty: "Guidance goes on there, without your negative prompt.",
    none: "There is no guidance there, which takes half the work.",
  },
  halfWork: "half the work in the others",
};

const guide = {
  title: "Guidance",
  window: "Steps with guidance",
  aboutWindow: "The other steps take half the work. The negative prompt acts only with guidance.",
  schedule: "Schedule",
  schedules: { constant: "Constant", linear: "Linear", cosine: "Cosine" },
  aboutSchedule: {
    constant: "The same guidance scale in all steps.",
    linear: "The guidance scale grows evenly. Its mean is the guidance scale.",
    cosine: "The guidance scale grows, slowly at both ends. Its mean is the guidance scale.",
  },
  scheduled: (/** @type {string} */ name) => name.toLowerCase(),
  minSigma: "Lowest sigma (NGMS)",
  aboutMinSigma: "Below this noise level there is no guidance, which takes half the work.",
  sigma: (/** @type {string} */ value) => `sigma from ${value}`,
  stop: "Stop at a cosine of",
  never: "never",
  aboutStop:
    "Guidance ends once the predictions for the two prompts point in the same direction: when " +
    "their cosine passes this number, such as 0.995.",
  stopsAt: (/** @type {string} */ value) => `stop at ${value}`,
  kind: "Kind",
  branches: (/** @type {number} */ count) => `${count} predictions a step instead of 2.`,
  option: (/** @type {number} */ lowest, /** @type {number} */ highest) =>
    `${short(lowest)} to ${short(highest)}`,
  optionRange: (
    /** @type {string} */ name,
    /** @type {number} */ lowest,
    /** @type {number} */ highest,
  ) => `${name} is a number from ${short(lowest)} to ${short(highest)}.`,
  optionWhole: (
    /** @type {string} */ name,
    /** @type {number} */ lowest,
    /** @type {number} */ highest,
  ) => `${name} is a whole number from ${short(lowest)} to ${short(highest)}.`,
  noOption: (/** @type {string} */ name, /** @type {string} */ kind) =>
    `${kind} has no option “${name}”.`,
  /** @type {Record<string, string>} */
  kinds: {
    plain: "Moves from the negative prompt’s prediction through the prompt’s, scale times as far.",
    rescale:
      "Gives the result the contrast of the prompt’s own prediction. It calms burnt colours.",
    "cfg-zero": "Scales the negative prediction to fit the prompt’s best before it is used.",
    apg: "Weakens the part of guidance that only adds contrast. High scales stay natural.",
    "perp-neg": "Uses only the part of the negative prompt that does not contradict the prompt.",
    "dynamic-thresholding": "Guides at the full scale, with the contrast of a lower one.",
    tangential: "Leaves out the part of the negative prediction that disturbs the prompt’s.",
    slg: "Guides away from a prediction without some layers, too. Shapes become clearer.",
    pag: "Guides away from a prediction with less attention, too. Structure becomes clearer.",
  },
};

const nag = {
  title: "Without guidance (NAG)",
  about:
    "Normalized attention guidance applies the negative prompt inside the attention layers. It " +
    "works at a guidance scale of 1, and with LCM and Turbo models, where guidance cannot.",
  source: "Chen et al., 2025",
  scale: "NAG scale",
  aboutScale: "Up to 1: off. Higher: farther away from the negative prompt.",
  tau: "Tau: largest growth",
  alpha: "Alpha: share of the result",
  summary: (/** @type {string} */ scale) => `scale ${scale}`,
  offer: "Use it anyway (NAG)",
  why: "NAG applies it inside the attention layers, without guidance.",
  applied: (/** @type {string} */ scale) => `NAG applies it, at scale ${scale}.`,
};

const chart = {
  none: (/** @type {number} */ steps) => `No guidance in any of ${steps} steps.`,
  scale: (
    /** @type {number} */ low,
    /** @type {number} */ high,
    /** @type {number} */ first,
    /** @type {number} */ last,
  ) => {
    const scale = low === high ? short(low) : `${short(low)} to ${short(high)}`;
    return `Guidance scale ${scale} in ${stepNumbers(first, last)}.`;
  },
  negative: (/** @type {number} */ first, /** @type {number} */ last) =>
    `Negative prompt in ${stepNumbers(first, last)}.`,
  noNegative: "Negative prompt in no step.",
  mayEnd: "Guidance may end earlier.",
};

const report = {
  saved: (/** @type {number} */ saved, /** @type {number} */ of) =>
    plural(of, {
      one: `${saved} of one prediction saved.`,
      other: `${saved} of ${of} predictions saved.`,
    }),
};

export const guidance = { ...shared, negative, guide, nag, chart, report };
