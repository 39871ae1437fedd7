// @ts-check
/** German texts of the prompt language and of the sets of prompts. */
import { pluralIn } from "../plural.js";

const plural = pluralIn("de");

/** @type {typeof import("../en/library.js").library.language} */
const language = {
  title: "Klammern haben eine Bedeutung (A1111)",
  about: "(Wort:1.2) wiegt mehr, [vorher:nachher:0.5] wechselt zur Hälfte, BREAK beginnt neu.",
  emphasis: "Gewichte",
  emphasisTitle: "Anwendung von Gewichten wie (Wort:1.2)",
  original: "wie A1111 von sich aus",
  noNorm: "ohne den Mittelwert zu erhalten",
  ignore: "gelesen, nicht angewandt",
  offer: "Dieser Prompt hat Gewichte. Sollen sie wie bei A1111 gelesen werden?",
  offerKeys: "Gewichte gehören zur Prompt-Sprache von A1111. Einschalten?",
  yes: "Ja",
  no: "Nein, einfacher Text",
  weaker: "Schwächer",
  stronger: "Stärker",
  more: (count) => plural(count, { one: "Und 1 weitere.", other: `Und ${count} weitere.` }),
  problems: {
    "unmatched-open": (sign) =>
      `„${sign}“ wird nicht geschlossen und gewichtet alles, was folgt. Als Zeichen: ` +
      `„\\${sign}“.`,
    "unmatched-close": (sign) => `„${sign}“ wurde nicht geöffnet und wird als Zeichen gelesen.`,
    "weight-outside-brackets": (sign) =>
      `„${sign}“ gehört zu keiner Klammer und wird als Text gelesen.`,
    "unreadable-weight": (sign) => `„${sign}“ ist keine Zahl und wird als Text gelesen.`,
    "break-in-brackets": () => "BREAK in Klammern wird als Wort gelesen.",
    "unreadable-tag": (sign) => `Das Gewicht in „${sign}“ ist keine Zahl: es wird ausgelassen.`,
    "unknown-tag": (sign) => `„${sign}“ ist hier nicht bekannt und wird ausgelassen.`,
    "schedule-off": (sign) =>
      `Wegen „${sign}“ werden [vorher:nachher:wann] und [a|b] hier als Text gelesen.`,
  },
};

/** @type {typeof import("../en/library.js").library.sets} */
const sets = {
  open: "Sätze…",
  openTitle: "Negative Prompts, die Sie unter einem Namen behalten",
  title: "Prompt-Sätze",
  close: "Schließen",
  name: "Name",
  save: "Jetzige Prompts speichern",
  nameFirst: "Schreiben Sie erst einen Namen.",
  nothing: "Beide Prompts sind leer.",
  taken: (name) => `Es gibt schon einen Satz „${name}“.`,
  saved: (name) => `Gespeichert: ${name}`,
  memory: "Der Browser behält hier nichts: Diese Sätze sind weg, wenn Sie die Seite schließen.",
  own: "Ihre Sätze",
  none: "Noch keine. Ein Satz ist ein negativer Prompt, ein Prompt oder beides.",
  append: "Anfügen",
  appendLabel: (name) => `An die Prompts anfügen: ${name}`,
  replace: "Ersetzen",
  replaceLabel: (name) => `Die Prompts ersetzen durch: ${name}`,
  rename: "Umbenennen",
  renameLabel: (name) => `Umbenennen: ${name}`,
  renameField: "Neuer Name",
  renamed: (name) => `Umbenannt: ${name}`,
  keep: "Übernehmen",
  delete: "Löschen",
  deleteLabel: (name) => `Löschen: ${name}`,
  deleted: (name) => `Gelöscht: ${name}`,
  undo: "Rückgängig",
  negative: (text) => `− ${text}`,
  starters: "Für den Anfang",
  startersAbout:
    "Lange Listen, die von Seite zu Seite kopiert werden, bewirken oft nichts: Ein Modell kennt " +
    "nur, womit seine Trainingsbilder beschriftet waren. Vergleichen zeigt, was ein negativer " +
    "Prompt bei einem Seed ändert.",
  starterNames: {
    soft: "Nicht verschwommen",
    writing: "Keine Schrift",
    drawing: "Keine Zeichnung",
    crowd: "Eine Person",
  },
  import: "styles.csv einlesen…",
  export: "Als styles.csv speichern",
  csv: {
    imported: (count) =>
      plural(count, { one: "1 Satz eingelesen.", other: `${count} Sätze eingelesen.` }),
    same: (count) => plural(count, { one: "1 war schon da.", other: `${count} waren schon da.` }),
    renamed: (name, free) =>
      `„${name}“ hat hier einen anderen Text: der eingelesene heißt „${free}“.`,
    line: (line, text) => `Zeile ${line}: ${text}`,
    unclosed: "ein Anführungszeichen wird nie geschlossen; ab hier wird nichts gelesen.",
    nameless: "kein Name; ausgelassen.",
    columns: "mehr Werte als Spalten; die letzten sind ausgelassen.",
    repeated: (name) => `„${name}“ noch einmal; der spätere gilt.`,
    empty: "Die Datei ist leer.",
    header: "Das ist keine styles.csv: Ihre erste Zeile nennt keine Spalten „name“ und „prompt“.",
    tooLarge: (megabytes) => `Die Datei hat mehr als ${megabytes} MB.`,
  },
};

export const library = { language, sets };
