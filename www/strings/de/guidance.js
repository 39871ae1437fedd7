// @ts-check
/** German texts of the negative prompt's and the guidance's settings. */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("de");

/** @param {number} value */
const short = (value) => number("de", value, { maximumFractionDigits: 2 });

/** @param {number} start @param {number} end shares */
const percents = (start, end) => `${short(start * 100)}–${short(end * 100)}\u00a0%`;

/** @param {number} first @param {number} last */
const stepNumbers = (first, last) =>
  first === last ? `Schritt ${first}` : `den Schritten ${first} bis ${last}`;

const shared = {
  strength: (/** @type {string} */ value) => `Stärke ${value.replace(".", ",")}`,
  steps: (/** @type {number} */ start, /** @type {number} */ end) =>
    `Schritte ${percents(start, end)}`,
  window: {
    from: "Von",
    to: "Bis",
    at: (/** @type {number} */ share, /** @type {number} */ step) =>
      `${short(share * 100)}\u00a0%, Schritt ${step}`,
    steps: (
      /** @type {number} */ first,
      /** @type {number} */ last,
      /** @type {number} */ of,
      /** @type {number} */ start,
      /** @type {number} */ end,
    ) =>
      last < first
        ? `In keinem von ${of} Schritten (${percents(start, end)}).`
        : `In ${stepNumbers(first, last)} von ${of} (${percents(start, end)}).`,
    crossed: "Das Ende liegt vor dem Anfang.",
  },
};

const negative = {
  title: "Negativer Prompt",
  strength: "Stärke",
  aboutStrength: "0: wie ohne negativen Prompt. 1: wie geschrieben. 2: doppelt so weit.",
  window: "Schritte mit dem negativen Prompt",
  aboutWindow:
    "Ein negativer Prompt wirkt mit Verzögerung. Ein zu frühes Ende kann ihn unwirksam machen, " +
    "und ein zu früher Anfang kann das Unerwünschte erst erzeugen",
  source: "Ban et al., 2024",
  outside: "In den anderen Schritten",
  outsides: { empty: "Leerer Prompt", none: "Keine zweite Vorhersage" },
  aboutOutside: {
    empty: "Dort geht die Guidance weiter, ohne Ihren negativen Prompt.",
    none: "Dort gibt es keine Guidance, und das ist die halbe Arbeit.",
  },
  halfWork: "sonst die halbe Arbeit",
};

const guide = {
  title: "Guidance",
  window: "Schritte mit Guidance",
  aboutWindow:
    "Die anderen Schritte machen die halbe Arbeit. Der negative Prompt wirkt nur mit Guidance.",
  schedule: "Verlauf",
  schedules: { constant: "Gleich", linear: "Linear", cosine: "Kosinus" },
  aboutSchedule: {
    constant: "In allen Schritten derselbe Guidance-Wert.",
    linear: "Die Guidance wächst gleichmäßig. Ihr Mittel ist der Guidance-Wert.",
    cosine: "Die Guidance wächst, langsam an beiden Enden. Ihr Mittel ist der Guidance-Wert.",
  },
  scheduled: (/** @type {string} */ name) => name,
  minSigma: "Kleinstes Sigma (NGMS)",
  aboutMinSigma: "Unter diesem Rauschpegel gibt es keine Guidance, und das ist die halbe Arbeit.",
  sigma: (/** @type {string} */ value) => `Sigma ab ${value.replace(".", ",")}`,
  stop: "Ende bei einem Kosinus von",
  never: "nie",
  aboutStop:
    "Die Guidance endet, sobald die Vorhersagen für beide Prompts in dieselbe Richtung zeigen: " +
    "wenn ihr Kosinus über dieser Zahl liegt, etwa 0.995.",
  stopsAt: (/** @type {string} */ value) => `Ende bei ${value.replace(".", ",")}`,
  kind: "Art",
  branches: (/** @type {number} */ count) => `${count} Vorhersagen je Schritt statt 2.`,
  option: (/** @type {number} */ lowest, /** @type {number} */ highest) =>
    `${short(lowest)} bis ${short(highest)}`,
  optionRange: (
    /** @type {string} */ name,
    /** @type {number} */ lowest,
    /** @type {number} */ highest,
  ) => `${name} ist eine Zahl von ${short(lowest)} bis ${short(highest)}.`,
  optionWhole: (
    /** @type {string} */ name,
    /** @type {number} */ lowest,
    /** @type {number} */ highest,
  ) => `${name} ist eine ganze Zahl von ${short(lowest)} bis ${short(highest)}.`,
  noOption: (/** @type {string} */ name, /** @type {string} */ kind) =>
    `${kind} hat keine Option „${name}“.`,
  /** @type {Record<string, string>} */
  kinds: {
    plain: "Geht von der Vorhersage des negativen Prompts durch die des Prompts, mal den Wert.",
    rescale: "Gibt dem Ergebnis den Kontrast der Vorhersage des Prompts. Das dämpft grelle Farben.",
    "cfg-zero": "Passt die negative Vorhersage zuerst so gut wie möglich an die des Prompts an.",
    apg: "Schwächt den Teil der Guidance, der nur Kontrast bringt. Hohe Werte bleiben natürlich.",
    "perp-neg": "Nutzt nur den Teil des negativen Prompts, der dem Prompt nicht widerspricht.",
    "dynamic-thresholding": "Rechnet mit dem vollen Wert, mit dem Kontrast eines kleineren.",
    tangential: "Lässt den Teil der negativen Vorhersage weg, der die des Prompts stört.",
    slg: "Führt auch von einer Vorhersage ohne einige Schichten weg. Formen werden klarer.",
    pag: "Führt auch von einer Vorhersage mit weniger Attention weg. Der Aufbau wird klarer.",
  },
};

const nag = {
  title: "Ohne Guidance (NAG)",
  about:
    "Normalized Attention Guidance wendet den negativen Prompt in den Attention-Schichten an. " +
    "Das geht beim Guidance-Wert 1 und mit LCM- und Turbo-Modellen, wo Guidance nicht geht.",
  source: "Chen et al., 2025",
  scale: "NAG-Wert",
  aboutScale: "Bis 1: aus. Höher: weiter weg vom negativen Prompt.",
  tau: "Tau: größtes Wachstum",
  alpha: "Alpha: Anteil am Ergebnis",
  summary: (/** @type {string} */ scale) => `Wert ${scale.replace(".", ",")}`,
  offer: "Trotzdem anwenden (NAG)",
  why: "NAG wendet ihn in den Attention-Schichten an, ohne Guidance.",
  applied: (/** @type {string} */ scale) =>
    `NAG wendet ihn an, mit dem Wert ${scale.replace(".", ",")}.`,
};

const chart = {
  none: (/** @type {number} */ steps) => `Keine Guidance in ${steps} Schritten.`,
  scale: (
    /** @type {number} */ low,
    /** @type {number} */ high,
    /** @type {number} */ first,
    /** @type {number} */ last,
  ) => {
    const scale = low === high ? short(low) : `${short(low)} bis ${short(high)}`;
    return `Guidance-Wert ${scale} in ${stepNumbers(first, last)}.`;
  },
  negative: (/** @type {number} */ first, /** @type {number} */ last) =>
    `Negativer Prompt in ${stepNumbers(first, last)}.`,
  noNegative: "Negativer Prompt in keinem Schritt.",
  mayEnd: "Die Guidance kann früher enden.",
};

const report = {
  saved: (/** @type {number} */ saved, /** @type {number} */ of) =>
    plural(of, {
      one: `${saved} von einer Vorhersage gespart.`,
      other: `${saved} von ${of} Vorhersagen gespart.`,
    }),
};

export const guidance = { ...shared, negative, guide, nag, chart, report };
