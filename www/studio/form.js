// @ts-check
/** The fields: what they hold, and what stands beside them. */
import { isCheckpoint } from "./address.js";
import { FIELDS, fieldName, fieldOf, invalidFields, randomSeed, samplerName } from "./settings.js";

/** @typedef {import("../engine/protocol.js").ModelInfo} ModelInfo */
/** @typedef {import("../engine/protocol.js").TokenCount} TokenCount */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */

export class SettingsForm {
  #form;
  #lock;
  #defaultGuidance;
  /** The model that the guidance scale was last settled for. */ #guided = "";
  /** The last picture's seed: the next one's is another unless it is kept. */
  #used = "";
  /** @type {ModelInfo | null} */ #model = null;
  /** Notes about prompts longer than the model reads at once. @type {Partial<Record<Field, string>>} */ #longPrompts =
    {};

  /**
   * @param {HTMLFormElement} form
   * @param {(model: string) => string} defaultGuidance the guidance scale that a model starts with
   */
  constructor(form, defaultGuidance) {
    this.#form = form;
    this.#defaultGuidance = defaultGuidance;
    this.#lock = /** @type {HTMLInputElement} */ (form.querySelector("[data-part=lock]"));
  }

  /** @returns {Settings} */
  get settings() {
    return /** @type {Settings} */ (
      Object.fromEntries(FIELDS.map((field) => [field, this.#control(field).value]))
    );
  }

  /** Writes into the fields named; an empty value that the model knows better becomes the model's own. @param {Partial<Settings>} settings */
  fill(settings) {
    const wanted = this.#model ? withModelDefaults(settings, this.#model) : settings;
    for (const field of FIELDS) {
      const value = wanted[field];
      const control = this.#control(field);
      if (value === undefined || control.value === value) continue;
      control.value = value;
      // A link may name a device or a sampler that there is not.
      if ((field === "device" || field === "prediction") && control.value !== value)
        control.value = "auto";
      if (field === "sampler" && control.value !== value)
        control.value = this.#model?.default_sampler ?? "";
    }
    for (const slider of /** @type {NodeListOf<HTMLInputElement>} */ (
      this.#form.querySelectorAll("[data-slider]")
    )) {
      slider.value = this.#control(fieldOf(slider.dataset.slider ?? "")).value;
    }
    if (settings.model !== undefined) this.#settleGuidance(settings.guidance_scale !== undefined);
  }

  /** Another model gets its usual guidance scale, unless the visitor chose one. @param {boolean} chosen just now */
  #settleGuidance(chosen) {
    const { model, guidance_scale } = this.settings;
    const before = this.#guided;
    this.#guided = model;
    if (!chosen && guidance_scale === this.#defaultGuidance(before))
      this.fill({ guidance_scale: this.#defaultGuidance(model) });
  }

  /** Takes over what the visitor moved or typed elsewhere than in the field itself. @param {HTMLInputElement} input */
  apply({ name, value, dataset }) {
    this.fill(dataset.slider ? { [fieldOf(dataset.slider)]: value } : {});
    if (name === "seed") this.lockSeed();
  }

  /** @param {ModelInfo} model which samplers there are, and what its own settings are */
  showModel(model) {
    const { sampler, width, height } = this.settings;
    const names = model.samplers.map(
      (name) =>
        new Option(samplerName(name) + (name === model.default_sampler ? " (default)" : ""), name),
    );
    /** @type {HTMLSelectElement} */ (
      /** @type {unknown} */ (this.#control("sampler"))
    ).replaceChildren(...names);
    this.#model = model;
    this.fill({ sampler, width, height });
  }

  /** The model is to come again, otherwise than before: what was its own choice is so again. */
  resetModelDefaults() {
    const { sampler, width, height } = this.settings;
    const own =
      this.#model && withModelDefaults({ sampler: "", width: "", height: "" }, this.#model);
    this.#model = null;
    if (sampler === own?.sampler) this.fill({ sampler: "" });
    if (width === own?.width && height === own?.height) this.fill({ width: "", height: "" });
  }

  /** Another model is to come, its name may stand there already: nothing of the old one's stays. */
  forgetModel() {
    this.#model = null;
    this.fill({
      sampler: "",
      width: "",
      height: "",
      prediction: "auto",
      model: this.settings.model,
    });
  }

  lockSeed() {
    this.#lock.checked = true;
    this.#used = "";
  }

  newSeed() {
    this.fill({ seed: randomSeed() });
  }

  /** Notes that a picture is made with this seed; a seed that is not to be kept serves one picture. */
  useSeed() {
    if (!this.#lock.checked && this.settings.seed === this.#used) this.newSeed();
    this.#used = this.settings.seed;
  }

  /**
   * Writes beside each field what is wrong with it, or good to know.
   * @returns {Map<Field, string>} only what is wrong
   */
  review() {
    const { guidance_scale, model, prediction } = this.settings;
    // Folders say what they predict; of checkpoints people know it who have them.
    const asked = this.#form.querySelector("[data-part=prediction]");
    asked?.toggleAttribute("hidden", !isCheckpoint(model) && prediction === "auto");
    const problems = invalidFields(this.settings, this.#model?.size_multiple);
    const notes = new Map(problems);
    for (const field of /** @type {const} */ (["prompt", "negative_prompt"])) {
      const long = this.#longPrompts[field];
      if (long) notes.set(field, long);
    }
    if (Number(guidance_scale) <= 1)
      notes.set("negative_prompt", "At a guidance scale of 1 the negative prompt has no effect.");
    for (const field of FIELDS) {
      this.note(field, notes.get(field) ?? "");
      const control = this.#control(field);
      if (control instanceof HTMLElement) control.ariaInvalid = problems.has(field) ? "true" : null;
    }
    return problems;
  }

  /** Whether pictures can be made with this; where not, the first field in question gets the focus. */
  isValid({ quietly = false } = {}) {
    const [field] = this.review().keys();
    if (field && !quietly) this.focus(field);
    return field === undefined;
  }

  /** @param {"prompt" | "negative_prompt"} field @param {TokenCount} counted */
  showTokens(field, { count, limit, cut }) {
    const output = this.#form.querySelector(`[data-for=${fieldName(field)}]`);
    if (output) output.textContent = `${count} / ${limit} tokens`;
    output?.toggleAttribute("data-over", cut !== null);
    const parts = Math.ceil(count / limit);
    this.#longPrompts[field] =
      cut === null
        ? ""
        : `The model reads ${limit} tokens at once, so this in ${parts} parts. The first ends before “${excerpt(cut)}”.`;
  }

  /** @param {Field} field @param {string} text */
  note(field, text) {
    const note = this.#form.querySelector(`[data-note=${fieldName(field)}]`);
    if (note) note.textContent = text;
  }

  /** @param {Field} field */
  focus(field) {
    this.#control(field).focus();
  }

  /** @param {Field} field @returns {{value: string, focus(): void}} */
  #control(field) {
    // `device` is a group of radio buttons: it has a value like the others, and is never sent the focus.
    return /** @type {any} */ (this.#form.elements.namedItem(fieldName(field)));
  }
}

/** @param {string} text */
function excerpt(text) {
  const words = text.trim();
  return words.length > 40 ? `${words.slice(0, 40).trimEnd()}…` : words;
}

/**
 * Settings in which nothing is left open.
 * @template {Partial<Settings>} T
 * @param {T} settings
 * @param {ModelInfo} model
 * @returns {T}
 */
export function withModelDefaults(settings, model) {
  const own = {
    sampler: model.default_sampler,
    width: String(model.default_width),
    height: String(model.default_height),
  };
  const open = Object.entries(own).filter(
    ([field]) => settings[/** @type {Field} */ (field)] === "",
  );
  return { ...settings, ...Object.fromEntries(open) };
}
