// @ts-check
/** English texts of the gallery, the queue, the prompt history and the tools of the form. */
import { pluralIn } from "../plural.js";

const plural = pluralIn("en");

/** @param {number} count */
const pictures = (count) => plural(count, { one: "1 picture", other: `${count} pictures` });
/** @param {number} unkept */
const notSaved = (unkept) =>
  plural(unkept, {
    one: "1 picture is not saved and will be gone when you close this page.",
    other: `${unkept} pictures are not saved and will be gone when you close this page.`,
  });

const tools = {
  title: "Tools of the form",
  undo: "Undo",
  undoTitle: "Undo the last change of the form (Ctrl + Z)",
  redo: "Redo",
  redoTitle: "Redo (Ctrl + Shift + Z)",
  history: "Prompts…",
  historyTitle: "Prompts you used before",
  count: "Pictures",
  countTitle: "How many pictures one press of Generate makes",
  seeds: "Seeds of several pictures",
  seedsNext: "seeds +1",
  seedsRandom: "random seeds",
  notify: "Notify me",
  notifyTitle: "A notification when the pictures are finished and this tab is in the background",
  notifyDenied: "The browser blocks notifications from this page. Its settings can allow them.",
  shortcuts: "Keyboard shortcuts",
  shortcutsTitle: "Keyboard shortcuts (?)",
  addToQueue: "Add to queue",
  finished: (/** @type {number} */ count) =>
    plural(count, { one: "Your picture is finished.", other: `${count} pictures are finished.` }),
};

const seed = {
  locked: "Locked: the same seed again for every picture.",
  once: "This seed once, then a new one. Lock it to keep it.",
};

const queue = {
  title: "Queue",
  waiting: (/** @type {number} */ count) => `${pictures(count)} waiting`,
  left: (/** @type {number} */ count) =>
    plural(count, {
      one: "1 picture was not finished when its page was closed.",
      other: `${count} pictures were not finished when their page was closed.`,
    }),
  stopped: "Paused.",
  failed: "Paused, because the model could not be loaded.",
  elsewhere: (/** @type {number} */ count) =>
    plural(count, {
      one: "1 more is made in another tab.",
      other: `${count} more are made in other tabs.`,
    }),
  continue: "Continue",
  pause: "Pause after this picture",
  clear: "Remove all",
  making: "in progress",
  comparison: "two pictures, with and without",
  wall: "nine seeds, with and without",
  up: (/** @type {number} */ at) => `Move number ${at} up`,
  down: (/** @type {number} */ at) => `Move number ${at} down`,
  remove: (/** @type {number} */ at) => `Remove number ${at}`,
  again: "Try again",
  crashed: "The engine stopped three times at this picture.",
  noPrompt: "(no prompt)",
};

const history = {
  title: "Prompts you used",
  filter: "Filter",
  none: "None yet. Prompts appear here once you press Generate.",
  noMatch: "No prompt has all these words.",
  use: "Use",
  useLabel: (/** @type {string} */ prompt) => `Use: ${prompt}`,
  delete: "Delete",
  deleteLabel: (/** @type {string} */ prompt) => `Delete: ${prompt}`,
  clear: "Delete all",
  close: "Close",
  negative: (/** @type {string} */ negative) => `− ${negative}`,
  times: (/** @type {number} */ times) => plural(times, { one: "once", other: `${times} times` }),
};

const shortcuts = {
  title: "Keyboard shortcuts",
  close: "Close",
  everywhere: "Everywhere",
  inPrompts: "In a prompt, with A1111’s brackets",
  inGallery: "In the gallery",
  inNumbers: "In Seed, Steps, Guidance scale and Size",
  generate: "Generate, or add to the queue",
  compare: "Compare with and without the negative prompt",
  cancel: "Cancel",
  undo: "Undo a change of the form",
  redo: "Redo",
  history: "Prompts you used",
  sheet: "This sheet",
  stronger: "The selection, or the word, weighs more",
  weaker: "The selection, or the word, weighs less",
  move: "Next picture",
  ends: "Newest and oldest picture",
  restore: "Restore the picture’s settings",
  star: "Star",
  download: "Download",
  copy: "Copy the image",
  delete: "Delete",
  step: "Up or down by one step",
  leap: "Up or down by ten steps",
  keys: {
    Control: "Ctrl",
    Shift: "Shift",
    Alt: "Alt",
    Enter: "Enter",
    Escape: "Esc",
    Delete: "Del",
    Home: "Home",
    End: "End",
  },
};

export const gallery = {
  title: "Gallery",
  hint: (/** @type {number} */ count) =>
    `${pictures(count)} of this session. Click one to restore its settings.`,
  keptHint: (/** @type {number} */ count) =>
    `${pictures(count)}, saved in this browser. Click one to restore its settings.`,
  negative: (/** @type {string} */ negative) => `Negative prompt: ${negative}`,
  label: (
    /** @type {string} */ prompt,
    /** @type {string} */ negative,
    /** @type {string} */ seed,
  ) => `${prompt}${negative ? `; negative prompt: ${negative}` : ""}; seed ${seed}`,
  selected: "The picture in view",
  star: "Star",
  download: "Download",
  copy: "Copy image",
  delete: "Delete",
  every: "All pictures",
  filter: "Starred only",
  downloadAll: (/** @type {number} */ count) => `ZIP of all ${count}`,
  downloadStarred: (/** @type {number} */ count) => `ZIP of ${count} starred`,
  clear: "Delete all without a star",
  undo: "Undo",
  copied: "Image copied.",
  packing: (/** @type {number} */ count) => `Packing ${pictures(count)}…`,
  packed: (/** @type {number} */ count, /** @type {number} */ missing) =>
    `${pictures(count)} packed.` +
    (missing ? ` Only thumbnails are left of ${pictures(missing)}.` : ""),
  deleted: (/** @type {number} */ count) =>
    plural(count, { one: "Picture deleted.", other: `${count} pictures deleted.` }),
  restored: (/** @type {number} */ count) =>
    plural(count, { one: "Picture restored.", other: `${count} pictures restored.` }),
  failed: (/** @type {string} */ why) => `That did not work: ${why}.`,
  onlyThumbnail: "Only the thumbnail is left. Generate makes the picture again.",
  restoredBusy: "Settings restored. The picture in progress stays in view.",
  problems: {
    full: (/** @type {number} */ unkept) =>
      `The browser’s storage is full. ${notSaved(unkept)} Download what you need, or delete ` +
      "pictures or downloaded models to make room.",
    blocked: (/** @type {number} */ unkept) =>
      `This browser stores nothing for this page. ${notSaved(unkept)} Download what you need.`,
    newer: (/** @type {number} */ unkept) =>
      `Another tab runs a newer version of this page. ${notSaved(unkept)} Download what you ` +
      "need, then reload.",
    failed: (/** @type {number} */ unkept) =>
      `The browser’s storage does not work. ${notSaved(unkept)} Download what you need.`,
  },
  tools,
  seed,
  queue,
  history,
  shortcuts,
};
