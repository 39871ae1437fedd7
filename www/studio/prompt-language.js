// @ts-check
/**
 * A1111's prompt language in the form: marks in the prompts, weights by keys or buttons, and the
 * offer to read brackets that a prompt seems to mean.
 */
import { strings } from "../strings/index.js";
import { editAttention } from "./edit-attention.js";
import { PromptMarks } from "./prompt-marks.js";
import { fieldName } from "./settings.js";
import { partOf } from "./status-view.js";

/** @typedef {import("./form.js").SettingsForm} SettingsForm */
/** @typedef {import("./prompt-note.js").PromptField} PromptField */

/** @type {readonly PromptField[]} */
export const PROMPT_FIELDS = ["prompt", "negative_prompt"];

/** Signs of the language that plain texts hardly have. */
const WEIGHTED =
  /\([^()]*:\s*[+-]?\d*\.?\d+\s*\)|(?<!\\)\(\(|(?<!\\)\[\[|\[[^[\]]*:[^[\]]*\d\s*\]|<lora:\w/;

/** Tells if a prompt seems to be written in A1111's language. @param {string} text */
export const seemsWeighted = (text) => WEIGHTED.test(text);

export class PromptLanguage {
  #root;
  #form;
  #changed;
  /** @type {Map<PromptField, PromptMarks>} */ #marks = new Map();
  /** The visitor wants brackets to be text. */ #refused = false;
  /** The offer is an answer to a key. */ #asked = false;
  /** The last pointer on a prompt was a finger. */ #touched = false;

  /**
   * @param {ShadowRoot} root
   * @param {SettingsForm} form
   * @param {() => void} changed the form was filled
   */
  constructor(root, form, changed) {
    this.#root = root;
    this.#form = form;
    this.#changed = changed;
    for (const field of PROMPT_FIELDS) {
      const text = this.#field(field);
      const layer = root.querySelector(`[data-marks=${fieldName(field)}]`);
      this.#marks.set(field, new PromptMarks(text, /** @type {HTMLElement} */ (layer)));
      this.#listen(text);
    }
    root.querySelector(".prompts")?.addEventListener("click", (event) => this.#click(event));
    this.review();
  }

  /** @param {PromptField} field */
  #field(field) {
    return /** @type {HTMLTextAreaElement} */ (
      this.#root.querySelector(`textarea[name=${fieldName(field)}]`)
    );
  }

  get #isOn() {
    return this.#form.settings.prompt_syntax === "a1111";
  }

  /**
   * Shows what the engine reads in a prompt.
   * @param {PromptField} field
   * @param {string} text
   * @param {import("../engine/protocol.js").PromptLayout} layout
   */
  show(field, text, layout) {
    this.#marks.get(field)?.show(text, layout);
  }

  /** Follows a change of the form. */
  review() {
    for (const marks of this.#marks.values()) marks.follow();
    const { prompt, negative_prompt } = this.#form.settings;
    const seems = seemsWeighted(prompt) || seemsWeighted(negative_prompt);
    if (this.#isOn || (!seems && !this.#asked)) this.#refused = false;
    if (this.#isOn) this.#asked = false;
    const offer = partOf(this.#root, "brackets-offer");
    const t = strings().library.language;
    const shown = !this.#isOn && (this.#asked || (seems && !this.#refused));
    const text = /** @type {HTMLElement} */ (offer.querySelector("p"));
    text.textContent = shown ? (seems ? t.offer : t.offerKeys) : "";
    offer.hidden = !shown;
    if (!this.#isOn) this.#hideButtons();
  }

  /** @param {Event} event */
  #click({ target }) {
    const { act } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
    if (act === "brackets-yes" || act === "brackets-no") {
      this.#refused = act === "brackets-no";
      this.#asked = false;
      if (act === "brackets-yes") this.#form.fill({ prompt_syntax: "a1111" });
      // The buttons go, and the focus with them.
      this.#field("prompt").focus();
      if (act === "brackets-yes") this.#changed();
      this.review();
    }
    const field = /** @type {Element} */ (target).closest(".paper")?.querySelector("textarea");
    if ((act === "weaker" || act === "stronger") && field) this.#weigh(field, act === "stronger");
  }

  /** @param {HTMLTextAreaElement} field */
  #listen(field) {
    field.addEventListener("keydown", (event) => {
      const { key, ctrlKey, metaKey, altKey, shiftKey, isComposing } = event;
      if (altKey || shiftKey || isComposing || ctrlKey === metaKey) return;
      if (key !== "ArrowUp" && key !== "ArrowDown") return;
      event.preventDefault();
      if (this.#isOn) return this.#weigh(field, key === "ArrowUp");
      this.#asked = true;
      this.review();
    });
    field.addEventListener("pointerdown", ({ pointerType }) => {
      this.#touched = pointerType === "touch";
    });
    for (const event of ["select", "selectionchange", "keyup", "pointerup", "blur"])
      field.addEventListener(event, () => this.#showButtons(field));
    // The buttons leave the focus and the selection where they are.
    const buttons = field.parentElement?.querySelector("[data-part=weigh]");
    buttons?.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  /** @param {HTMLTextAreaElement} field */
  #showButtons(field) {
    const selects = field.selectionStart !== field.selectionEnd;
    const shown = this.#touched && this.#isOn && selects && this.#root.activeElement === field;
    const buttons = field.parentElement?.querySelector("[data-part=weigh]");
    buttons?.toggleAttribute("hidden", !shown);
  }

  #hideButtons() {
    for (const field of PROMPT_FIELDS)
      this.#field(field)
        .parentElement?.querySelector("[data-part=weigh]")
        ?.setAttribute("hidden", "");
  }

  /**
   * Changes the weight of the selection as one step of the browser's undo.
   * @param {HTMLTextAreaElement} field
   * @param {boolean} up
   */
  #weigh(field, up) {
    const { value, selectionStart, selectionEnd } = field;
    const edit = editAttention(value, selectionStart, selectionEnd, up);
    if (!edit) return;
    field.focus();
    field.setSelectionRange(edit.from, edit.to);
    // The only way by which the browser's own undo knows of it.
    const done = document.execCommand("insertText", false, edit.insert);
    if (!done || field.value === value) {
      field.setRangeText(edit.insert, edit.from, edit.to);
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    }
    field.setSelectionRange(edit.start, edit.end);
  }
}
