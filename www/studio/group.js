// @ts-check
/**
 * Groups of advanced settings: folded parts of the settings that remember their state. Each group
 * says in its line what differs from neutral, and resets it. A group with many fields is filled
 * when a visitor opens it or a setting of it is in use. Until then the form has hidden fields.
 */
import { setHtml } from "../base/trusted.js";
import { strings } from "../strings/index.js";
import { ADVANCED_DEFAULTS } from "./advanced-settings.js";
import { rememberFold } from "./fold.js";
import { partOf } from "./status-view.js";

/** @typedef {import("./advanced-settings.js").AdvancedField} AdvancedField */
/** @typedef {import("./form.js").Review} Review */

/**
 * Contents of a group.
 * @typedef {object} Panel
 * @property {(review: Review) => string} summary what differs from neutral, in a few words
 * @property {() => string} [template] HTML for a group that the form's template leaves empty
 * @property {(body: HTMLElement, form: HTMLFormElement) => void} [attach] begins to listen
 * @property {(body: HTMLElement, review: Review) => void} [render] after every change of the form
 */

/**
 * HTML of a group. Its parts are found by its name: `name-fold`, `name-body`.
 * @param {string} name
 * @param {string} title
 * @param {string} [body] HTML; empty: the group's panel has it
 */
export const groupTemplate = (name, title, body = "") => `
  <div class="group">
    <details class="fold" data-part="${name}-fold">
      <summary part="summary"><span class="group-title">${title}</span
        > <span class="group-set" data-part="${name}-set"></span></summary>
      <div class="settings" data-part="${name}-body">${body}</div>
    </details>
    <button type="button" class="plain" data-part="${name}-reset" hidden
      aria-label="${strings().studio.settings.resetGroup(title)}"
      >${strings().studio.settings.reset}</button>
  </div>`;

/**
 * Tells if one of these settings is not neutral.
 * @param {readonly AdvancedField[]} fields
 * @param {import("./settings.js").Settings} settings
 */
export const isSet = (fields, settings) =>
  fields.some((field) => settings[field] !== ADVANCED_DEFAULTS[field]);

export class SettingGroup {
  #form;
  #name;
  #fields;
  #load;
  /** @type {Promise<Panel> | null} */ #loading = null;
  /** @type {Panel | null} */ #panel = null;
  /** @type {Review | null} */ #last = null;

  /**
   * @param {HTMLFormElement} form with the group's HTML
   * @param {string} name
   * @param {readonly AdvancedField[]} fields
   * @param {() => Promise<Panel>} load reads the group's panel when it is needed
   */
  constructor(form, name, fields, load) {
    this.#form = form;
    this.#name = name;
    this.#fields = fields;
    this.#load = load;
    const fold = partOf(form, `${name}-fold`, HTMLDetailsElement);
    rememberFold(fold, { key: `darkroom-${name}-open`, open: false });
    fold.addEventListener("toggle", () => fold.open && void this.#need());
    if (fold.open) void this.#need();
    const neutral = Object.fromEntries(fields.map((field) => [field, ADVANCED_DEFAULTS[field]]));
    const reset = this.#part("reset");
    reset.dataset.fill = JSON.stringify(neutral);
    // The button is hidden then, and must not have the focus.
    reset.addEventListener("click", () => fold.querySelector("summary")?.focus());
    form.addEventListener("review", (event) => {
      this.#last = /** @type {CustomEvent<Review>} */ (event).detail;
      this.#render();
    });
  }

  /** @param {string} part */
  #part(part) {
    return partOf(this.#form, `${this.#name}-${part}`);
  }

  /** Reads the panel, and fills the group. */
  async #need() {
    this.#loading ??= this.#load();
    const panel = await this.#loading.catch(() => null);
    // Without a network the next opening tries again. The hidden fields have the values.
    if (!panel) this.#loading = null;
    if (!panel || this.#panel) return;
    this.#panel = panel;
    const body = this.#part("body");
    if (panel.template) this.#fill(body, panel.template());
    panel.attach?.(body, this.#form);
    // The form writes its notes into the new fields, too.
    this.#form.dispatchEvent(new Event("grown"));
  }

  /** Puts fields into the group, in place of the hidden ones. */
  #fill(/** @type {HTMLElement} */ body, /** @type {string} */ html) {
    setHtml(body, html);
    for (const control of body.querySelectorAll("[name]")) {
      const { name } = /** @type {HTMLInputElement} */ (control);
      for (const hidden of this.#form.querySelectorAll(`[type=hidden][name="${name}"]`)) {
        if (hidden === control) continue;
        const { value } = /** @type {HTMLInputElement} */ (hidden);
        /** @type {HTMLInputElement} */ (control).value = value;
        hidden.remove();
      }
    }
  }

  #render() {
    const review = this.#last;
    if (!review) return;
    const { settings } = review;
    const set = isSet(this.#fields, settings);
    this.#part("reset").hidden = !set;
    if (set) void this.#need();
    this.#part("set").textContent = set ? (this.#panel?.summary(review) ?? "") : "";
    if (this.#panel) this.#panel.render?.(this.#part("body"), review);
  }
}
