// @ts-check
/** The form's fields: their values, and the notes beside them. */
import { strings } from "../strings/index.js";
import { isCheckpoint } from "./address.js";
import { ADVANCED_DEFAULTS, ADVANCED_FIELDS } from "./advanced-settings.js";
import {
  FIELDS,
  fieldName,
  fieldOf,
  invalidFields,
  randomSeed,
  samplerName,
  withModelDefaults,
} from "./settings.js";

export { withModelDefaults };

/** @typedef {import("../engine/protocol.js").ModelInfo} ModelInfo */
/** @typedef {import("../engine/protocol.js").TokenCount} TokenCount */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */

export class SettingsForm {
  #form;
  #lock;
  #defaultGuidance;
  /** The model that the guidance scale was last set for. */ #guided = "";
  /** The seed of the last picture. The next picture gets another one unless the seed is locked. */
  #used = "";
  /** Fields that were changed before the script ran. @type {Partial<Settings>} */ #early = {};
  /** A seed that the visitor chose for one picture: typed, of a link or of an older picture. */
  #chosen = "";
  /** @type {ModelInfo | null} */ #model = null;
  /**
   * Notes about prompts that are longer than a chunk.
   * @type {Partial<Record<Field, string>>}
   */
  #longPrompts = {};

  /**
   * @param {HTMLFormElement} form
   * @param {(model: string) => string} defaultGuidance a model's default guidance scale
   */
  constructor(form, defaultGuidance) {
    this.#form = form;
    this.#defaultGuidance = defaultGuidance;
    this.#lock = /** @type {HTMLInputElement} */ (form.querySelector("[data-part=lock]"));
    this.#addHiddenFields();
  }

  /** Adds a hidden field for each setting that the form does not show. */
  #addHiddenFields() {
    for (const field of ADVANCED_FIELDS.filter((one) => !this.#control(one))) {
      const hidden = document.createElement("input");
      Object.assign(hidden, { type: "hidden", name: fieldName(field) });
      hidden.value = ADVANCED_DEFAULTS[field];
      this.#form.append(hidden);
    }
  }

  /** @returns {Settings} */
  get settings() {
    return /** @type {Settings} */ (
      Object.fromEntries(FIELDS.map((field) => [field, this.#control(field).value]))
    );
  }

  /** The fields that a visitor has changed since the page was loaded. */
  typed() {
    /** @type {Partial<Settings>} */
    const typed = {};
    for (const field of FIELDS) {
      const control = this.#control(field);
      if (
        (control instanceof HTMLInputElement || control instanceof HTMLTextAreaElement) &&
        control.value !== control.defaultValue
      )
        typed[field] = control.value;
    }
    this.#early = typed;
    return typed;
  }

  /**
   * Fills the named fields. An empty value becomes the model's default, where it has one.
   * @param {Partial<Settings>} settings
   */
  fill(settings) {
    const wanted = this.#model ? withModelDefaults(settings, this.#model) : settings;
    for (const field of FIELDS) {
      const value = wanted[field];
      const control = this.#control(field);
      if (value === undefined || control.value === value) continue;
      control.value = value;
      // A link may name an unknown device or sampler.
      if ((field === "device" || field === "prediction") && control.value !== value)
        control.value = "auto";
      if (field === "sampler" && control.value !== value)
        control.value = this.#model?.default_sampler ?? "";
      if (field === "rng" && control.value !== value) control.value = ADVANCED_DEFAULTS.rng;
    }
    for (const slider of /** @type {NodeListOf<HTMLInputElement>} */ (
      this.#form.querySelectorAll("[data-slider]")
    )) {
      slider.value = this.#control(fieldOf(slider.dataset.slider ?? "")).value;
    }
    if (settings.model !== undefined) this.#settleGuidance(settings.guidance_scale !== undefined);
  }

  /** Writes into the model field; no other setting follows. @param {string} model */
  nameModel(model) {
    this.#control("model").value = model;
  }

  /**
   * Sets another model's default guidance scale, unless the visitor chose a scale.
   * @param {boolean} chosen just now
   */
  #settleGuidance(chosen) {
    const { model, guidance_scale } = this.settings;
    const before = this.#guided;
    this.#guided = model;
    if (!chosen && guidance_scale === this.#defaultGuidance(before))
      this.fill({ guidance_scale: this.#defaultGuidance(model) });
  }

  /**
   * Takes over an input by the visitor; of a slider into its field.
   * @param {HTMLInputElement} input
   */
  apply({ name, value, dataset }) {
    this.fill(dataset.slider ? { [fieldOf(dataset.slider)]: value } : {});
    if (name === "seed") this.chooseSeed();
  }

  /** Shows a model's samplers and defaults. @param {ModelInfo} model */
  showModel(model) {
    const { sampler, width, height } = this.settings;
    const { isDefault } = strings().studio.settings;
    const names = model.samplers.map((name) => {
      const text = samplerName(name);
      return new Option(name === model.default_sampler ? isDefault(text) : text, name);
    });
    /** @type {HTMLSelectElement} */ (
      /** @type {unknown} */ (this.#control("sampler"))
    ).replaceChildren(...names);
    this.#model = model;
    this.fill({ sampler, width, height });
  }

  /**
   * Empties the fields that hold the model's defaults, before it is opened with another prediction
   * type.
   */
  resetModelDefaults() {
    const { sampler, width, height } = this.settings;
    const own =
      this.#model && withModelDefaults({ sampler: "", width: "", height: "" }, this.#model);
    this.#model = null;
    this.#offerDefault();
    if (sampler === own?.sampler) this.fill({ sampler: "" });
    if (width === own?.width && height === own?.height) this.fill({ width: "", height: "" });
  }

  /**
   * Resets the settings of the last model. The name of the next one may be in its field already.
   */
  forgetModel() {
    this.#model = null;
    this.#offerDefault();
    this.fill({
      sampler: "",
      width: "",
      height: "",
      prediction: "auto",
      model: this.settings.model,
    });
  }

  /** Offers the default sampler of a model that is not known yet: the box is not empty then. */
  #offerDefault() {
    const box = /** @type {HTMLSelectElement} */ (
      /** @type {unknown} */ (this.#control("sampler"))
    );
    if ([...box.options].every(({ value }) => value !== ""))
      box.prepend(new Option(strings().studio.settings.samplerDefault, ""));
  }

  /** The note about pictures that are much smaller than those the model was trained with. */
  #smallNote() {
    if (!this.#model) return "";
    const { width, height } = this.settings;
    const { default_width, default_height } = this.#model;
    if (Number(width) * Number(height) * 2 > default_width * default_height) return "";
    return strings().problems.size.small(`${default_width}\u00a0×\u00a0${default_height}`);
  }

  /** The next picture gets the seed in the field, unless the visitor changes it. */
  chooseSeed() {
    this.#chosen = this.settings.seed;
    this.#used = "";
  }

  newSeed() {
    this.fill({ seed: randomSeed() });
  }

  /** Shows the seed of a picture of a series, unless the seed is locked. @param {string} seed */
  followSeed(seed) {
    if (!this.#lock.checked) this.fill({ seed });
  }

  lockSeed() {
    this.#lock.checked = true;
    this.review();
  }

  /**
   * Prepares the seed for a picture. One that is not locked serves once.
   * @param {Set<string>} taken seeds of pictures that wait
   */
  useSeed(taken) {
    const { seed } = this.settings;
    if (!this.#lock.checked && (seed === this.#used || taken.has(seed))) this.newSeed();
  }

  /** There is a picture of a seed. @param {string} seed */
  seedUsed(seed) {
    this.#used = seed;
    if (seed === this.#chosen) this.#chosen = "";
    this.#showSeed();
  }

  /** The form as it is kept for the next visit. */
  get draft() {
    return { ...this.settings, locked: this.#lock.checked ? "yes" : "" };
  }

  /** @param {Record<string, string>} draft of an earlier visit */
  restoreDraft({ locked, ...settings }) {
    this.fill({ ...settings, ...this.#early });
    this.#lock.checked = locked === "yes";
    if (settings.seed) this.chooseSeed();
    this.review();
  }

  /** Sizes are multiples of it. */
  get sizeMultiple() {
    return this.#model?.size_multiple ?? 8;
  }

  /** Explains the lock, and a seed that serves once. */
  #showSeed() {
    const state = this.#form.querySelector("[data-part=seed-state]");
    const t = strings().gallery.seed;
    const once = this.#chosen !== "" && this.#chosen === this.settings.seed;
    if (state) state.textContent = this.#lock.checked ? t.locked : once ? t.once : "";
  }

  /**
   * Writes the notes beside the fields.
   * @returns {Map<Field, string>} messages about the invalid fields
   */
  review() {
    const { guidance_scale, model, prediction } = this.settings;
    // Model folders state their prediction type. For checkpoints it can be chosen.
    const asked = this.#form.querySelector("[data-part=prediction]");
    asked?.toggleAttribute("hidden", !isCheckpoint(model) && prediction === "auto");
    const problems = invalidFields(this.settings, this.#model?.size_multiple);
    const notes = new Map(problems);
    const small = this.#smallNote();
    if (small && !notes.has("width") && !notes.has("height")) notes.set("width", small);
    for (const field of /** @type {const} */ (["prompt", "negative_prompt"])) {
      const long = this.#longPrompts[field];
      if (long) notes.set(field, long);
    }
    if (Number(guidance_scale) <= 1)
      notes.set("negative_prompt", strings().studio.prompts.noEffect);
    this.#showSeed();
    for (const field of FIELDS) {
      this.note(field, notes.get(field) ?? "");
      const control = this.#control(field);
      if (control instanceof HTMLElement) control.ariaInvalid = problems.has(field) ? "true" : null;
    }
    return problems;
  }

  /**
   * The messages about fields that do not allow a picture, or a comparison.
   * @param {{compare?: boolean, wall?: boolean}} options
   */
  invalid({ compare = false, wall = false }) {
    const invalid = this.review();
    if ((compare || wall) && !this.settings.negative_prompt.trim()) {
      const text = strings().studio.prompts.writeFirst;
      invalid.set("negative_prompt", text);
      this.note("negative_prompt", text);
    }
    return invalid;
  }

  /** Tells whether all fields are valid. If not, the first invalid one gets the focus. */
  isValid({ quietly = false } = {}) {
    const [field] = this.review().keys();
    if (field && !quietly) this.focus(field);
    return field === undefined;
  }

  /** @param {"prompt" | "negative_prompt"} field @param {TokenCount} counted */
  showTokens(field, { count, limit, cut }) {
    const t = strings().studio.prompts;
    const output = this.#form.querySelector(`[data-for=${fieldName(field)}]`);
    if (output) output.textContent = t.tokens(count, limit);
    output?.toggleAttribute("data-over", cut !== null);
    const parts = Math.ceil(count / limit);
    this.#longPrompts[field] = cut === null ? "" : t.long(limit, parts, excerpt(cut));
  }

  /** @param {Field} field @param {string} text */
  note(field, text) {
    const note = this.#form.querySelector(`[data-note=${fieldName(field)}]`);
    if (note) note.textContent = text;
  }

  /** @param {Field} field */
  focus(field) {
    this.unfold(field);
    this.#control(field).focus();
  }

  /** Opens the folds around a field. @param {Field} field */
  unfold(field) {
    const control = this.#control(field);
    let fold = control instanceof Element ? control.closest("details") : null;
    for (; fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
  }

  /** @param {Field} field @returns {{value: string, focus(): void}} */
  #control(field) {
    // `device` is a group of radio buttons: it has a value, and never gets the focus.
    return /** @type {any} */ (this.#form.elements.namedItem(fieldName(field)));
  }
}

/** @param {string} text */
function excerpt(text) {
  const words = text.trim();
  return words.length > 40 ? `${words.slice(0, 40).trimEnd()}…` : words;
}
