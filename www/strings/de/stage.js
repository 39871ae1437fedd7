// @ts-check
/** German texts of what a comparison has changed, of the wall of seeds, and of the model line. */
import { number } from "../number.js";

/** @param {number} share 0 … 1 */
const percent = (share) =>
  number("de", share, { style: "percent", maximumFractionDigits: share < 0.1 ? 1 : 0 });

/** @type {typeof import("../en/stage.js").stage} */
export const stage = {
  changed: (share) =>
    `${percent(share)} des Bildes haben sich geändert; der Rest blieb, wie er war.`,
  much: (share) =>
    `${percent(share)} des Bildes haben sich geändert, mehr als das Wort verlangt. Ein kleinerer ` +
    "Guidance-Wert ändert weniger.",
  nothing: (negative) =>
    `Nichts zu entfernen: Ohne „${negative}“ als negativen Prompt ist das Bild dasselbe.`,
  nothingBecause: (none) => `Hier ist nichts zu entfernen: ${none}.`,
  trySeed: (seed) => `Seed ${seed} versuchen: Da war etwas`,
  tryAnother: "Einen anderen Seed versuchen",
  back: "Zurück zu den neun Seeds",
  wall: "Neun Seeds",
  wallTitle: "Neun Seeds, jeder ohne und mit dem negativen Prompt",
  wallOf: (negative) => `Neun Seeds, jeder ohne und mit dem negativen Prompt „${negative}“`,
  counted: (changed, all) => {
    const same = all - changed;
    const rest = same === 0 ? "" : `, bei ${same} war nichts zu entfernen`;
    return `${changed} von ${all} haben sich geändert${rest}.`;
  },
  stopped: (made) => `Nach ${made} von 9 Seeds beendet.`,
  pending: "noch nicht gemacht",
  cellChanged: "geändert",
  share: percent,
  same: "gleich",
  model: (name) => `Modell: ${name}`,
  noPictures: "Hier erscheinen die Bilder, die Sie machen.",
  changeModel: "Anderes Modell…",
};
