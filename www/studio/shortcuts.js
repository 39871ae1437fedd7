// @ts-check
/** Keyboard shortcuts: one table of them, the sheet that lists it, and arrow keys in numbers. */
import { strings } from "../strings/index.js";
import { ADVANCED, limits } from "./advanced-settings.js";

/** @typedef {import("./settings.js").Field} Field */

/**
 * All shortcuts, by the place where they work. Each is a list of alternatives with keys joined by
 * "+", as the sheet shows them. `does` is a key of the strings' table.
 */
export const SHORTCUTS = /** @type {const} */ ({
  everywhere: [
    { keys: ["Control+Enter"], does: "generate" },
    { keys: ["Control+Shift+Enter"], does: "compare" },
    { keys: ["Escape"], does: "cancel" },
    { keys: ["Control+Z"], does: "undo" },
    { keys: ["Control+Shift+Z", "Control+Y"], does: "redo" },
    { keys: ["Alt+H"], does: "history" },
    { keys: ["?"], does: "sheet" },
  ],
  inPrompts: [
    { keys: ["Control+↑"], does: "stronger" },
    { keys: ["Control+↓"], does: "weaker" },
  ],
  inGallery: [
    { keys: ["←", "→", "↑", "↓"], does: "move" },
    { keys: ["Home", "End"], does: "ends" },
    { keys: ["Enter"], does: "restore" },
    { keys: ["S"], does: "star" },
    { keys: ["D"], does: "download" },
    { keys: ["C"], does: "copy" },
    { keys: ["Delete"], does: "delete" },
  ],
  inNumbers: [
    { keys: ["↑", "↓"], does: "step" },
    { keys: ["Shift+↑", "Shift+↓"], does: "leap" },
  ],
});

/** @typedef {typeof SHORTCUTS.everywhere[number]["does"]} Command */

/** Fields in which the browser undoes typing by itself, and in which letters are text. */
const TEXT = "textarea, input:not([type=checkbox], [type=radio], [type=range]), [contenteditable]";

/**
 * The command of a key press; null: none.
 * @param {KeyboardEvent} event
 * @returns {Command | null}
 */
export function commandOf(event) {
  const { key, shiftKey, altKey } = event;
  const control = event.ctrlKey || event.metaKey;
  if (event.isComposing) return null;
  if (altKey) return !control && event.code === "KeyH" ? "history" : null;
  if (key === "Enter" && control) return shiftKey ? "compare" : "generate";
  if (control && key.toLowerCase() === "z") return shiftKey ? "redo" : "undo";
  if (control && key.toLowerCase() === "y") return "redo";
  if (control) return null;
  if (key === "Escape") return "cancel";
  return key === "?" && !isText(event) ? "sheet" : null;
}

/** Tells if a key goes into a text field. @param {Event} event */
export function isText(event) {
  const [target] = event.composedPath();
  return target instanceof Element && target.matches(TEXT);
}

/**
 * Tells if a key press belongs to an element: its own, or one outside of every control on the
 * element's own page.
 * @param {KeyboardEvent} event
 * @param {HTMLElement} element
 * @param {boolean} ownPage
 */
export function belongsTo(event, element, ownPage) {
  const [target] = event.composedPath();
  if (event.composedPath().includes(element)) return true;
  return ownPage && !(target instanceof Element && target.matches(TEXT));
}

/** Steps of the arrow keys in a number. @type {Partial<Record<Field, number>>} */
const STEPS = {
  seed: 1,
  steps: 1,
  guidance_scale: 0.5,
  width: 8,
  height: 8,
  negative_strength: 0.05,
  guidance_min_sigma: 0.1,
  guidance_stop: 0.001,
  nag_scale: 0.5,
  nag_tau: 0.5,
  nag_alpha: 0.05,
};
const LEAP = 10;

/**
 * The value of a number field after an arrow key; null: the key means nothing there.
 * @param {Field} field
 * @param {string} value
 * @param {{key: string, shiftKey: boolean}} event
 * @param {number} multiple of the model's sizes
 * @returns {string | null}
 */
export function stepped(field, value, { key, shiftKey }, multiple) {
  const sign = { ArrowUp: 1, ArrowDown: -1 }[key];
  const isSize = field === "width" || field === "height";
  const step = isSize ? multiple : STEPS[field];
  if (!sign || !step || value.trim() === "") return null;
  const times = shiftKey ? LEAP : 1;
  if (field === "seed") {
    if (!/^\d+$/.test(value)) return null;
    const next = BigInt(value) + BigInt(sign * times);
    return String(next < 0n ? 0n : next);
  }
  const at = Number(value) / step;
  if (!Number.isFinite(at)) return null;
  // To the next multiple of the step: 7.3 is followed by 7.5, not by 7.8.
  const next = sign > 0 ? Math.floor(at + 1e-9) + times : Math.ceil(at - 1e-9) - times;
  const { min, max } = limitsOf(field);
  const least = isSize ? multiple : min;
  // Multiples of 0.05 are not exact in floating point.
  const exact = Number((next * step).toFixed(6));
  return String(Math.min(max, Math.max(least, exact)));
}

/** @param {Field} field @returns {{min: number, max: number}} */
const limitsOf = (field) =>
  field in ADVANCED
    ? limits(/** @type {import("./advanced-settings.js").AdvancedField} */ (field))
    : { min: field === "guidance_scale" ? 0 : 1, max: Infinity };

/** Dialog that lists the shortcuts. */
export class ShortcutSheet {
  #dialog;

  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
    dialog.addEventListener("click", ({ target }) => {
      const { act } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
      if (act === "close" || target === dialog) dialog.close();
    });
  }

  open() {
    const t = strings().gallery.shortcuts;
    const groups = /** @type {(keyof typeof SHORTCUTS)[]} */ (Object.keys(SHORTCUTS));
    const sections = groups.flatMap((group) => {
      const title = document.createElement("h3");
      title.textContent = t[group];
      const table = document.createElement("dl");
      for (const { keys, does } of SHORTCUTS[group]) {
        const what = document.createElement("dd");
        what.textContent = t[does];
        table.append(keyList(keys), what);
      }
      return [title, table];
    });
    this.#dialog.querySelector("[data-part=shortcut-list]")?.replaceChildren(...sections);
    if (!this.#dialog.open) this.#dialog.showModal();
  }
}

/** @param {readonly string[]} alternatives */
function keyList(alternatives) {
  /** @type {Record<string, string>} */
  const names = strings().gallery.shortcuts.keys;
  const term = document.createElement("dt");
  for (const [at, keys] of alternatives.entries()) {
    if (at > 0) term.append(" ");
    for (const [nth, key] of keys.split("+").entries()) {
      const shown = document.createElement("kbd");
      shown.textContent = names[key] ?? key;
      term.append(...(nth > 0 ? ["+"] : []), shown);
    }
  }
  return term;
}
