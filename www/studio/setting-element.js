// @ts-check
/** Properties and attributes of the element for the settings of its form. */
import { ADVANCED_DEFAULTS, ADVANCED_FIELDS, propertyOf } from "./advanced-settings.js";
import { DEFAULTS, FIELDS, fieldName } from "./settings.js";

/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */

/** Attributes of the settings, and those that change how the element works. */
export const ATTRIBUTES = [...FIELDS.map(fieldName), "hub", "catalogue", "keep", "lang"];

/** @type {Settings} */
const NONE = {
  prompt: "",
  negative_prompt: "",
  seed: "",
  steps: "",
  guidance_scale: "",
  sampler: "",
  width: "",
  height: "",
  device: "",
  model: "",
  prediction: "",
  ...ADVANCED_DEFAULTS,
};

/** A setting without an attribute. @param {Field} field */
export const defaultOf = (field) => ({ ...NONE, ...DEFAULTS })[field];

/**
 * The settings that a host's attributes give, with defaults for the others.
 * @param {Element} host
 * @returns {Settings}
 */
export function settingsOfAttributes(host) {
  const settings = { ...NONE, ...DEFAULTS };
  for (const field of FIELDS)
    settings[field] = host.getAttribute(fieldName(field)) ?? settings[field];
  return settings;
}

/**
 * Steps and guidance scale that a host's attributes give. They are meant for the attribute's model.
 * @param {Element} host
 * @param {string} model
 * @returns {{steps?: string, guidance_scale?: string}}
 */
export function ownDefaults(host, model) {
  if (model !== (host.getAttribute("model") ?? "")) return {};
  const steps = host.getAttribute("steps");
  const scale = host.getAttribute("guidance-scale");
  return { ...(steps && { steps }), ...(scale && { guidance_scale: scale }) };
}

const PROPERTIES = FIELDS.map(propertyOf);

/**
 * The property `settings`, which the subclass has.
 * @param {SettingElement} element
 * @returns {{get settings(): Settings, set settings(some: Partial<Settings>)}}
 */
const form = (element) => /** @type {any} */ (element);

/** The class of elements; on a server, where there is none, any class. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? Object);

/**
 * An element with a property for each setting. A property has the value in the form, as a text.
 * A number is accepted on assignment. The attribute of the same name is where the form starts, like
 * `value` of an `<input>`: changing it changes the form, and the form does not change it.
 */
export class SettingElement extends Base {
  static formAssociated = true;

  #internals = this.attachInternals();
  /** @type {File | null} */ #value = null;

  /**
   * Takes over properties that were set before the tag was defined.
   * @param {string[]} more besides those of the settings
   * @protected
   */
  adopt(...more) {
    const names = [...PROPERTIES, "hub", "catalogue", "name", ...more];
    for (const name of names.filter((each) => Object.hasOwn(this, each))) {
      const value = Reflect.get(this, name);
      Reflect.deleteProperty(this, name);
      Reflect.set(this, name, value);
    }
  }

  /** The form around the element. */
  get form() {
    return this.#internals.form;
  }

  /** The last finished picture as a PNG file: what the form around the element sends. */
  get value() {
    return this.#value;
  }

  /** Sets what the form around the element sends. @param {File | null} file @protected */
  setValue(file) {
    this.#value = file;
    this.#internals.setFormValue(file);
  }

  /** Prompt: what the picture shows. @type {string} */
  get prompt() {
    return form(this).settings.prompt;
  }
  set prompt(value) {
    form(this).settings = { prompt: String(value) };
  }

  /** Negative prompt: what it does not show. @type {string} */
  get negativePrompt() {
    return form(this).settings.negative_prompt;
  }
  set negativePrompt(value) {
    form(this).settings = { negative_prompt: String(value) };
  }

  /** Seed of the noise, 0 … 2⁶⁴−1. Assignment locks it. @type {string} */
  get seed() {
    return form(this).settings.seed;
  }
  set seed(value) {
    form(this).settings = { seed: String(value) };
  }

  /** Number of steps, 1 … 1000. @type {string} */
  get steps() {
    return form(this).settings.steps;
  }
  set steps(value) {
    form(this).settings = { steps: String(value) };
  }

  /** Guidance scale, 0 … 100. @type {string} */
  get guidanceScale() {
    return form(this).settings.guidance_scale;
  }
  set guidanceScale(value) {
    form(this).settings = { guidance_scale: String(value) };
  }

  /** Name of the sampler; empty: the model's default. @type {string} */
  get sampler() {
    return form(this).settings.sampler;
  }
  set sampler(value) {
    form(this).settings = { sampler: String(value) };
  }

  /** Width in pixels; empty: the model's default. @type {string} */
  get width() {
    return form(this).settings.width;
  }
  set width(value) {
    form(this).settings = { width: String(value) };
  }

  /** Height in pixels; empty: the model's default. @type {string} */
  get height() {
    return form(this).settings.height;
  }
  set height(value) {
    form(this).settings = { height: String(value) };
  }

  /** Device: auto, gpu or cpu. @type {string} */
  get device() {
    return form(this).settings.device;
  }
  set device(value) {
    form(this).settings = { device: String(value) };
  }

  /** Model: `owner/name`, or the address of a folder or a checkpoint. @type {string} */
  get model() {
    return form(this).settings.model;
  }
  set model(value) {
    form(this).settings = { model: String(value) };
  }

  /** Prediction type of a checkpoint: auto, epsilon or v. @type {string} */
  get prediction() {
    return form(this).settings.prediction;
  }
  set prediction(value) {
    form(this).settings = { prediction: String(value) };
  }

  /** Address of the hub for models named `owner/name`; empty: Hugging Face. @type {string} */
  get hub() {
    return this.getAttribute("hub") ?? "";
  }
  set hub(value) {
    this.setAttribute("hub", value);
  }

  /** Address of a list of models for the shelf; empty: the project's list. @type {string} */
  get catalogue() {
    return this.getAttribute("catalogue") ?? "";
  }
  set catalogue(value) {
    this.setAttribute("catalogue", value);
  }

  /** Pictures, prompts, the form and the queue are kept in the browser. @type {boolean} */
  get keep() {
    return this.hasAttribute("keep");
  }
  set keep(value) {
    this.toggleAttribute("keep", value);
  }

  /** Name of the picture in the form around the element. @type {string} */
  get name() {
    return this.getAttribute("name") ?? "";
  }
  set name(value) {
    this.setAttribute("name", value);
  }
}

// The properties of the table's settings. Their types are in the package's index.d.ts.
for (const field of ADVANCED_FIELDS)
  Object.defineProperty(SettingElement.prototype, propertyOf(field), {
    configurable: true,
    enumerable: true,
    get() {
      return form(this).settings[field];
    },
    set(value) {
      form(this).settings = { [field]: String(value) };
    },
  });
