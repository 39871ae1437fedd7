// @ts-check
/**
 * Undo and redo of the form. Typing in one field is one step until the visitor pauses, changes
 * another field, or something else fills the form.
 */

/** @typedef {import("./settings.js").Settings} Settings */

/** A pause in typing that ends a step. */
const PAUSE_MS = 1000;
/** Steps beyond this number are forgotten, the oldest first. */
const STEPS_AT_MOST = 200;

export class UndoHistory {
  /** @type {Settings[]} */ #past = [];
  /** @type {Settings[]} */ #future = [];
  /** @type {Settings | null} */ #now = null;
  /** The field that was typed in last; empty: the form was filled. */ #field = "";
  #typedAt = -Infinity;
  #onChange;

  /** @param {() => void} [onChange] `canUndo` or `canRedo` may have changed */
  constructor(onChange = () => {}) {
    this.#onChange = onChange;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** The last change was no typing, so a text field's own undo does not know it. */
  get filled() {
    return this.#field === "";
  }

  /**
   * Remembers a change of the form.
   * @param {Settings} settings as they are now
   * @param {string} [field] the one that was typed in; absent: the form was filled
   * @param {number} [time] milliseconds
   */
  note(settings, field = "", time = performance.now()) {
    const before = this.#now;
    if (before && same(before, settings)) return;
    const goesOn =
      field !== "" && field === this.#field && time - this.#typedAt < PAUSE_MS && this.canUndo;
    if (before && !goesOn) this.#past.push(before);
    if (this.#past.length > STEPS_AT_MOST) this.#past.shift();
    this.#now = settings;
    this.#future = [];
    this.#field = field;
    this.#typedAt = time;
    this.#onChange();
  }

  /**
   * Takes over a change that is no step: the seed of the next picture of a long series.
   * @param {Settings} settings as they are now
   */
  follow(settings) {
    if (this.#now) this.#now = settings;
  }

  /** @returns {Settings | null} the settings before the last step; null: there is none */
  undo() {
    return this.#move(this.#past, this.#future);
  }

  /** @returns {Settings | null} the settings before the last undo; null: there is none */
  redo() {
    return this.#move(this.#future, this.#past);
  }

  /** @param {Settings[]} from @param {Settings[]} to */
  #move(from, to) {
    const next = from.pop();
    if (!next || !this.#now) return null;
    to.push(this.#now);
    this.#now = next;
    this.#field = "";
    this.#onChange();
    return next;
  }
}

/** @param {Settings} a @param {Settings} b */
const same = (a, b) =>
  /** @type {(keyof Settings)[]} */ (Object.keys(a)).every((field) => a[field] === b[field]);
