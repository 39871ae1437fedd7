// @ts-check
/** The form's fields: their values, and the notes beside them. */
import { strings } from "../strings/index.js";
import { isCheckpoint } from "./address.js";
import { ADVANCED_DEFAULTS, ADVANCED_FIELDS } from "./advanced-settings.js";
import { unfold } from "./fold.js";
import { optionProblem } from "./guidance-kinds.js";
import { appliesNegative, attachNagOffer } from "./nag-offer.js";
import { negativeHint } from "./negative-hint.js";
import { noteOf } from "./prompt-note.js";
import { hasSchedules, samplerName } from "./sampler-names.js";
import { listSamplers } from "./sampler-template.js";
import {
  DEFAULTS,
  FIELDS,
  fieldName,
  fieldOf,
  invalidFields,
  ownSchedule,
  randomSeed,
  samplerOf,
  withModelDefaults,
} from "./settings.js";

export { withModelDefaults };

/** @typedef {import("../engine/protocol.js").ModelInfo} ModelInfo */
/** @typedef {import("../engine/protocol.js").PromptLayout} PromptLayout */
/** @typedef {import("./prompt-note.js").PromptField} PromptField */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */

const VISIBLE = ":is(input, select):not([type=hidden])";
/** Settings that a model has a default for, besides those that may be empty. */
const GUIDED = /** @type {const} */ (["steps", "guidance_scale"]);
/** @typedef {{steps: string, guidance_scale: string}} Guided */

/** Settings of one model, at their neutral values for the next one. */
const OF_MODEL = {
  sampler: "",
  schedule: "",
  width: "",
  height: "",
  clip_skip: "",
  timestep_spacing: "",
  zero_snr: "",
  final_sigma: "",
};

/**
 * The form after a change: the detail of the form's event "review".
 * @typedef {object} Review
 * @property {Settings} settings
 * @property {ReadonlyMap<Field, string>} problems messages about the invalid fields
 * @property {ModelInfo | null} model null: it is not open yet
 */

export class SettingsForm {
  #form;
  #lock;
  #defaults;
  /** The defaults in force. @type {Guided} */ #own = { steps: "", guidance_scale: "" };
  /** Settings that came together with the present model. @type {Set<Field>} */ #given = new Set();
  /** The seed of the last picture. The next picture gets another one unless the seed is locked. */
  #used = "";
  /** Fields that were changed before the script ran. @type {Partial<Settings>} */ #early = {};
  /** A seed that the visitor chose for one picture: typed, of a link or of an older picture. */
  #chosen = "";
  /** @type {ModelInfo | null} */ #model = null;
  /** Notes about what the engine reads. @type {Partial<Record<PromptField, string>>} */
  #readings = {};

  /**
   * @param {HTMLFormElement} form
   * @param {(model: string) => Partial<Guided>} defaults the page's own for a model; they come
   *   before the model's
   */
  constructor(form, defaults) {
    this.#form = form;
    this.#defaults = defaults;
    this.#lock = /** @type {HTMLInputElement} */ (form.querySelector("[data-part=lock]"));
    this.#addHiddenFields();
    attachNagOffer(form);
    // A group of settings has got its fields.
    form.addEventListener("grown", () => {
      this.fill({});
      this.review();
    });
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
    const wanted = this.#model
      ? withModelDefaults(settings, this.#model)
      : { ...settings, ...samplerOf(settings) };
    for (const field of FIELDS) {
      const value = wanted[field];
      const control = this.#control(field);
      if (value === undefined || control.value === value) continue;
      control.value = value;
      // A link may name an unknown device, sampler or schedule type.
      if (field === "sampler" && control.value !== value)
        this.fill({ sampler: "", schedule: wanted.schedule ?? "" });
      else if (field === "device" && control.value !== value) control.value = DEFAULTS.device;
      else if (control instanceof HTMLSelectElement && control.selectedIndex < 0)
        control.value = /** @type {Partial<Settings>} */ (DEFAULTS)[field] ?? "";
    }
    for (const slider of /** @type {NodeListOf<HTMLInputElement>} */ (
      this.#form.querySelectorAll("[data-slider]")
    )) {
      slider.value = this.#control(fieldOf(slider.dataset.slider ?? "")).value;
    }
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (
      this.#form.querySelectorAll("[data-switch]")
    ))
      box.checked = this.#control(fieldOf(box.dataset.switch ?? "")).value === box.value;
    if (settings.model !== undefined) this.#settle(settings);
  }

  /** Writes into the model field; no other setting follows. @param {string} model */
  nameModel(model) {
    this.#control("model").value = model;
  }

  /** Sets another model's defaults. @param {Partial<Settings>} given together with the model */
  #settle(given) {
    this.#given = new Set(GUIDED.filter((field) => given[field] !== undefined));
    this.#takeDefaults();
  }

  /**
   * Sets the defaults of the present model, unless the visitor chose other values: as far as they
   * are known, which is completely once the model is open.
   */
  #takeDefaults() {
    const { settings } = this;
    const before = this.#own;
    const info = this.#model;
    this.#own = {
      steps: info ? String(info.default_steps) : DEFAULTS.steps,
      guidance_scale: info ? String(info.default_guidance_scale) : DEFAULTS.guidance_scale,
      ...this.#defaults(settings.model),
    };
    for (const field of GUIDED)
      if (!this.#given.has(field) && settings[field] === before[field])
        this.fill({ [field]: this.#own[field] });
  }

  /** Steps and guidance scale where the visitor chooses none. */
  get defaults() {
    return this.#own;
  }

  /**
   * Takes over an input by the visitor; of a slider or a switch into its field.
   * @param {HTMLInputElement} input
   */
  apply({ name, value, dataset, checked }) {
    const field = fieldOf(dataset.slider ?? dataset.switch ?? "");
    const off = ADVANCED_DEFAULTS[/** @type {keyof typeof ADVANCED_DEFAULTS} */ (field)];
    this.fill(field ? { [field]: dataset.switch && !checked ? off : value } : {});
    if (name === "seed") this.chooseSeed();
    if (name === "sampler" || name === "schedule") this.#settleSchedule();
  }

  /** "DPM++ 2M" without a schedule type is the plain one: the model's own has to be named. */
  #settleSchedule() {
    const { sampler, schedule } = this.settings;
    if (this.#model && sampler === "dpm++2m" && schedule === "")
      this.fill({ schedule: ownSchedule(this.#model) });
  }

  /** Shows a model's samplers, schedule types and defaults. @param {ModelInfo} model */
  showModel(model) {
    const { sampler, schedule, width, height, clip_skip } = this.settings;
    listSamplers(this.#box("sampler"), this.#box("schedule"), model);
    this.#model = model;
    this.fill({ sampler, schedule, width, height });
    if (clip_skip === String(model.default_clip_skip)) this.fill({ clip_skip: "" });
    this.#takeDefaults();
  }

  /** A field with a list. @param {Field} field */
  #box(field) {
    return /** @type {HTMLSelectElement} */ (/** @type {unknown} */ (this.#control(field)));
  }

  /**
   * Empties the fields that hold the model's defaults, before it is opened with another prediction
   * type.
   */
  resetModelDefaults() {
    const { sampler, schedule, width, height } = this.settings;
    const none = { sampler: "", schedule: "", width: "", height: "" };
    const own = this.#model && withModelDefaults(none, this.#model);
    this.#model = null;
    this.#offerDefault();
    if (sampler === own?.sampler && schedule === own.schedule)
      this.fill({ sampler: "", schedule: "" });
    if (width === own?.width && height === own?.height) this.fill({ width: "", height: "" });
  }

  /**
   * Resets the settings of the last model. The name of the next one may be in its field already.
   */
  forgetModel() {
    this.#model = null;
    this.#offerDefault();
    this.fill({ ...OF_MODEL, prediction: "auto", model: this.settings.model });
  }

  /** Offers the default sampler of a model that is not known yet: the box is not empty then. */
  #offerDefault() {
    const box = this.#box("sampler");
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
    const { clip_skip, model, prediction, sampler } = this.settings;
    // Model folders state their prediction type. For checkpoints it can be chosen.
    const asked = this.#form.querySelector("[data-part=prediction]");
    asked?.toggleAttribute("hidden", !isCheckpoint(model) && prediction === "auto");
    const problems = invalidFields(this.settings, this.#model?.size_multiple);
    const layers = this.#model?.text_layers ?? 0;
    if (layers && Number(clip_skip) > layers)
      problems.set("clip_skip", strings().models.sampling.clipSkipRange(layers));
    const notes = new Map(problems);
    this.#box("schedule").disabled = !hasSchedules(sampler);
    if (!hasSchedules(sampler))
      notes.set("schedule", strings().models.sampling.none(samplerName(sampler)));
    const small = this.#smallNote();
    if (small && !notes.has("width") && !notes.has("height")) notes.set("width", small);
    for (const field of /** @type {const} */ (["prompt", "negative_prompt"])) {
      const reading = this.#readings[field];
      if (reading) notes.set(field, reading);
    }
    const options = optionProblem(this.settings, this.#model);
    if (options) {
      problems.set("guidance_options", options);
      notes.set("guidance_options", options);
    }
    const applied = appliesNegative(this.settings, this.#model);
    const hint = applied ? "" : negativeHint(this.#model, this.settings);
    if (hint) notes.set("negative_prompt", hint);
    this.#showSeed();
    for (const field of FIELDS) {
      this.note(field, notes.get(field) ?? "");
      const control = this.#control(field);
      if (control instanceof HTMLElement) control.ariaInvalid = problems.has(field) ? "true" : null;
    }
    const detail = { settings: this.settings, problems, model: this.#model };
    this.#form.dispatchEvent(new CustomEvent("review", { detail }));
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

  /**
   * Shows what the engine reads in a prompt.
   * @param {PromptField} field
   * @param {PromptLayout} layout
   */
  showLayout(field, layout) {
    const { count, limit, chunks } = layout;
    const t = strings().studio.prompts;
    const output = this.#form.querySelector(`[data-for=${fieldName(field)}]`);
    if (output) output.textContent = t.tokens(count, limit * chunks);
    output?.toggleAttribute("data-over", chunks > 1);
    this.#readings[field] = noteOf(this.settings[field], layout);
  }

  /** @param {Field} field @param {string} text */
  note(field, text) {
    const note = this.#form.querySelector(`[data-note=${fieldName(field)}]`);
    if (note) note.textContent = text;
  }

  /** @param {Field} name */
  focus(name) {
    const control = this.#control(name);
    const isHidden = control instanceof HTMLInputElement && control.type === "hidden";
    // Sliders or boxes show a hidden field.
    const field = isHidden ? control.closest(".field") : null;
    const beside =
      field?.querySelector(`${VISIBLE}[aria-invalid=true]`) ?? field?.querySelector(VISIBLE);
    const shown = beside instanceof HTMLElement ? beside : control;
    if (shown instanceof Element) unfold(shown);
    shown.focus();
  }

  /** @param {Field} field @returns {{value: string, focus(): void}} */
  #control(field) {
    // `device` is a group of radio buttons: it has a value, and never gets the focus.
    return /** @type {any} */ (this.#form.elements.namedItem(fieldName(field)));
  }
}
