// @ts-check
/** English texts of the prompt language and of the sets of prompts. */
import { pluralIn } from "../plural.js";

const plural = pluralIn("en");

const language = {
  title: "Brackets have a meaning (A1111)",
  about: "(word:1.2) weighs more, [from:to:0.5] changes halfway, BREAK begins a new chunk.",
  emphasis: "Weights",
  emphasisTitle: "Application of weights such as (word:1.2)",
  original: "as A1111 by default",
  noNorm: "without restoring the mean",
  ignore: "read, but not applied",
  offer: "This prompt uses weights. Read them as A1111 does?",
  offerKeys: "Weights need the prompt language of A1111. Switch it on?",
  yes: "Yes",
  no: "No, plain text",
  weaker: "Weaker",
  stronger: "Stronger",
  more: (/** @type {number} */ count) => plural(count, { one: "1 more.", other: `${count} more.` }),
  problems: {
    "unmatched-open": (/** @type {string} */ sign) =>
      `“${sign}” is not closed: it gives weight to all that follows. As a sign: “\\${sign}”.`,
    "unmatched-close": (/** @type {string} */ sign) =>
      `“${sign}” was not opened: it is read as a sign.`,
    "weight-outside-brackets": (/** @type {string} */ sign) =>
      `“${sign}” belongs to no bracket: it is read as text.`,
    "unreadable-weight": (/** @type {string} */ sign) =>
      `“${sign}” is not a number: it is read as text.`,
    "break-in-brackets": () => "BREAK within brackets is read as a word.",
    "unreadable-tag": (/** @type {string} */ sign) =>
      `The weight in “${sign}” is not a number: the tag is left out.`,
    "unknown-tag": (/** @type {string} */ sign) =>
      `The tag “${sign}” is not supported: it is left out.`,
    "schedule-off": (/** @type {string} */ sign) =>
      `Because of “${sign}”, [from:to:when] and [a|b] are read as text here.`,
  },
};

const sets = {
  open: "Sets…",
  openTitle: "Negative prompts that you keep under a name",
  title: "Sets of prompts",
  close: "Close",
  name: "Name",
  save: "Save the present prompts",
  nameFirst: "Write a name first.",
  nothing: "Both prompts are empty.",
  taken: (/** @type {string} */ name) => `There is a set “${name}” already.`,
  saved: (/** @type {string} */ name) => `Saved: ${name}`,
  memory: "The browser keeps nothing here: these sets are gone when you close this page.",
  own: "Your sets",
  none: "None yet. A set is a negative prompt, a prompt, or both.",
  append: "Add",
  appendLabel: (/** @type {string} */ name) => `Add to the prompts: ${name}`,
  replace: "Replace",
  replaceLabel: (/** @type {string} */ name) => `Replace the prompts by: ${name}`,
  rename: "Rename",
  renameLabel: (/** @type {string} */ name) => `Rename: ${name}`,
  renameField: "New name",
  renamed: (/** @type {string} */ name) => `Renamed: ${name}`,
  keep: "Keep",
  delete: "Delete",
  deleteLabel: (/** @type {string} */ name) => `Delete: ${name}`,
  deleted: (/** @type {string} */ name) => `Deleted: ${name}`,
  undo: "Undo",
  negative: (/** @type {string} */ text) => `− ${text}`,
  starters: "To begin with",
  startersAbout:
    "Long lists that are copied from page to page often do nothing: a model knows only what its " +
    "training pictures were labelled with. Compare shows what a negative prompt changes at a seed.",
  starterNames: {
    soft: "Not blurred",
    writing: "No writing",
    drawing: "No drawing",
    crowd: "One person",
  },
  import: "Import styles.csv…",
  export: "Export styles.csv",
  csv: {
    imported: (/** @type {number} */ count) =>
      plural(count, { one: "1 set imported.", other: `${count} sets imported.` }),
    same: (/** @type {number} */ count) =>
      plural(count, { one: "1 was there already.", other: `${count} were there already.` }),
    renamed: (/** @type {string} */ name, /** @type {string} */ free) =>
      `“${name}” has another text here: the imported one is “${free}”.`,
    line: (/** @type {number} */ line, /** @type {string} */ text) => `Line ${line}: ${text}`,
    unclosed: "a quotation mark is never closed; nothing is read from here on.",
    nameless: "no name; left out.",
    columns: "more values than columns; the last ones are left out.",
    repeated: (/** @type {string} */ name) => `“${name}” once more; the later one holds.`,
    empty: "The file is empty.",
    header: "This is no styles.csv: its first line names no columns “name” and “prompt”.",
    tooLarge: (/** @type {number} */ megabytes) => `The file has more than ${megabytes} MB.`,
  },
};

export const library = { language, sets };
