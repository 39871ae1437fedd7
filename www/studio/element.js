// @ts-check
/**
 * `<darkroom-studio model="models/portraits">`: the whole studio as one element with a shadow root.
 * docs/embedding.md describes its attributes, properties, methods, events, slots and parts.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { setLanguage, strings } from "../strings/index.js";
import { addressOf, nameOf, ON_DISK } from "./address.js";
import { emit } from "./events.js";
import { FileInput } from "./file-input.js";
import { rememberFold } from "./fold.js";
import { SettingsForm } from "./form.js";
import { Gallery } from "./gallery.js";
import { LiveNotes } from "./live-notes.js";
import { ModelSwitch } from "./model-switch.js";
import { ModelsPanel } from "./models.js";
import { PictureActions } from "./picture-actions.js";
import { useRemedy } from "./remedies.js";
import { makeRun, until } from "./run.js";
import { SessionView } from "./session-view.js";
import {
  ATTRIBUTES,
  defaultOf,
  SettingElement,
  settingsOfAttributes,
  takeEarly,
} from "./setting-element.js";
import { DEFAULTS, fieldOf, randomSeed } from "./settings.js";
import { languageOf, restyle, shadowRootOf } from "./shadow-root.js";
import { translated } from "./showcase.js";
import { Stage } from "./stage.js";
import { partOf, StatusView } from "./status-view.js";

/** @typedef {import("../engine/protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("../engine/protocol.js").Prediction} Prediction */
/** @typedef {import("./session-view.js").Views} Views */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./showcase.js").Showcase} Showcase */

/** An element that is moved leaves the document for a moment, and keeps its engine. */
const RELEASE_AFTER_MS = 5000;

export class DarkroomStudio extends SettingElement {
  static observedAttributes = ATTRIBUTES;

  /** @type {ShadowRoot | null} */ #root = null;
  /** @type {Views} */ #views = /** @type {any} */ (null);
  /** @type {ModelsPanel} */ #models = /** @type {any} */ (null);
  /** @type {FileInput | null} */ #files = null;
  /** Settings given before the form exists. @type {Partial<Settings>} */ #early = {};
  /** The settings of a link, before the form exists. @type {Partial<Settings> | null} */
  #link = null;
  /** @type {Showcase | null} */ #showcase = null;
  #firstSeed = randomSeed();
  #releaseTimer = 0;
  /**
   * Change since the model was opened; "all": nothing is open.
   * @type {"all" | "model" | "device" | null}
   */
  #stale = "all";
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
    models: () => this.#switch,
    onChange: () => this.#changed(),
    onFile: (file) => this.setValue(file),
  });
  #session = this.#shown.session;
  #pictures = new PictureActions({
    shown: this.#shown,
    views: () => this.#views,
    settings: () => this.settings,
    apply: (settings) => this.#apply(settings),
    make: (options) => this.#make(options),
  });
  #switch = new ModelSwitch({
    settings: () => this.#views.form.settings,
    fill: (settings) => {
      this.#views.form.fill(settings);
      this.#changed();
    },
    forget: () => this.#views.form.forgetModel(),
    open: () => this.#session.change("model"),
    loaded: () => this.#session.opened !== null,
    fallback: () => this.getAttribute("model") ?? "",
    addressOf: (model) => addressOf(model, document.baseURI, this.#hub),
    nameOf: (model) => this.#nameOf(model),
    say: (text) => this.#views.status.say({ text, fraction: text ? null : undefined }),
    problem: (problem, typed) => this.#shown.showProblem(problem, typed),
    ask: (question, model) =>
      this.#views.status.ask(question, model, this.#nameOf(this.settings.model)),
  });

  connectedCallback() {
    clearTimeout(this.#releaseTimer);
    takeEarly(this, ["settings", "showcase", "link"]);
    if (!this.#root) this.#build();
    if (this.#session.engine === "closed") this.#stale = "all";
    void this.#start();
  }

  /** Opens the first model: the one of the link, unless the visitor has to agree to it. */
  async #start() {
    const link = this.#link;
    this.#link = null;
    if (link) this.#views.form.fill(await this.#switch.link(link, document.baseURI));
    if (this.#stale === "all") this.#switch.begin();
    this.#open();
    this.#switch.showQuestion();
    this.#connect();
  }

  disconnectedCallback() {
    this.#releaseTimer = window.setTimeout(() => this.#session.close(), RELEASE_AFTER_MS);
  }

  adoptedCallback() {
    if (this.#root) restyle(this.#root);
  }

  /** @param {string} name @param {string | null} before @param {string | null} value */
  attributeChangedCallback(name, before, value) {
    if (before === value) return;
    if (name === "lang") this.#translate();
    else if (name === "hub") this.#openSoon("model");
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
    this.#apply(settings);
  }

  /** @param {Partial<Settings>} settings */
  #apply(settings) {
    if (!this.#root) {
      Object.assign(this.#early, settings);
      return;
    }
    const { form } = this.#views;
    const before = form.settings;
    form.fill(settings);
    if (settings.seed) form.lockSeed();
    this.#changed();
    const { device, model, prediction } = form.settings;
    const same =
      device === before.device && model === before.model && prediction === before.prediction;
    if (!same) this.#openSoon(device === before.device ? "model" : "device");
  }

  /**
   * Applies the settings of a link. A model from another host, or a large one, is loaded only after
   * the visitor has agreed.
   * @param {Partial<Settings>} settings
   */
  async openLink(settings) {
    const { model, prediction, ...rest } = settings;
    if (!this.#root) {
      this.#link = settings;
      this.settings = rest;
      return;
    }
    this.settings = await this.#switch.link(settings, document.baseURI);
    this.#switch.showQuestion();
  }

  /** The settings of a link, as for `openLink`. @param {Partial<Settings>} settings */
  set link(settings) {
    void this.openLink(settings);
  }

  /** Facts about a model, see showcase.js. @param {Showcase | null} showcase */
  set showcase(showcase) {
    this.#showcase = showcase;
    if (this.#root) this.#describeModel();
  }

  get showcase() {
    return this.#showcase;
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
   * @param {boolean} [options.wall] makes such a pair for each of nine seeds
   * @param {AbortSignal} [options.signal] cancels
   * @returns {Promise<import("./run.js").Outcome>}
   * @throws {DarkroomError | DOMException} a DarkroomError says why there is no picture; an
   *   AbortError that it was cancelled
   */
  async generate({ compare = false, wall = false, signal } = {}) {
    await until(this.#connected, signal);
    if (!(await until(this.#switch.settled(), signal))) throw this.#shown.refusal();
    do await this.#session.stop();
    while (!this.#session.idle);
    signal?.throwIfAborted();
    const several = compare || wall;
    const [invalid] = this.#invalid(several).values();
    if (invalid) throw new DarkroomError("request", invalid);
    this.#open();
    // A comparison is about the picture there is: the same seed again.
    if (!several) this.#views.form.useSeed();
    this.#changed();
    const kind = wall ? "wall" : compare ? "compare" : "picture";
    return makeRun(this.#shown, this.settings, kind, signal);
  }

  /** Cancels the picture in progress after its current step. */
  cancel() {
    this.#session.cancel();
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
    const form = this.#buildForm(declared);
    this.#views = {
      status,
      form,
      notes: new LiveNotes(this.#session, form, status),
      stage: new Stage(root, {
        onSave: (frame) => void this.#pictures.save(frame),
        onTry: (settings) => this.#pictures.try(settings),
        onOpen: (frames) => this.#pictures.openPair(frames),
      }),
      gallery: new Gallery(this.#part("gallery"), (frame) => this.#pictures.restoreFrame(frame)),
    };
    this.#describeModel();
    this.#buildModels();
    this.#buildFiles(root);
    rememberFold(this.#part("fold", HTMLDetailsElement));
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
    if (this.#early.seed || typed.seed) form.lockSeed();
    form.review();
    return form;
  }

  #buildModels() {
    this.#models = new ModelsPanel(this.#part("models", HTMLDialogElement), {
      nameOf: (address) => nameOf(address, document.baseURI, this.#hub),
      onUse: (model) => this.#switch.accept(model),
      onDelete: (address) => this.#deleted(address),
    });
  }

  /** @param {ShadowRoot} root */
  #buildFiles(root) {
    // It has the files that the visitor chose, and stays when the form is built again.
    this.#files ??= new FileInput(this, root, {
      onModel: (name) => this.#switch.accept(name),
      onPicture: (picture) => this.#pictures.restoreFile(picture),
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

  /**
   * Opens the model after this task: several attributes may change in a row.
   * @param {"model" | "device"} what has changed
   */
  #openSoon(what) {
    this.#stale ??= what;
    queueMicrotask(() => this.#open());
  }

  /** Opens the model, if it was changed. */
  #open() {
    const stale = this.#stale;
    if (!stale || !this.isConnected || !this.#root) return;
    this.#stale = null;
    if (typeof WebAssembly !== "object") {
      this.#form.hidden = true;
      this.#views.status.fallback(true, strings().studio.status.noWebAssembly);
    } else if (stale === "all") this.#session.open();
    else this.#session.change(stale);
  }

  /** Shows what the model draws, where that is known. */
  #describeModel() {
    const { model } = this.settings;
    const known = this.#showcase?.model === model ? this.#showcase : null;
    this.#views.stage.showcase = known;
    this.#part("draws").textContent = translated(known?.draws) || strings().stage.model(model);
  }

  #listen() {
    const form = this.#form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#session.idle) this.#make({});
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      if (event.key === "Escape") this.#session.cancel();
    });
    form.addEventListener("click", ({ target }) => {
      const button = /** @type {HTMLElement} */ (target).closest("button");
      if (button) this.#press(button.dataset);
    });
    form.addEventListener("input", ({ target }) => {
      this.#views.form.apply(/** @type {HTMLInputElement} */ (target));
      this.#changed();
    });
    form.addEventListener("change", ({ target }) => {
      const { name } = /** @type {HTMLInputElement} */ (target);
      if (name === "model") this.#switch.typed();
      // The prediction type also decides on the model's default sampler and size.
      if (name === "prediction") this.#views.form.resetModelDefaults();
      if (name === "device") this.#session.change("device");
      if (name === "prediction") this.#session.change("model");
    });
  }

  /** A button of the form. @param {DOMStringMap} data */
  #press({ act, remedy }) {
    if (act === "cancel") this.#session.cancel();
    if (act === "compare" && this.#session.idle) this.#make({ compare: true });
    if (act === "wall" && this.#session.idle) this.#make({ wall: true });
    if (act === "change-model") this.#views.form.focus("model");
    if (act === "new-seed") {
      this.#views.form.newSeed();
      this.#changed();
    }
    if (act === "models") void this.#models.open(this.#address);
    if (act === "file" || act === "folder") this.#files?.choose(act);
    if (remedy && this.#files)
      useRemedy(remedy, {
        session: this.#session,
        models: this.#switch,
        files: this.#files,
        model: () => this.settings.model,
        useCpu: () => (this.settings = { device: "cpu" }),
        focusModel: () => this.#views.form.focus("model"),
        hide: () => this.#shown.showProblem(null),
      });
  }

  /**
   * Makes pictures for the visitor, who sees the notes.
   * @param {{compare?: boolean, wall?: boolean}} options
   */
  #make(options) {
    const [field] = this.#invalid(Boolean(options.compare || options.wall)).keys();
    if (field) this.#views.form.focus(field);
    else this.generate(options).catch(() => {});
  }

  /** The messages about fields that do not allow a picture. @param {boolean} several */
  #invalid(several) {
    const { form } = this.#views;
    const invalid = form.review();
    if (several && !this.settings.negative_prompt.trim()) {
      const text = strings().studio.prompts.writeFirst;
      invalid.set("negative_prompt", text);
      form.note("negative_prompt", text);
    }
    return invalid;
  }

  /** Runs after any change by the visitor, by a link or by the page. */
  #changed() {
    this.#views.form.review();
    this.#describeModel();
    this.#views.notes.soon();
    emit(this, "settings", this.#switch.forAddress(this.settings));
  }

  /** @param {string | null} address of the model that was deleted from the cache; null: all */
  #deleted(address) {
    const { opened } = this.#session;
    if (!opened || opened.stored === "disk") return;
    if (address !== null && address !== this.#address) return;
    this.#views.status.deleted(opened);
  }

  /** @param {string} model the text in the model field */
  #nameOf(model) {
    if (model.startsWith(ON_DISK)) return model.slice(ON_DISK.length).replace(/\/$/, "");
    return nameOf(addressOf(model, document.baseURI, this.#hub), document.baseURI, this.#hub);
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
