// @ts-check
/** Tools above the form's actions: undo and redo, number of pictures, notifications. */
import { strings } from "../strings/index.js";
import { partOf } from "./status-view.js";

/** @typedef {import("./notify.js").Notifier} Notifier */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./undo.js").UndoHistory} UndoHistory */

const PICTURES_AT_MOST = 100;

export class FormTools {
  #root;
  #notifier;
  #refill;
  #undo;
  #moving = false;
  /** One picture follows the other. */ #forever = false;

  /**
   * @param {ShadowRoot} root
   * @param {UndoHistory} undo
   * @param {Notifier | null} notifier null: the element is not on a page of its own
   * @param {(settings: Settings) => void} refill fills the form
   */
  constructor(root, undo, notifier, refill) {
    this.#root = root;
    this.#undo = undo;
    this.#notifier = notifier;
    this.#refill = refill;
    this.#count.addEventListener("input", () => this.render());
    this.render();
  }

  get #count() {
    return partOf(this.#root, "count", HTMLInputElement);
  }

  /** Pictures that one press of Generate makes. */
  get count() {
    const count = Math.floor(Number(this.#count.value));
    return Math.min(PICTURES_AT_MOST, Math.max(1, count || 1));
  }

  /** Seeds of several pictures are random ones; else each is the last one plus 1. */
  get random() {
    return partOf(this.#root, "seeds", HTMLSelectElement).value === "random";
  }

  /** Shows the state of "Forever". @param {import("./forever.js").Forever} forever */
  showForever({ on, text }) {
    this.#forever = on;
    this.#button("forever").ariaPressed = String(on);
    const note = partOf(this.#root, "forever");
    if (note.textContent !== text) note.textContent = text;
    this.render();
  }

  /** Remembers a change of the form. @param {Settings} settings @param {Field} [field] typed in */
  note(settings, field) {
    if (!this.#moving) this.#undo.note(settings, field);
  }

  undo() {
    this.#move(this.#undo.undo());
  }

  redo() {
    this.#move(this.#undo.redo());
  }

  /** @param {Settings | null} settings */
  #move(settings) {
    if (!settings) return;
    this.#moving = true;
    this.#refill(settings);
    this.#moving = false;
  }

  async notify() {
    const notifier = this.#notifier;
    if (!notifier) return;
    const done = await notifier.toggle();
    const note = done ? "" : strings().gallery.tools.notifyDenied;
    partOf(this.#root, "tools-note").textContent = note;
    this.render();
  }

  render() {
    this.#button("undo").disabled = !this.#undo.canUndo;
    this.#button("redo").disabled = !this.#undo.canRedo;
    partOf(this.#root, "seeds", HTMLSelectElement).disabled = this.count === 1 && !this.#forever;
    const notify = this.#button("notify");
    notify.hidden = !this.#notifier?.possible;
    notify.ariaPressed = String(this.#notifier?.on ?? false);
  }

  /** @param {string} act */
  #button(act) {
    return /** @type {HTMLButtonElement} */ (this.#root.querySelector(`[data-act=${act}]`));
  }
}
