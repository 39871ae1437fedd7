// @ts-check
/**
 * `<darkroom-studio model="models/portraits">`: the whole studio as one element with a shadow root.
 * docs/embedding.md describes its attributes, properties, methods, events, slots and parts.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { setLanguage, strings } from "../strings/index.js";
import { Additions } from "./additions.js";
import { ON_DISK } from "./address.js";
import { emit } from "./events.js";
import { FileInput } from "./file-input.js";
import { rememberFold } from "./fold.js";
import { SettingsForm } from "./form.js";
import { listenToForm } from "./form-events.js";
import { attachGroups } from "./groups.js";
import { LiveNotes } from "./live-notes.js";
import { modelNames } from "./model-names.js";
import { ModelSwitch } from "./model-switch.js";
import { PictureActions } from "./picture-actions.js";
import { PromptLanguage } from "./prompt-language.js";
import { makeRun, until } from "./run.js";
import { SessionView } from "./session-view.js";
import {
  ATTRIBUTES,
  defaultOf,
  ownDefaults,
  SettingElement,
  settingsOfAttributes,
} from "./setting-element.js";
import { fieldOf, randomSeed } from "./settings.js";
import { languageOf, restyle, shadowRootOf } from "./shadow-root.js";
import { ShelfDoor } from "./shelf-door.js";
import { Stage } from "./stage.js";
import { partOf, StatusView, said } from "./status-view.js";
import { Workplace } from "./workplace.js";

/** @typedef {import("../engine/protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("../engine/protocol.js").Prediction} Prediction */
/** @typedef {import("./session-view.js").Views} Views */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */

/** An element that is moved leaves the document for a moment, and keeps its engine. */
const RELEASE_AFTER_MS = 5000;

export class DarkroomStudio extends SettingElement {
  static observedAttributes = ATTRIBUTES;

  /** @type {ShadowRoot | null} */ #root = null;
  /** @type {Views} */ #views = /** @type {any} */ (null);
  /** @type {FileInput | null} */ #files = null;
  /** Settings given before the form exists. @type {Partial<Settings>} */ #early = {};
  /** Settings of a link, before the form exists. @type {Partial<Settings> | null} */
  #link = null;
  /** @type {import("./showcase.js").Showcase | null} */ #showcase = null;
  #firstSeed = randomSeed();
  #releaseTimer = 0;
  /** The model or the device was changed, and is not opened yet. */ #stale = true;
  #connect = () => {};
  /** @type {Promise<void>} */ #connected = new Promise((resolve) => {
    this.#connect = resolve;
  });
  /** @type {Additions} */ #additions = new Additions({
    keep: () => this.keep,
    session: () => this.#session,
    settings: () => this.settings,
    fill: (settings) => this.#fill(settings),
    weigh: (loras) => {
      this.#views.form.fill({ loras });
      this.#changed("loras");
    },
    say: (text) => this.#views.status.say(said(text)),
    problem: (error) => this.#shown.showProblem(problemOf(error, "file")),
  });
  /** @type {SessionView} */ #shown = new SessionView(this, {
    additions: this.#additions,
    views: () => this.#views,
    choice: () => ({
      model: this.#model,
      prediction: /** @type {Prediction} */ (this.settings.prediction),
      device: /** @type {DeviceChoice} */ (this.settings.device),
      additions: this.#additions.files(),
      vae: this.settings.vae,
    }),
    onFile: (file) => this.setValue(file),
    models: () => this.#switch,
    onSwitched: () => this.#changed(),
  });
  #session = this.#shown.session;
  #pictures = new PictureActions({
    settings: () => this.settings,
    fill: (settings) => this.#fill(settings),
    views: () => this.#views,
    shown: this.#shown,
    additions: this.#additions,
  });
  /** @type {Workplace} */ #work = new Workplace({
    element: this,
    session: this.#session,
    fill: (settings) => this.#fill(settings),
    openLink: (settings) => this.openLink(settings),
    generate: (options) => this.#make(options),
    make: (settings, options) => makeRun(this.#shown, settings, options),
    onSeed: () => this.#changed(),
    onState: () => this.#shown.showState(),
    onShow: (frame) => this.#pictures.show(frame),
    onChoose: (frame) => void this.#pictures.choose(frame),
  });
  #names = modelNames(() => this.getAttribute("hub") ?? undefined);
  #switch = new ModelSwitch({
    form: () => this.#views.form,
    changed: () => this.#changed(),
    open: () => this.#session.change(),
    loaded: () => this.#session.opened !== null,
    fallback: () => this.getAttribute("model") ?? "",
    ...this.#names,
    say: (text) => this.#views.status.say({ text, fraction: text ? null : undefined }),
    problem: (problem, typed) => this.#shown.showProblem(problem, typed),
    addition: (kind, url) => this.#additions.addAddress(kind, url),
    ask: (question, model) =>
      this.#views.status.ask(question, model, this.#names.nameOf(this.settings.model)),
  });

  #shelf = new ShelfDoor({
    root: () => /** @type {ShadowRoot} */ (this.#root),
    inUse: () => (this.#session.engine === "failed" ? "" : this.#address),
    catalogue: () => this.catalogue,
    refusals: () => this.#switch.refusals,
    ...this.#names,
    onUse: (model, defaults) => this.#switch.choose(model, defaults),
    onFile: (kind) => this.#files?.choose(kind),
    onDelete: (address) => this.#deleted(address),
    onProblem: (problem) => this.#shown.showProblem(problem),
  });

  connectedCallback() {
    clearTimeout(this.#releaseTimer);
    this.adopt("settings", "showcase", "link");
    if (!this.#root) this.#build();
    this.#work.connect();
    if (this.#session.engine === "closed") this.#stale = true;
    void this.#begin();
  }

  /** Opens the first model: the one of a link, unless the visitor has to agree to it. */
  async #begin() {
    const link = this.#link;
    this.#link = null;
    if (link) this.#views.form.fill(await this.#switch.link(link, document.baseURI));
    this.#switch.begin();
    this.#open();
    this.#switch.showQuestion();
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
    else if (name !== "keep" && name !== "catalogue") this.#takeAttribute(fieldOf(name), value);
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
    if (this.#root) this.#fill(settings);
    else Object.assign(this.#early, settings);
  }

  /** Fills the form, and opens another model. @param {Partial<Settings>} settings */
  #fill(settings) {
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

  /**
   * Applies the settings of a link. A model from another host, or a large one, is loaded only after
   * the visitor has agreed.
   * @param {Partial<Settings>} settings
   */
  async openLink(settings) {
    if (this.#root) {
      this.settings = await this.#switch.link(settings, document.baseURI);
      this.#switch.showQuestion();
      return;
    }
    const { model, prediction, ...rest } = settings;
    this.#link = settings;
    this.settings = rest;
  }

  /** The settings of a link, as for `openLink`. @param {Partial<Settings>} settings */
  set link(settings) {
    void this.openLink(settings);
  }

  /** The settings for a link: they name the model that is loaded. */
  get linkSettings() {
    return this.#switch.forAddress(this.settings);
  }

  /** Knowledge about a model: what it draws, and seeds that show what a word removes. */
  get showcase() {
    return this.#showcase;
  }

  set showcase(showcase) {
    this.#showcase = showcase;
    if (this.#root) this.#views.pictures.describe(this.settings.model, showcase);
  }

  formResetCallback() {
    const { seed: _, ...settings } = settingsOfAttributes(this);
    const same = settings.model === this.settings.model;
    this.settings = { ...settings, ...(same && this.#views?.form.defaults) };
    this.setValue(null);
  }

  /**
   * Makes a picture, as soon as the element is in a document and its model is open. Ends a picture
   * in progress.
   * @param {object} [options]
   * @param {boolean} [options.compare] makes two of the same seed, the first without the negative
   *   prompt
   * @param {boolean} [options.wall] makes such a pair for each of nine seeds
   * @param {AbortSignal} [options.signal] cancels
   * @returns {Promise<import("./run.js").Outcome>}
   * @throws {DarkroomError | DOMException} a DarkroomError says why there is no picture; an
   *   AbortError that it was cancelled
   */
  async generate({ compare = false, wall = false, signal } = {}) {
    await until(this.#connected, signal);
    // A model that was typed just now is examined first.
    if (!(await this.#switch.settled())) throw new DOMException("No model.", "AbortError");
    return this.#work.instead(async () => {
      do await this.#session.stop();
      while (!this.#session.idle);
      signal?.throwIfAborted();
      const [invalid] = this.#views.form.invalid({ compare, wall }).values();
      if (invalid) throw new DarkroomError("request", invalid);
      this.#open();
      // A comparison is about the picture there is: the same seed again.
      if (!compare && !wall) this.#views.form.useSeed(new Set());
      this.#changed();
      return makeRun(this.#shown, this.settings, { compare, wall, signal });
    });
  }

  /** Cancels the picture in progress after its current step. */
  cancel() {
    this.#work.cancel();
  }

  /**
   * Adds a LoRA, an embedding or a VAE to the model.
   * @param {File | string} from a file, or an address as for a model
   * @returns {Promise<import("../engine/protocol.js").Added>}
   * @throws {DarkroomError} it does not fit the model
   */
  async add(from) {
    await until(this.#connected);
    return this.#additions.take(from, this.#names.addressOf);
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
    const linked = Object.keys({ ...this.#early, ...this.#link }).length > 0;
    const form = this.#buildForm(declared);
    const language = new PromptLanguage(root, form, () => this.#changed());
    this.#views = {
      status,
      form,
      notes: new LiveNotes(this.#session, form, language, status),
      language,
      pictures: this.#buildStage(root),
      work: this.#work,
    };
    if (this.#work.attach(root, form, linked) && this.#link) {
      // A page that is loaded again goes on as it was left. A link's model is still asked about.
      const { model, prediction } = this.#link;
      this.#link = model === undefined ? null : { model, prediction: prediction ?? "auto" };
    }
    this.#buildFiles(root);
    this.#views.pictures.describe(form.settings.model, this.#showcase);
    rememberFold(this.#part("fold", HTMLDetailsElement));
    this.#additions.attach(this.#part("additions"));
    this.#listen();
  }

  /** @param {ShadowRoot} root */
  #buildStage(root) {
    return new Stage(root, {
      onSave: (frame) => void this.#pictures.save(frame),
      onTry: (settings) => {
        this.settings = settings ?? { seed: randomSeed() };
        this.#make({ compare: true });
      },
      onOpen: (frames) => this.#pictures.restore(this.#shown.keep(frames)),
    });
  }

  /** @param {boolean} declared visitors may have typed into the form already */
  #buildForm(declared) {
    attachGroups(this.#form);
    const { steps: _, guidance_scale: __, ...attributes } = settingsOfAttributes(this);
    const form = new SettingsForm(this.#form, (model) => ({
      ...ownDefaults(this, model),
      ...this.#shelf.defaultsOf(model),
    }));
    const typed = declared ? form.typed() : {};
    form.fill({
      ...attributes,
      seed: attributes.seed || this.#firstSeed,
      ...this.#early,
      ...typed,
    });
    if (this.#early.seed || typed.seed) form.chooseSeed();
    form.review();
    return form;
  }

  /** @param {ShadowRoot} root */
  #buildFiles(root) {
    // It has the files that the visitor chose, and stays when the form is built again.
    this.#files ??= new FileInput(this, root, {
      onModel: (name) => this.#switch.accept(name),
      onPicture: (picture) => this.#pictures.restoreFile(picture),
      withVae: () => this.settings.vae !== "",
      onAddition: (kind, file, config) => this.#additions.add(kind, file, config),
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
      Object.assign(settings, ownDefaults(this, value ?? ""));
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
    this.#views.pictures.describe(this.settings.model, this.#showcase);
    if (typeof WebAssembly === "object") this.#session.change();
    else {
      this.#form.hidden = true;
      this.#views.status.fallback(true, strings().studio.status.noWebAssembly);
    }
  }

  #listen() {
    listenToForm(this.#form, {
      form: () => this.#views.form,
      files: () => this.#files,
      session: this.#session,
      models: this.#switch,
      make: (options) => this.#make(options),
      cancel: () => this.#work.cancel(),
      fill: (settings) => this.#fill(settings),
      openModels: () => void this.#shelf.open(),
      changed: (field) => this.#changed(field),
      hideProblem: () => this.#shown.showProblem(null),
    });
  }

  /**
   * Makes a picture for the visitor, who sees the notes.
   * @param {{compare?: boolean, wall?: boolean}} options
   */
  #make(options) {
    const [field] = this.#views.form.invalid(options).keys();
    if (field) this.#views.form.focus(field);
    else void this.#work.generate(options, this.#switch.settled());
  }

  /**
   * Runs after any change by the visitor, by a link or by the page.
   * @param {Field} [field] the one that was typed in
   */
  #changed(field) {
    this.#views.form.review();
    this.#work.changed(field);
    this.#views.language.review();
    this.#views.notes.soon();
    this.#views.pictures.describe(this.settings.model, this.#showcase);
    this.#additions.changed();
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
    return this.#names.addressOf(this.settings.model);
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
