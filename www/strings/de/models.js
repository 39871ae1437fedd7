// @ts-check
/** German texts of the list of models, of samplers, and of what a model's kind means. */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("de");

/** @param {number} bytes */
const size = (bytes) => {
  const [value, unit] = bytes < 1e9 ? [bytes / 1e6, "MB"] : [bytes / 1e9, "GB"];
  return `${number("de", value, { maximumFractionDigits: bytes < 1e9 ? 0 : 1 })} ${unit}`;
};

/** @type {typeof import("../en/models.js").models.sampling} */
const sampling = {
  schedule: "Schrittfolge",
  none: (sampler) => `${sampler} hat eigene Zeitschritte: Eine Schrittfolge wirkt nicht.`,
  calls: (name, calls) => `${name} (${calls} Aufrufe je Schritt)`,
  expert: "Für Fachleute",
  modelDefault: "Vorgabe des Modells",
  clipSkip: "Clip skip",
  clipSkipTitle:
    "Letzte Schicht des Textencoders, vom Ende gezählt. Viele Zeichenmodelle wollen 2.",
  clipSkipRange: (most) =>
    `Clip skip ist eine ganze Zahl von 1 bis ${most}, oder leer für die Vorgabe des Modells.`,
  spacing: "Abstand der Zeitschritte",
  zeroSnr: "Kein Signal am Anfang (zero SNR)",
  yes: "ja",
  no: "nein",
  finalSigma: "Letztes Sigma",
  zero: "0",
  lowest: "kleinstes des Trainings",
};

/** @type {typeof import("../en/models.js").models.negative} */
const negative = {
  embedded:
    "Bei diesem Modell wirkt ein negativer Prompt nicht: Die Guidance ist ein Teil des U-Nets.",
  turbo:
    "Dieses Modell ist für einen Guidance-Wert von 1 gemacht. " +
    "Dort wirkt ein negativer Prompt nicht.",
  below: "Unter einem Guidance-Wert von 1 nähert sich das Bild dem negativen Prompt.",
};

/** @type {typeof import("../en/models.js").models.shelf} */
const shelf = {
  open: "Modelle…",
  openTitle: "Modelle zur Auswahl und die in diesem Browser gespeicherten",
  title: "Modelle",
  about:
    "Ein Modell wird einmal geladen, wenn Sie seinen Knopf drücken, und geht dann auch ohne Netz.",
  loading: "Die Liste wird gelesen…",
  inUse: "in Gebrauch",
  saved: "gespeichert",
  partly: (bytes, all) => `teilweise geladen: ${size(bytes)} von ${size(all)}`,
  some: (bytes) => `teilweise geladen: ${size(bytes)}`,
  absent: "nicht geladen",
  gone: "auf dem Server nicht gefunden",
  refused: "der Server verlangt, eine Lizenz anzunehmen",
  use: "Verwenden",
  download: (bytes) => `${size(bytes)} laden`,
  resume: "Weiter laden",
  page: "Seite des Modells",
  size: (bytes) => `${size(bytes)} zu laden`,
  memory: (bytes, picture) => `etwa ${size(bytes)} Speicher bei ${picture}`,
  savedSize: (bytes, day) => `${size(bytes)}, gespeichert am ${day}`,
  licence: "Lizenz:",
  seePage: "siehe Seite des Modells",
  defaults: (steps, scale) =>
    `${plural(steps, { one: "1\u00a0Schritt", other: `${steps}\u00a0Schritte` })}, ` +
    `Guidance\u00a0${scale}`,
  whatToDo: {
    gone:
      "Vielleicht wurde es umbenannt oder gelöscht. Suchen Sie eine Kopie unter anderem Namen " +
      "und geben Sie ihn unten ein, oder wählen Sie eine Datei, die Sie haben.",
    refused:
      "Öffnen Sie die Seite des Modells, melden Sie sich an und nehmen Sie dort die Lizenz an. " +
      "Laden Sie dann seine .safetensors-Datei herunter, und wählen Sie sie hier.",
  },
  other: "Ein anderes Modell",
  otherLabel: "Name oder Adresse eines Modells",
  otherHint:
    "Stable Diffusion 1 oder 2: owner/name bei Hugging Face, die Adresse eines Ordners oder " +
    "einer .safetensors-Datei, oder eine Datei von Ihnen.",
  load: "Laden",
  unreadable: (address, why) =>
    `Die Liste der Modelle unter ${address} ist nicht verwendbar: ${why}`,
};

/** @type {typeof import("../en/models.js").models.catalogue} */
const catalogue = {
  status: (status) => `Der Server hat mit ${status} geantwortet.`,
  unreachable: "Sie war nicht zu laden.",
  json: (why) => `Sie ist kein JSON (${why}).`,
  large: (most) => `Sie hat mehr als ${most} Bytes.`,
  value: (where, expected, actual) => `${where} ist ${actual}, erwartet: ${expected}.`,
  nothing: "nicht vorhanden",
  expected: {
    object: "ein Objekt {…}",
    text: "ein Text",
    bytes: "eine ganze Zahl von Bytes",
    link: "eine Adresse mit http oder https",
    list: (most) => `eine Liste von höchstens ${most} Modellen`,
    number: (min, max) => `eine Zahl von ${min} bis ${max}`,
    whole: (min, max) => `eine ganze Zahl von ${min} bis ${max}`,
    side: (min, max) => `ein Vielfaches von 8, von ${min} bis ${max}`,
  },
  twice: (where, other) => `${where} hat die Adresse von ${other}.`,
};

/** @type {typeof import("../en/models.js").models} */
export const models = { size, sampling, negative, shelf, catalogue };
