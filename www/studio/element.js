// @ts-check
/**
 * `<darkroom-studio model="models/portraits">`: the whole studio as one element with a shadow root.
 *
 * Attributes, read when it is put into a document: `model`, `prompt`, `negative-prompt`, `seed`,
 * `guidance-scale` (for that model), and `hub`: the address of the hub that models named
 * `owner/name` come from, if not Hugging Face. Property `settings`: the values of the form. Method
 * `generate()`. Events: `settings` when they change, `picture` with each finished one.
 */
import { DarkroomError, problemOf } from "../base/problem.js";
import { setLanguage, strings } from "../strings/index.js";
import { addressOf, isCheckpoint, nameOf, ON_DISK } from "./address.js";
import { FileInput } from "./file-input.js";
import { SettingsForm } from "./form.js";
import { fromInfotext, infotext } from "./infotext.js";
import { ModelsPanel } from "./models.js";
import { canvasOf, PictureView } from "./picture-view.js";
import { fileName } from "./pictures.js";
import { download, pngOf } from "./png.js";
import { textOf } from "./png-text.js";
import { openingText, stepText } from "./progress.js";
import { Session } from "./session.js";
import { DEFAULTS, fieldOf, randomSeed } from "./settings.js";
import { languageOf, shadowRootOf } from "./shadow-root.js";
import { partOf, StatusView, said } from "./status-view.js";
import { Workplace } from "./workplace.js";

/** @typedef {import("../engine/protocol.js").DeviceChoice} DeviceChoice */
/** @typedef {import("../engine/protocol.js").OpenProgress} OpenProgress */
/** @typedef {import("../engine/protocol.js").Opened} Opened */
/** @typedef {import("../engine/protocol.js").Prediction} Prediction */
/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./session.js").Job} Job */
/** @typedef {import("./session.js").Result} Result */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */

const COUNT_AFTER_MS = 150;
/** A demo model may be evicted when storage runs short. Models larger than this should not be. */
const ASK_TO_PERSIST_FROM = 200e6;

/** The class of elements; on a server, where there is none, any class. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? Object);

export class DarkroomStudio extends Base {
  #internals = this.attachInternals();
  /** @type {ShadowRoot} */ #root = /** @type {any} */ (null);
  /** @type {StatusView} */ #status = /** @type {any} */ (null);
  /** @type {SettingsForm} */ #form = /** @type {any} */ (null);
  /** @type {PictureView} */ #view = /** @type {any} */ (null);
  /** @type {Workplace} */ #work = /** @type {any} */ (null);
  /** @type {ModelsPanel} */ #models = /** @type {any} */ (null);
  /** @type {FileInput} */ #files = /** @type {any} */ (null);
  /** Settings given before the form exists. @type {Partial<Settings>} */ #early = {};
  /** Fields that were changed before the script ran. @type {Partial<Settings>} */ #typed = {};
  /** Time of the run's pictures so far. */ #seconds = 0;
  #countTimer = 0;

  #session = new Session({
    choice: () => ({
      model: this.#model,
      prediction: /** @type {Prediction} */ (this.settings.prediction),
      device: /** @type {DeviceChoice} */ (this.settings.device),
    }),
    onChange: () => this.#show(),
    onOpening: () => this.#status.clear(),
    onOpenProgress: (progress) => this.#showOpening(progress),
    onReady: (opened) => this.#welcome(opened),
    onProblem: (problem) => this.#problem(problem),
    onStart: (settings) => this.#view.prepare(settings),
    onPrompts: () => {
      const { encoding: text, making: spoken } = strings().studio.status;
      this.#status.say({ text, spoken });
    },
    onStep: (progress, { at, all }, watch) => {
      const size = { width: Number(all[at].width), height: Number(all[at].height) };
      if (progress.preview) this.#view.preview(at, progress.preview, size);
      if (progress.warnings) this.#status.warn(progress.warnings);
      const status = stepText(progress, watch, at, all.length);
      this.#status.say(status);
      this.#work.progress(status.fraction ?? 0);
    },
    onPicture: (result, job) => this.#finish(result, job),
    onCancelling: () =>
      this.#status.say({ text: strings().studio.status.stopping, fraction: null }),
    onFailed: (cancelled) =>
      this.#status.say(cancelled ? said(strings().studio.status.cancelled) : { text: "" }),
    onEnd: () => this.#view.rest(),
  });

  connectedCallback() {
    if (!this.#form) this.#build();
    this.#work.connect();
    this.#session.open();
  }

  disconnectedCallback() {
    this.#work.disconnect();
    this.#session.close();
  }

  /** @returns {Settings} */
  get settings() {
    return this.#form.settings;
  }

  /** Changes the settings that are named. @param {Partial<Settings>} settings */
  set settings(settings) {
    if (!this.#form) {
      Object.assign(this.#early, settings);
      return;
    }
    const before = this.settings;
    this.#form.fill(settings);
    if (settings.seed) this.#form.chooseSeed();
    this.#changed();
    const { device, model, prediction } = this.settings;
    const same =
      device === before.device && model === before.model && prediction === before.prediction;
    if (this.isConnected && !same) this.#session.open();
  }

  /** Makes a picture. `compare`: two of the same seed, the first without the negative prompt. */
  async generate({ compare = false } = {}) {
    await this.#work.generate({ compare, now: true });
  }

  /** Takes files that are dragged over the page beside the studio. @param {DragEvent} event */
  drag(event) {
    this.#files?.drag(event);
  }

  #build() {
    setLanguage(languageOf(this));
    const { root, declared } = shadowRootOf(this, this.#internals);
    this.#root = root;
    this.#status = new StatusView(root);
    this.#buildForm(declared);
    this.#buildPictures();
    this.#buildModels();
    this.#buildFiles();
    this.#listen();
  }

  /** @param {boolean} declared visitors may have typed into the form already */
  #buildForm(declared) {
    const attribute = (/** @type {string} */ name) => this.getAttribute(name) ?? "";
    // The attribute's guidance scale is for the attribute's model.
    const defaultGuidance = (/** @type {string} */ model) =>
      (model === attribute("model") && attribute("guidance-scale")) || DEFAULTS.guidance_scale;
    this.#form = new SettingsForm(this.#formElement, defaultGuidance);
    const typed = declared ? this.#form.typed() : {};
    this.#typed = typed;
    this.#form.fill({
      ...DEFAULTS,
      prompt: attribute("prompt"),
      negative_prompt: attribute("negative-prompt"),
      seed: attribute("seed") || randomSeed(),
      guidance_scale: defaultGuidance(this.#early.model ?? attribute("model")),
      model: attribute("model"),
      ...this.#early,
      ...typed,
    });
    if (this.#early.seed || typed.seed) this.#form.chooseSeed();
    this.#form.review();
  }

  #buildPictures() {
    this.#view = new PictureView(this.#part("pictures"), (frame) => void this.#save(frame));
    this.#work = new Workplace({
      element: this,
      root: this.#root,
      keep: this.hasAttribute("keep"),
      session: this.#session,
      form: this.#form,
      fill: (settings) => {
        this.settings = settings;
      },
      onSeed: () => this.#changed(),
      onShow: (frame) => this.#showFrame(frame),
      onChoose: (frame) => this.#restoreFrame(frame),
    });
    this.#work.begin(Object.keys(this.#early).length > 0, this.#typed);
  }

  #buildModels() {
    this.#models = new ModelsPanel(this.#part("models", HTMLDialogElement), {
      nameOf: (address) => nameOf(address, document.baseURI, this.#hub),
      onUse: (model) => {
        this.#form.forgetModel();
        this.settings = { model };
      },
      onDelete: (address) => this.#deleted(address),
    });
  }

  #buildFiles() {
    this.#files = new FileInput(this, this.#root, {
      onModel: (name) => this.#useFile(name),
      onPicture: (picture) => this.#restoreFile(picture),
      onProblem: (error) => this.#problem(problemOf(error, "disk")),
    });
  }

  get #formElement() {
    return /** @type {HTMLFormElement} */ (this.#root.querySelector("form"));
  }

  #listen() {
    const form = this.#formElement;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#work.generate();
    });
    form.addEventListener("click", ({ target }) => {
      const button = /** @type {HTMLElement} */ (target).closest("button");
      if (button) this.#press(button.dataset);
    });
    form.addEventListener("input", ({ target }) => {
      const input = /** @type {HTMLInputElement} */ (target);
      this.#form.apply(input);
      this.#changed(fieldOf(input.name || input.dataset.slider || ""));
    });
    form.addEventListener("change", ({ target }) => {
      const { name } = /** @type {HTMLInputElement} */ (target);
      if (name === "model") {
        this.#form.forgetModel();
        this.#changed();
      }
      // The prediction type also decides on the model's default sampler and size.
      if (name === "prediction") this.#form.resetModelDefaults();
      if (name === "model" || name === "device" || name === "prediction") this.#session.open();
    });
  }

  /** A button of the form. @param {DOMStringMap} data */
  #press({ act, remedy }) {
    if (act === "cancel") this.#work.cancel();
    if (act === "compare") void this.#work.generate({ compare: true });
    if (act === "new-seed") {
      this.#form.newSeed();
      this.#changed();
    }
    if (act === "models") void this.#models.open(this.#address);
    if (act === "file" || act === "folder") this.#files.choose(act);
    const { model } = this.settings;
    if (remedy === "file") this.#files.choose(isCheckpoint(model) ? "file" : "folder");
    else if (remedy === "cpu") this.settings = { device: "cpu" };
    else if (remedy) this.#session.open({ fresh: remedy === "fresh" });
  }

  /** @param {string} model as the field is to have it */
  #useFile(model) {
    this.#form.forgetModel();
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
    this.#problem(null);
    this.settings = found.settings;
    this.#status.warn(found.notes);
    if (this.#session.idle) this.#status.say(said(strings().studio.status.restored(picture.name)));
  }

  /** Shows a picture of the gallery. @param {Frame} frame */
  #showFrame(frame) {
    if (!this.#session.idle) return;
    this.#view.show(frame);
    this.#status.warn(frame.warnings);
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
      download(await pngOf(canvas, infotext(settings)), fileName(settings));
    } catch (error) {
      this.#problem(problemOf(error, "engine"));
    }
  }

  /** Runs after any change by the visitor or by a link. @param {Field} [field] typed in */
  #changed(field) {
    this.#form.review();
    this.#work?.changed(field);
    clearTimeout(this.#countTimer);
    this.#countTimer = window.setTimeout(() => {
      void this.#count();
      void this.#plan();
    }, COUNT_AFTER_MS);
    this.dispatchEvent(new CustomEvent("settings", { detail: this.settings }));
  }

  async #count() {
    if (!this.#session.opened) return;
    for (const field of /** @type {const} */ (["prompt", "negative_prompt"])) {
      const text = this.settings[field];
      const counted = await this.#session.count(text);
      if (counted && text === this.settings[field]) this.#form.showTokens(field, counted);
    }
    this.#form.review();
  }

  /** Shows the memory that pictures of this size take. */
  async #plan() {
    const { width, height } = this.settings;
    const { opened } = this.#session;
    if (!opened || !this.#form.isValid({ quietly: true })) return;
    const { default_width, default_height } = opened.model;
    const size = [Number(width || default_width), Number(height || default_height)];
    const plan = await this.#session.plan(size[0], size[1]);
    const same = width === this.settings.width && height === this.settings.height;
    if (plan && same) this.#status.plan(plan);
  }

  /** The model: its address, or its files where it is on the visitor's disk. */
  get #model() {
    const { model } = this.settings;
    return model.startsWith(ON_DISK) ? this.#files.model(model) : this.#address;
  }

  /** The model's address. The one of a model on a disk names no server. */
  get #address() {
    return addressOf(this.settings.model, document.baseURI, this.#hub);
  }

  get #hub() {
    return this.getAttribute("hub") ?? undefined;
  }

  // The session's reports

  /** @param {OpenProgress} progress */
  #showOpening(progress) {
    if (progress.stage === "plan") this.#status.plan(progress.plan);
    else if (progress.stage === "notice") this.#status.notice(progress.text);
    else if (progress.stage === "storage") {
      if (progress.bytes > ASK_TO_PERSIST_FROM) void navigator.storage?.persist?.();
    } else this.#status.say(openingText(progress, !this.#session.idle));
  }

  /** @param {Opened} opened */
  #welcome(opened) {
    const { device, model } = opened;
    this.dataset.device = device.kind;
    this.#status.opened(opened, isCheckpoint(this.settings.model));
    this.#form.showModel(model);
    this.#form.review();
    const t = strings().studio.status;
    if (this.#session.idle) {
      this.#status.say({ text: t.ready, spoken: t.readyOn(device.name) });
    }
    void this.#count();
    void this.#plan();
  }

  /** @param {string | null} address of the model that was deleted from the cache; null: all */
  #deleted(address) {
    const { opened } = this.#session;
    if (!opened || opened.stored === "disk") return;
    if (address !== null && address !== this.#address) return;
    this.#status.deleted(opened);
  }

  /** @param {Result} result @param {Job} job */
  #finish({ picture, warnings, seconds, device }, { at, all }) {
    this.#status.warn(warnings);
    const settings = all[at];
    const canvas = canvasOf(picture);
    const frame = { settings, canvas, seconds, device, warnings };
    this.#view.finish(at, frame, all);
    this.#work.picture(frame);
    this.#seconds = seconds + (at > 0 ? this.#seconds : 0);
    this.#status.say(said(strings().studio.status.finished(this.#seconds, device)));
    this.dispatchEvent(new CustomEvent("picture", { detail: { settings, canvas, seconds } }));
  }

  /** @param {import("../base/problem.js").Problem | null} problem */
  #problem(problem) {
    this.#work?.problem(problem);
    this.#status.problem(problem, this.dataset.device === "cpu");
  }

  /** Shows the session's state in the buttons, and as attributes for the style sheet. */
  #show() {
    const { engine, work, idle } = this.#session;
    this.dataset.engine = engine;
    this.dataset.work = work;
    this.#status.buttons({ idle, work });
    if (idle) this.#work?.idle();
  }

  /**
   * @template {HTMLElement} [T=HTMLElement]
   * @param {string} name
   * @param {new () => T} [kind]
   */
  #part(name, kind) {
    return partOf(this.#root, name, kind);
  }
}
