// @ts-check
/**
 * `<darkroom-studio model="models/portraits">`: the whole studio as one element with a shadow root.
 * docs/embedding.md describes its attributes, properties, methods, events, slots and parts.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { setLanguage, strings } from "../strings/index.js";
import { addressOf, isCheckpoint, nameOf, ON_DISK } from "./address.js";
import { emit } from "./events.js";
import { FileInput } from "./file-input.js";
import { SettingsForm } from "./form.js";
import { fromInfotext } from "./infotext.js";
import { LiveNotes } from "./live-notes.js";
import { ModelsPanel } from "./models.js";
import { pictureFile } from "./picture-file.js";
import { PictureView } from "./picture-view.js";
import { download } from "./png.js";
import { textOf } from "./png-text.js";
import { makeRun, until } from "./run.js";
import { SessionView } from "./session-view.js";
import { ATTRIBUTES, defaultOf, SettingElement, settingsOfAttributes } from "./setting-element.js";
import { DEFAULTS, fieldOf, randomSeed } from "./settings.js";
import { languageOf, restyle, shadowRootOf } from "./shadow-root.js";
import { partOf, StatusView, said } from "./status-view.js";
import { Workplace } from "./workplace.js";

/** @typedef {import("../engine/protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("../engine/protocol.js").Prediction} Prediction */
/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./session-view.js").Views} Views */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */

/** An element that is moved leaves the document for a moment, and keeps its engine. */
const RELEASE_AFTER_MS = 5000;

export class DarkroomStudio extends SettingElement {
  static observedAttributes = ATTRIBUTES;

  /** @type {ShadowRoot | null} */ #root = null;
  /** @type {Views} */ #views = /** @type {any} */ (null);
  /** @type {Workplace} */ #work = /** @type {any} */ (null);
  /** @type {ModelsPanel} */ #models = /** @type {any} */ (null);
  /** @type {FileInput | null} */ #files = null;
  /** Settings given before the form exists. @type {Partial<Settings>} */ #early = {};
  #firstSeed = randomSeed();
  #releaseTimer = 0;
  /** The model or the device was changed, and is not opened yet. */ #stale = true;
  #connect = () => {};
  /** @type {Promise<void>} */ #connected = new Promise((resolve) => {
    this.#connect = resolve;
  });
  #shown = new SessionView(this, {
    views: () => this.#views,
    choice: () => ({
      model: this.#model,
      prediction: /** @type {Prediction} */ (this.settings.prediction),
      device: /** @type {DeviceChoice} */ (this.settings.device),
    }),
    onFile: (file) => this.setValue(file),
  });
  #session = this.#shown.session;

  connectedCallback() {
    clearTimeout(this.#releaseTimer);
    if (!this.#root) this.#build();
    this.#work.connect();
    if (this.#session.engine === "closed") this.#stale = true;
    this.#open();
    this.#connect();
  }

  disconnectedCallback() {
    this.#work.disconnect();
    this.#releaseTimer = window.setTimeout(() => this.#session.close(), RELEASE_AFTER_MS);
  }

  adoptedCallback() {
    if (this.#root) restyle(this.#root);
  }

  /** @param {string} name @param {string | null} before @param {string | null} value */
  attributeChangedCallback(name, before, value) {
    if (before === value) return;
    if (name === "lang") this.#translate();
    else if (name === "hub") this.#openSoon();
    else this.#takeAttribute(fieldOf(name), value);
  }

  /** @param {boolean} disabled */
  formDisabledCallback(disabled) {
    if (!this.#root) this.#build();
    this.#form.inert = disabled;
  }

  /** State of the engine: closed, loading, ready or failed. */
  get engine() {
    return this.#session.engine;
  }

  /** @returns {Settings} */
  get settings() {
    if (this.#root) return this.#views.form.settings;
    const attributes = settingsOfAttributes(this);
    return { ...attributes, seed: attributes.seed || this.#firstSeed, ...this.#early };
  }

  /**
   * Changes the settings that are named.
   * @param {Partial<Settings>} settings
   */
  set settings(settings) {
    if (!this.#root) {
      Object.assign(this.#early, settings);
      return;
    }
    const { form } = this.#views;
    const before = form.settings;
    form.fill(settings);
    if (settings.seed) form.chooseSeed();
    this.#changed();
    const { device, model, prediction } = form.settings;
    const same =
      device === before.device && model === before.model && prediction === before.prediction;
    if (!same) this.#openSoon();
  }

  formResetCallback() {
    const { seed: _, ...settings } = settingsOfAttributes(this);
    this.settings = settings;
    this.setValue(null);
  }

  /**
   * Makes a picture, as soon as the element is in a document and its model is open. Ends a picture
   * in progress.
   * @param {object} [options]
   * @param {boolean} [options.compare] makes two of the same seed, the first without the negative
   *   prompt
   * @param {AbortSignal} [options.signal] cancels
   * @returns {Promise<import("./run.js").Outcome>}
   * @throws {DarkroomError | DOMException} a DarkroomError says why there is no picture; an
   *   AbortError that it was cancelled
   */
  async generate({ compare = false, signal } = {}) {
    await until(this.#connected, signal);
    return this.#work.instead(async () => {
      do await this.#session.stop();
      while (!this.#session.idle);
      signal?.throwIfAborted();
      const [invalid] = this.#invalid(compare).values();
      if (invalid) throw new DarkroomError("request", invalid);
      this.#open();
      // A comparison is about the picture there is: the same seed again.
      if (!compare) this.#views.form.useSeed(new Set());
      this.#changed();
      const { settings } = this;
      const all = compare ? [{ ...settings, negative_prompt: "" }, settings] : [settings];
      return makeRun(this.#shown, all, signal);
    });
  }

  /** Cancels the picture in progress after its current step. */
  cancel() {
    this.#work.cancel();
  }

  /** Takes files that are dragged over the page beside the studio. @param {DragEvent} event */
  drag(event) {
    this.#files?.drag(event);
  }

  #build() {
    setLanguage(languageOf(this));
    const { root, declared } = shadowRootOf(this);
    this.#root = root;
    const status = new StatusView(root);
    const linked = Object.keys(this.#early).length > 0;
    const form = this.#buildForm(declared);
    this.#work ??= this.#workplace();
    this.#views = {
      status,
      form,
      notes: new LiveNotes(this.#session, form, status),
      pictures: new PictureView(this.#part("pictures"), (frame) => void this.#save(frame)),
      work: this.#work,
    };
    this.#work.attach(root, form, linked);
    this.#buildModels();
    this.#buildFiles(root);
    this.#listen();
  }

  /** @param {boolean} declared visitors may have typed into the form already */
  #buildForm(declared) {
    const attributes = settingsOfAttributes(this);
    // The attribute's guidance scale is for the attribute's model.
    const defaultGuidance = (/** @type {string} */ model) =>
      (model === (this.getAttribute("model") ?? "") && this.getAttribute("guidance-scale")) ||
      DEFAULTS.guidance_scale;
    const form = new SettingsForm(this.#form, defaultGuidance);
    const typed = declared ? form.typed() : {};
    form.fill({
      ...attributes,
      seed: attributes.seed || this.#firstSeed,
      guidance_scale: defaultGuidance(this.#early.model ?? attributes.model),
      ...this.#early,
      ...typed,
    });
    if (this.#early.seed || typed.seed) form.chooseSeed();
    form.review();
    return form;
  }

  #workplace() {
    return new Workplace({
      element: this,
      keep: this.hasAttribute("keep"),
      session: this.#session,
      fill: (settings) => {
        this.settings = settings;
      },
      generate: (options) => this.#make(options),
      make: (all) => makeRun(this.#shown, all),
      onSeed: () => this.#changed(),
      onState: () => this.#shown.showState(),
      onShow: (frame) => this.#showFrame(frame),
      onChoose: (frame) => this.#restoreFrame(frame),
    });
  }

  #buildModels() {
    this.#models = new ModelsPanel(this.#part("models", HTMLDialogElement), {
      nameOf: (address) => nameOf(address, document.baseURI, this.#hub),
      onUse: (model) => {
        this.#views.form.forgetModel();
        this.settings = { model };
      },
      onDelete: (address) => this.#deleted(address),
    });
  }

  /** @param {ShadowRoot} root */
  #buildFiles(root) {
    // It has the files that the visitor chose, and stays when the form is built again.
    this.#files ??= new FileInput(this, root, {
      onModel: (name) => this.#useFile(name),
      onPicture: (picture) => this.#restoreFile(picture),
      onProblem: (error) => this.#shown.showProblem(problemOf(error, "disk")),
    });
  }

  /** Builds the form again, in the language that holds now. */
  #translate() {
    if (!this.#root || setLanguage(languageOf(this)) === this.#form.lang) return;
    this.#early = this.settings;
    this.#build();
    this.#shown.showAll();
  }

  /** @param {Field} field @param {string | null} value */
  #takeAttribute(field, value) {
    // The last one of attribute and property counts.
    delete this.#early[field];
    if (!this.#root || (field === "seed" && value === null)) return;
    const settings = { [field]: value ?? defaultOf(field) };
    if (field === "model") {
      this.#views.form.forgetModel();
      const guidance = this.getAttribute("guidance-scale");
      if (guidance) settings.guidance_scale = guidance;
    }
    this.settings = settings;
  }

  /** Opens the model after this task: several attributes may change in a row. */
  #openSoon() {
    this.#stale = true;
    queueMicrotask(() => this.#open());
  }

  /** Opens the model, if it was changed. */
  #open() {
    if (!this.#stale || !this.isConnected || !this.#root) return;
    this.#stale = false;
    if (typeof WebAssembly === "object") this.#session.open();
    else {
      this.#form.hidden = true;
      this.#views.status.fallback(true, strings().studio.status.noWebAssembly);
    }
  }

  #listen() {
    const form = this.#form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make({ compare: false });
    });
    form.addEventListener("click", ({ target }) => {
      const button = /** @type {HTMLElement} */ (target).closest("button");
      if (button) this.#press(button.dataset);
    });
    form.addEventListener("input", ({ target }) => {
      const input = /** @type {HTMLInputElement} */ (target);
      this.#views.form.apply(input);
      this.#changed(fieldOf(input.name || input.dataset.slider || ""));
    });
    form.addEventListener("change", ({ target }) => {
      const { name } = /** @type {HTMLInputElement} */ (target);
      if (name === "model") {
        this.#views.form.forgetModel();
        this.#changed();
      }
      // The prediction type also decides on the model's default sampler and size.
      if (name === "prediction") this.#views.form.resetModelDefaults();
      if (name === "model" || name === "device" || name === "prediction") this.#session.open();
    });
  }

  /** A button of the form. @param {DOMStringMap} data */
  #press({ act, remedy }) {
    if (act === "cancel") this.#work.cancel();
    if (act === "compare") this.#make({ compare: true });
    if (act === "new-seed") {
      this.#views.form.newSeed();
      this.#changed();
    }
    if (act === "models") void this.#models.open(this.#address);
    if (act === "file" || act === "folder") this.#files?.choose(act);
    const { model } = this.settings;
    if (remedy === "file") this.#files?.choose(isCheckpoint(model) ? "file" : "folder");
    else if (remedy === "cpu") this.settings = { device: "cpu" };
    else if (remedy) this.#session.open({ fresh: remedy === "fresh" });
  }

  /** Makes a picture for the visitor, who sees the notes. @param {{compare: boolean}} options */
  #make(options) {
    const [field] = this.#invalid(options.compare).keys();
    if (field) this.#views.form.focus(field);
    else this.#work.generate(options.compare ? "compare" : "picture");
  }

  /** The messages about fields that do not allow a picture. @param {boolean} compare */
  #invalid(compare) {
    const { form } = this.#views;
    const invalid = form.review();
    if (compare && !this.settings.negative_prompt.trim()) {
      const text = strings().studio.prompts.writeFirst;
      invalid.set("negative_prompt", text);
      form.note("negative_prompt", text);
    }
    return invalid;
  }

  /** @param {string} model as the field is to have it */
  #useFile(model) {
    this.#views.form.forgetModel();
    const same = this.settings.model === model;
    this.settings = { model };
    // Of the same name, but perhaps another file.
    if (same) this.#session.open();
  }

  /** Restores the settings that a picture was made with. @param {File} picture */
  async #restoreFile(picture) {
    const text = await textOf(new Uint8Array(await picture.arrayBuffer()), "parameters");
    const found = text === null ? null : fromInfotext(text);
    if (!found) {
      throw new DarkroomError("request", strings().studio.status.noParameters(picture.name));
    }
    const { status } = this.#views;
    this.#shown.showProblem(null);
    this.settings = found.settings;
    status.warn(found.notes);
    if (this.#session.idle) status.say(said(strings().studio.status.restored(picture.name)));
  }

  /** Shows a picture of the gallery. @param {Frame} frame */
  #showFrame(frame) {
    if (!this.#session.idle) return;
    this.#views.pictures.show(frame);
    this.#views.status.warn(frame.warnings);
  }

  /** Shows a picture of the gallery, and restores its settings. @param {Frame} frame */
  #restoreFrame(frame) {
    const { device, model, ...settings } = frame.settings;
    this.settings = model === this.settings.model ? settings : frame.settings;
    this.#showFrame(frame);
  }

  /** @param {Frame} frame */
  async #save({ settings, canvas }) {
    try {
      const file = await pictureFile(canvas, settings);
      download(file, file.name);
    } catch (error) {
      this.#shown.showProblem(problemOf(error, "engine"));
    }
  }

  /**
   * Runs after any change by the visitor, by a link or by the page.
   * @param {Field} [field] the one that was typed in
   */
  #changed(field) {
    this.#views.form.review();
    this.#work.changed(field);
    this.#views.notes.soon();
    emit(this, "settings", this.settings);
  }

  /** @param {string | null} address of the model that was deleted from the cache; null: all */
  #deleted(address) {
    const { opened } = this.#session;
    if (!opened || opened.stored === "disk") return;
    if (address !== null && address !== this.#address) return;
    this.#views.status.deleted(opened);
  }

  /** The model: its address, or its files where it is on the visitor's disk. */
  get #model() {
    const { model } = this.settings;
    return this.#files && model.startsWith(ON_DISK) ? this.#files.model(model) : this.#address;
  }

  /** The model's address. The one of a model on a disk names no server. */
  get #address() {
    return addressOf(this.settings.model, document.baseURI, this.#hub);
  }

  get #hub() {
    return this.getAttribute("hub") ?? undefined;
  }

  get #form() {
    return /** @type {HTMLFormElement} */ (this.#root?.querySelector("form"));
  }

  /**
   * @template {HTMLElement} [T=HTMLElement]
   * @param {string} name
   * @param {new () => T} [kind]
   */
  #part(name, kind) {
    return partOf(/** @type {ShadowRoot} */ (this.#root), name, kind);
  }
}
