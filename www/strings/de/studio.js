// @ts-check
/** German texts of the form, the settings and the picture view. */
import { number } from "../number.js";
import { pluralIn } from "../plural.js";

const plural = pluralIn("de");

/** @param {number} value @param {number} digits after the point */
const fixed = (value, digits) =>
  number("de", value, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** @param {number} seconds */
const duration = (seconds) => {
  if (seconds < 1.5) return "etwa eine Sekunde";
  if (seconds < 90) return `etwa ${Math.round(seconds)} s`;
  return `etwa ${Math.round(seconds / 60)} min`;
};

const prompts = {
  prompt: "Prompt",
  promptHint: "was Sie wollen",
  promptExample: "Portrait photo of a man",
  negative: "Negativer Prompt",
  negativeHint: "was Sie nicht wollen",
  negativeExample: "mustache",
  tokens: (/** @type {number} */ count, /** @type {number} */ limit) =>
    `${count} / ${limit} Tokens`,
  long: (/** @type {number} */ limit, /** @type {number} */ parts, /** @type {string} */ end) =>
    `Langer Prompt: je ${limit} Tokens, also in ${parts} Abschnitte geteilt. ` +
    `Der erste endet vor „${end}“.`,
  noEffect: "Bei einem Guidance-Wert von 1 wirkt der negative Prompt nicht.",
  writeFirst: "Schreiben Sie hier, was Sie nicht wollen, und vergleichen Sie dann.",
};

const actions = {
  generate: "Bild machen",
  generateTitle: "Strg + Eingabe in einem Prompt",
  compare: "Vergleichen: mit und ohne negativen Prompt",
  compareTitle: "Zwei Bilder mit demselben Seed",
  cancel: "Abbrechen",
  cancelTitle: "Escape",
  stopNow: "Sofort beenden",
  progress: "Fortschritt",
};

const settings = {
  title: "Einstellungen",
  reset: "Zurücksetzen",
  resetGroup: (/** @type {string} */ title) => `Zurücksetzen: ${title}`,
  seed: "Seed",
  newSeed: "Neuer zufälliger Seed",
  lock: "Fest",
  lockSeed: "Seed festhalten",
  lockTitle: "Sonst bekommt jedes Bild einen neuen Seed",
  steps: "Schritte",
  guidance: "Guidance-Wert",
  sampler: "Sampler",
  samplerDefault: "Vorgabe des Modells",
  isDefault: (/** @type {string} */ name) => `${name} (Vorgabe)`,
  size: "Größe",
  width: "Breite",
  height: "Höhe",
  widthLabel: "Breite in Pixeln",
  heightLabel: "Höhe in Pixeln",
  pixels: "Pixel",
  device: "Gerät",
  auto: "Auto",
  gpu: "GPU",
  cpu: "CPU",
  model: "Modell",
  modelExample: "owner/name oder https://…",
  modelTitle:
    "owner/name oder owner/name@revision bei Hugging Face, oder die Adresse eines Ordners im " +
    "Aufbau von diffusers oder einer .safetensors-Datei",
  file: "Datei…",
  fileTitle: "Ein Checkpoint, LoRA, Embedding, VAE oder ein Bild; bleibt auf Ihrem Rechner",
  folder: "Ordner…",
  folderTitle: "Ein Ordner im Aufbau von diffusers; er bleibt auf Ihrer Festplatte",
  prediction: "Vorhersageart",
  predictionTitle: "Mit der falschen sind die Bilder Rauschen.",
  predictionAuto: "Auto",
  epsilon: "epsilon (die meisten)",
  v: "v (SD 2 bei 768)",
};

const invalid = {
  seed: (/** @type {bigint} */ most) => `Der Seed ist eine ganze Zahl von 0 bis ${most}.`,
  steps: (/** @type {number} */ most) => `Schritte sind eine ganze Zahl von 1 bis ${most}.`,
  guidance: (/** @type {number} */ most) =>
    `Der Guidance-Wert ist eine Zahl von 0 bis ${most}, zum Beispiel 7.5.`,
  width: (/** @type {number} */ multiple) => `Die Breite ist ein Vielfaches von ${multiple} Pixeln`,
  height: (/** @type {number} */ multiple) => `Die Höhe ist ein Vielfaches von ${multiple} Pixeln`,
  suchAs: (/** @type {number} */ pixels) => `, zum Beispiel ${pixels}`,
  outOfRange: (
    /** @type {string} */ value,
    /** @type {{min: number, max: number}} */ { min, max },
  ) => `„${value}“ ist hier nicht möglich: ${min} bis ${max}.`,
};

const picture = {
  stage: "Bild",
  empty: "Hier erscheint das erste Bild.",
  save: "Sichern",
  none: "Noch kein Bild",
  label: (/** @type {string} */ prompt, /** @type {string} */ negative) =>
    `Bild zu „${prompt}“, ${negative ? `negativer Prompt „${negative}“` : "kein negativer Prompt"}`,
  with: (/** @type {string} */ negative) => `Mit dem negativen Prompt „${negative}“`,
  without: "Ohne negativen Prompt",
  seed: (/** @type {string} */ seed) => `Seed ${seed}`,
  steps: (/** @type {string} */ steps) =>
    plural(Number(steps), { one: `${steps} Schritt`, other: `${steps} Schritte` }),
  guidance: (/** @type {string} */ scale) => `Guidance ${scale}`,
  seconds: (/** @type {number} */ seconds) => `${fixed(seconds, seconds < 10 ? 1 : 0)} s`,
  drop: "Ein Modell, ein LoRA, ein Embedding, einen VAE oder ein Bild mit Einstellungen ablegen",
};

const models = {
  title: "Gespeicherte Modelle",
  close: "Schließen",
  about: "In diesem Browser gespeicherte Modelle. Sie laden ohne Netz.",
  use: "Verwenden",
  delete: "Löschen",
  deleteAll: "Alle löschen",
  actOn: (/** @type {string} */ act, /** @type {string} */ name) => `${act}: ${name}`,
  deleted: (/** @type {string} */ name) => `${name} wurde gelöscht.`,
  allDeleted: "Alle Modelle wurden gelöscht.",
  none: "Noch keine.",
  total: (/** @type {string} */ size, /** @type {number} */ count) =>
    `${size} in ${plural(count, { one: "einem Modell", other: `${count} Modellen` })}.`,
  left: (/** @type {string} */ size) => ` ${size} sind für diese Seite im Browser noch frei.`,
  lasting: " Sie bleiben, bis Sie sie löschen.",
  evictable: " Der Browser kann sie löschen, wenn ihm der Speicherplatz ausgeht.",
  incomplete: "unvollständig",
  inUse: "in Gebrauch",
  bytes: (/** @type {number} */ bytes) =>
    bytes < 1e9 ? `${fixed(bytes / 1e6, bytes < 1e8 ? 1 : 0)} MB` : `${fixed(bytes / 1e9, 2)} GB`,
};

const status = {
  noWebAssembly:
    "Darkroom berechnet die Bilder in Ihrem Browser. Es braucht WebAssembly, das hier fehlt.",
  ready: "Bereit.",
  readyOn: (/** @type {string} */ device) => `Bereit. Bilder entstehen auf: ${device}.`,
  byWebGpu: ", über WebGPU.",
  encoding: "Die Prompts werden kodiert",
  making: "Das Bild entsteht.",
  stopping: "Hält nach diesem Schritt an…",
  cancelled: "Abgebrochen.",
  finished: (/** @type {number} */ seconds, /** @type {string} */ device) =>
    `Fertig nach ${fixed(seconds, 1)} s auf: ${device}.`,
  restored: (/** @type {string} */ name) => `Einstellungen von ${name} wiederhergestellt.`,
  noParameters: (/** @type {string} */ name) =>
    `${name} enthält keine Angaben zur Entstehung, die Darkroom lesen kann.`,
  needs: (/** @type {string} */ size, /** @type {string} */ picture) =>
    `Braucht ${size} Speicher bei ${picture}.`,
  inTiles: ", in Kacheln dekodiert",
  saved: "für die Nutzung ohne Netz gespeichert",
  notSaved: (/** @type {string} */ why) => `nicht gespeichert: ${why}`,
  onDisk: "von Ihrer Festplatte gelesen",
  predictionType: (/** @type {string} */ type) => `Vorhersageart: ${type}.`,
  deletedModel: (/** @type {string} */ size) =>
    `${size}, aus dem Browser gelöscht; in diesem Tab noch geladen.`,
};

const progress = {
  device: "Sucht eine GPU",
  engine: "Startet das Rechenwerk",
  test: "Prüft das Gerät",
  thenPicture: ", danach das Bild",
  loading: "Lädt das Modell",
  loadingBytes: (/** @type {number} */ done, /** @type {number} */ total) => {
    const megabytes = (/** @type {number} */ bytes) => fixed(bytes / 1e6, bytes < 1e8 ? 1 : 0);
    return `Lädt das Modell · ${megabytes(done)} von ${megabytes(total)} MB`;
  },
  picture: (/** @type {number} */ at, /** @type {number} */ count) => `Bild ${at} von ${count} · `,
  developing: "Entwickelt",
  step: (/** @type {number} */ step, /** @type {number} */ steps) => `Schritt ${step} von ${steps}`,
  call: (/** @type {number} */ call, /** @type {number} */ calls) =>
    `, Aufruf ${call} von ${calls}`,
  left: (/** @type {number} */ seconds) => ` · noch ${duration(seconds)}`,
  halfway: "Die Hälfte ist geschafft.",
  engineBytes: (/** @type {number} */ done, /** @type {number} */ total) =>
    `Lädt das Rechenwerk · ${fixed(done / 1e6, 1)} von ${fixed(total / 1e6, 1)} MB`,
};

/** @type {typeof import("../en/studio.js").studio} */
export const studio = { prompts, actions, settings, invalid, picture, models, status, progress };
