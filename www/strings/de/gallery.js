// @ts-check
/** German texts of the gallery, the queue, the prompt history and the tools of the form. */
import { pluralIn } from "../plural.js";

/** @typedef {typeof import("../en/gallery.js").gallery} Texts */

const plural = pluralIn("de");

/** @param {number} count */
const pictures = (count) => plural(count, { one: "1 Bild", other: `${count} Bilder` });
/** @param {number} unkept */
const notSaved = (unkept) =>
  plural(unkept, {
    one: "1 Bild ist nicht gespeichert und geht beim Schließen der Seite verloren.",
    other: `${unkept} Bilder sind nicht gespeichert und gehen beim Schließen der Seite verloren.`,
  });

/** @type {Texts["tools"]} */
const tools = {
  title: "Werkzeuge des Formulars",
  undo: "Rückgängig",
  undoTitle: "Letzte Änderung des Formulars rückgängig machen (Strg + Z)",
  redo: "Wiederholen",
  redoTitle: "Wiederholen (Strg + Umschalt + Z)",
  history: "Prompts…",
  historyTitle: "Prompts, die Sie schon benutzt haben",
  count: "Bilder",
  countTitle: "Wie viele Bilder ein Druck auf „Bild machen“ macht",
  seeds: "Seeds mehrerer Bilder",
  seedsNext: "Seeds +1",
  seedsRandom: "zufällige Seeds",
  notify: "Melden",
  notifyTitle: "Eine Benachrichtigung, wenn die Bilder fertig sind und der Tab im Hintergrund ist",
  notifyDenied:
    "Der Browser blockiert Benachrichtigungen dieser Seite. Seine Einstellungen erlauben sie.",
  shortcuts: "Tastenkürzel",
  shortcutsTitle: "Tastenkürzel (?)",
  addToQueue: "In die Warteschlange",
  finished: (count) =>
    plural(count, { one: "Ihr Bild ist fertig.", other: `${count} Bilder sind fertig.` }),
};

/** @type {Texts["seed"]} */
const seed = {
  locked: "Fest: jedes Bild bekommt denselben Seed.",
  once: "Dieser Seed einmal, danach ein neuer. „Fest“ behält ihn.",
};

/** @type {Texts["queue"]} */
const queue = {
  title: "Warteschlange",
  waiting: (count) => plural(count, { one: "1 Bild wartet", other: `${count} Bilder warten` }),
  left: (count) =>
    plural(count, {
      one: "1 Bild war nicht fertig, als seine Seite geschlossen wurde.",
      other: `${count} Bilder waren nicht fertig, als ihre Seite geschlossen wurde.`,
    }),
  stopped: "Angehalten.",
  failed: "Angehalten, weil das Modell nicht geladen werden konnte.",
  elsewhere: (count) =>
    plural(count, {
      one: "1 weiteres entsteht in einem anderen Tab.",
      other: `${count} weitere entstehen in anderen Tabs.`,
    }),
  continue: "Fortsetzen",
  pause: "Nach diesem Bild anhalten",
  clear: "Alle entfernen",
  making: "in Arbeit",
  comparison: "zwei Bilder, mit und ohne",
  wall: "neun Seeds, mit und ohne",
  up: (at) => `Nummer ${at} nach oben`,
  down: (at) => `Nummer ${at} nach unten`,
  remove: (at) => `Nummer ${at} entfernen`,
  again: "Noch einmal",
  crashed: "Die Engine ist bei diesem Bild dreimal stehen geblieben.",
  noPrompt: "(kein Prompt)",
};

/** @type {Texts["history"]} */
const history = {
  title: "Benutzte Prompts",
  filter: "Filter",
  none: "Noch keine. Prompts erscheinen hier, sobald Sie „Bild machen“ drücken.",
  noMatch: "Kein Prompt enthält alle diese Wörter.",
  use: "Benutzen",
  useLabel: (prompt) => `Benutzen: ${prompt}`,
  delete: "Löschen",
  deleteLabel: (prompt) => `Löschen: ${prompt}`,
  clear: "Alle löschen",
  close: "Schließen",
  negative: (negative) => `− ${negative}`,
  times: (times) => plural(times, { one: "einmal", other: `${times}-mal` }),
};

/** @type {Texts["shortcuts"]} */
const shortcuts = {
  title: "Tastenkürzel",
  close: "Schließen",
  everywhere: "Überall",
  inPrompts: "In einem Prompt, mit A1111s Klammern",
  inGallery: "In der Galerie",
  inNumbers: "In Seed, Schritte, Guidance-Wert und Größe",
  generate: "Bild machen, oder in die Warteschlange stellen",
  compare: "Mit und ohne negativen Prompt vergleichen",
  cancel: "Abbrechen",
  undo: "Änderung des Formulars rückgängig machen",
  redo: "Wiederholen",
  history: "Benutzte Prompts",
  sheet: "Diese Übersicht",
  stronger: "Auswahl oder Wort wiegt mehr",
  weaker: "Auswahl oder Wort wiegt weniger",
  move: "Nächstes Bild",
  ends: "Neuestes und ältestes Bild",
  restore: "Einstellungen des Bildes übernehmen",
  star: "Stern",
  download: "Herunterladen",
  copy: "Bild kopieren",
  delete: "Löschen",
  step: "Einen Schritt auf oder ab",
  leap: "Zehn Schritte auf oder ab",
  keys: {
    Control: "Strg",
    Shift: "Umschalt",
    Alt: "Alt",
    Enter: "Eingabe",
    Escape: "Esc",
    Delete: "Entf",
    Home: "Pos1",
    End: "Ende",
  },
};

/** @type {Texts} */
export const gallery = {
  title: "Galerie",
  hint: (count) => `${pictures(count)} dieser Sitzung. Ein Klick übernimmt die Einstellungen.`,
  keptHint: (count) =>
    `${pictures(count)}, in diesem Browser gespeichert. Ein Klick übernimmt die Einstellungen.`,
  negative: (negative) => `Negativer Prompt: ${negative}`,
  label: (prompt, negative, seed) =>
    `${prompt}${negative ? `; negativer Prompt: ${negative}` : ""}; Seed ${seed}`,
  selected: "Das gezeigte Bild",
  star: "Stern",
  download: "Herunterladen",
  copy: "Bild kopieren",
  delete: "Löschen",
  every: "Alle Bilder",
  filter: "Nur mit Stern",
  downloadAll: (count) => `ZIP von allen ${count}`,
  downloadStarred: (count) => `ZIP von ${count} mit Stern`,
  clear: "Alle ohne Stern löschen",
  undo: "Rückgängig",
  copied: "Bild kopiert.",
  packing: (count) =>
    plural(count, { one: "1 Bild wird gepackt…", other: `${count} Bilder werden gepackt…` }),
  packed: (count, missing) =>
    `${pictures(count)} gepackt.` +
    (missing ? ` Nur die Vorschau ist noch da: ${pictures(missing)}.` : ""),
  deleted: (count) => plural(count, { one: "Bild gelöscht.", other: `${count} Bilder gelöscht.` }),
  restored: (count) =>
    plural(count, { one: "Bild wiederhergestellt.", other: `${count} Bilder wiederhergestellt.` }),
  failed: (why) => `Das ging nicht: ${why}.`,
  onlyThumbnail: "Nur die Vorschau ist noch da. „Bild machen“ macht das Bild noch einmal.",
  restoredBusy: "Einstellungen übernommen. Das Bild in Arbeit bleibt im Blick.",
  problems: {
    full: (unkept) =>
      `Der Speicher des Browsers ist voll. ${notSaved(unkept)} Laden Sie herunter, was Sie ` +
      "brauchen, oder löschen Sie Bilder oder gespeicherte Modelle, um Platz zu schaffen.",
    blocked: (unkept) =>
      `Dieser Browser speichert nichts für diese Seite. ${notSaved(unkept)} Laden Sie ` +
      "herunter, was Sie brauchen.",
    newer: (unkept) =>
      `Ein anderer Tab hat eine neuere Version dieser Seite. ${notSaved(unkept)} Laden Sie ` +
      "herunter, was Sie brauchen, und dann die Seite neu.",
    failed: (unkept) =>
      `Der Speicher des Browsers funktioniert nicht. ${notSaved(unkept)} Laden Sie ` +
      "herunter, was Sie brauchen.",
  },
  tools,
  seed,
  queue,
  history,
  shortcuts,
};
