// @ts-check
/** German texts of the noise settings, of variations and of "Forever". */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("de");

/** @type {typeof import("../en/noise.js").noise} */
export const noise = {
  title: "Rauschen und Variationen",
  variationSeed: "Variations-Seed",
  variationSeedRandom: "jedes Mal ein neuer",
  variationSeedAbout: "Seed eines zweiten Rauschens, das in das Rauschen des Seeds gemischt wird.",
  newVariation: "Neuer Variations-Seed",
  strength: "Stärke der Variation",
  strengthAbout: "0 lässt das Bild, wie es ist, 0,1 variiert es, 1 ist das Bild des anderen Seeds.",
  rng: "Rauschgenerator",
  rngAbout: "Programme machen aus einem Seed verschiedenes Rauschen. Wählen Sie das Ihrer Seeds.",
  torch: "torch: diffusers, ComfyUI",
  philox: "NV: A1111 und Verwandte",
  ensd: "ENSD",
  ensdAbout: "Wird für das Rauschen der Schritte zum Seed addiert; A1111s „eta noise seed delta“.",
  eta: "Eta",
  etaDefault: "wie der Sampler",
  etaAbout: "Rauschen, das Schritte zufügen, 0 bis 1. Für DDIM, TCD, Sampler mit „a“ oder „SDE“.",
  forever: "Endlos",
  foreverTitle: "Macht ein Bild nach dem anderen, bis Sie dies noch einmal oder Abbrechen drücken",
  foreverOn: (/** @type {number} */ made) =>
    made === 0
      ? "Macht Bilder, bis Sie noch einmal Endlos oder Abbrechen drücken."
      : `Macht Bilder, bis Sie noch einmal Endlos oder Abbrechen drücken: bisher ${made}.`,
  foreverLast: "Das Bild in Arbeit ist das letzte.",
  foreverFailed: (/** @type {number} */ times) =>
    `„Endlos“ ist beendet: ${times} Durchgänge hintereinander sind gescheitert.`,
  foreverPaused: "„Endlos“ ist beendet, weil die Warteschlange angehalten ist.",
  foreverDone: (/** @type {number} */ made) =>
    plural(made, {
      one: "„Endlos“ ist nach 1 Bild beendet.",
      other: `„Endlos“ ist nach ${made} Bildern beendet.`,
    }),
  vary: "Variieren",
  varyTitle: "Den Seed dieses Bilds behalten und etwas von anderem Rauschen hineinmischen",
  varied: (/** @type {string} */ seed) =>
    `Seed ${seed} ist fest, ein Variations-Seed gesetzt. „Bild machen“ macht eine Variation.`,
  caption: (/** @type {string} */ seed, /** @type {number} */ strength) =>
    `Variation ${seed} mit ${number("de", strength, { style: "percent" })}`,
};
