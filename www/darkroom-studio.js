// @ts-check
/**
 * `<darkroom-studio model="models/portraits">`: the whole studio as one element, styled by studio/studio.css.
 *
 * Attributes, read when it is put into a document: `model`, `prompt`, `negative-prompt`, `seed`, `guidance-scale` (for that model), and `hub`: where
 * models named `owner/name` are, if not on Hugging Face. Property `settings`: what the form holds. Method `generate()`. Events: `settings` when they change,
 * `picture` with each finished one.
 */
import { Client } from "./engine/client.js";
import { DarkroomError, problemOf } from "./base/problem.js";
import { ON_DISK, addressOf, isCheckpoint, nameOf } from "./studio/address.js";
import { ContactSheet } from "./studio/gallery.js";
import { Easel, canvasOf } from "./studio/picture-view.js";
import { SettingsForm, completed } from "./studio/form.js";
import { fromInfotext, infotext } from "./studio/infotext.js";
import { MARKUP } from "./studio/template.js";
import { Intake } from "./studio/file-input.js";
import { ModelsPanel } from "./studio/models.js";
import { textOf } from "./studio/png-text.js";
import { download, pngOf } from "./studio/png.js";
import { showProblem } from "./studio/problems.js";
import { Stopwatch, openingWords, stepWords } from "./studio/progress.js";
import { forgottenWords, modelWords, planWords } from "./studio/status-text.js";
import { DEFAULTS, randomSeed, requestOf } from "./studio/settings.js";

/** @typedef {import("./engine/protocol.js").Opened} Opened */
/** @typedef {import("./studio/picture-view.js").Frame} Frame */
/** @typedef {import("./studio/settings.js").Settings} Settings */

const COUNT_AFTER_MS = 150;
const OFFER_HARD_STOP_AFTER_MS = 3000;
const GPU_CRASHES_BORNE = 1;
const WORTH_PERSISTING = 200e6;

export class DarkroomStudio extends HTMLElement {
  /** Absent until the element is in a document. @type {SettingsForm} */ #form = /** @type {any} */ (null);
  /** What was set before. @type {Partial<Settings>} */ #early = {};
  #client = new Client((problem) => this.#crashed(problem));
  /** @type {Easel} */ #easel = /** @type {any} */ (null);
  /** @type {ContactSheet} */ #sheet = /** @type {any} */ (null);
  /** @type {ModelsPanel} */ #models = /** @type {any} */ (null);
  /** @type {Intake} */ #intake = /** @type {any} */ (null);

  /** @type {Promise<Opened>} */ #opening = new Promise(() => {});
  /** @type {Opened | null} */ #opened = null;
  /** @type {{abort: AbortController, done: Promise<void>, stuck: boolean} | null} */ #work = null;
  #gpuCrashes = 0;
  #frames = 0;
  #countTimer = 0;

  connectedCallback() {
    if (!this.#form) this.#build();
    this.#open();
  }

  disconnectedCallback() {
    this.#client.close();
  }

  /** @returns {Settings} */
  get settings() {
    return this.#form.settings;
  }

  /** Only what is named changes. @param {Partial<Settings>} settings */
  set settings(settings) {
    if (!this.#form) {
      Object.assign(this.#early, settings);
      return;
    }
    const before = this.settings;
    this.#form.fill(settings);
    if (settings.seed) this.#form.keepSeed();
    this.#changed();
    const { device, model, prediction } = this.settings;
    if (this.isConnected && (device !== before.device || model !== before.model || prediction !== before.prediction)) this.#open();
  }

  /** Makes a picture with the settings as they are; with `compare` two, the first without the negative prompt. */
  async generate({ compare = false } = {}) {
    while (this.#work) {
      this.#work.abort.abort();
      await this.#work.done;
    }
    if (!this.#form.isSound()) return;
    if (compare && !this.settings.negative.trim()) {
      this.#form.note("negative", "Write here what you don’t want, then compare.");
      this.#form.focus("negative");
      return;
    }
    // A comparison is about the picture there is: the same seed again.
    if (!compare) this.#form.useSeed();
    this.#changed();
    const { settings } = this;
    const abort = new AbortController();
    const done = this.#run(compare ? [{ ...settings, negative: "" }, settings] : [settings], abort.signal);
    this.#work = { abort, done, stuck: false };
    this.#show();
    await done;
  }

  #build() {
    this.innerHTML = MARKUP;
    const form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
    const attribute = (/** @type {string} */ name) => this.getAttribute(name) ?? "";
    // The attribute's guidance scale is for the attribute's model.
    const usualGuidance = (/** @type {string} */ model) => (model === attribute("model") && attribute("guidance-scale")) || DEFAULTS.guidance;
    this.#form = new SettingsForm(form, usualGuidance);
    this.#easel = new Easel(this.#part("easel"), (frame) => void this.#save(frame));
    this.#sheet = new ContactSheet(this.#part("sheet"), (frame) => this.#bringBack(frame));
    this.#models = new ModelsPanel(this.#part("models", HTMLDialogElement), {
      nameOf: (address) => nameOf(address, document.baseURI, this.#hub),
      onUse: (model) => {
        this.#form.forgetModel();
        this.settings = { model };
      },
      onForget: (address) => this.#forgotten(address),
    });
    this.#intake = new Intake(this, {
      onModel: (name) => this.#useFile(name),
      onPicture: (picture) => this.#restore(picture),
      onProblem: (error) => this.#problem(problemOf(error, "disk")),
    });
    this.#form.fill({
      ...DEFAULTS,
      prompt: attribute("prompt"),
      negative: attribute("negative-prompt"),
      seed: attribute("seed") || randomSeed(),
      guidance: usualGuidance(this.#early.model ?? attribute("model")),
      model: attribute("model"),
      ...this.#early,
    });
    if (this.#early.seed) this.#form.keepSeed();
    this.#form.review();
    this.#listen(form);
  }

  /** @param {HTMLFormElement} form */
  #listen(form) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#work) void this.generate();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      if (event.key === "Escape") this.#cancel();
    });
    form.addEventListener("click", (event) => {
      const { act, remedy } = /** @type {HTMLElement} */ (event.target).closest("button")?.dataset ?? {};
      if (act === "cancel") this.#cancel();
      if (act === "compare" && !this.#work) void this.generate({ compare: true });
      if (act === "dice") {
        this.#form.rollSeed();
        this.#changed();
      }
      if (act === "models") void this.#models.open(this.#address);
      if (act === "file" || act === "folder") this.#intake.choose(act);
      if (remedy === "file") this.#intake.choose(isCheckpoint(this.settings.model) ? "file" : "folder");
      else if (remedy === "cpu") this.settings = { device: "cpu" };
      else if (remedy) this.#open({ fresh: remedy === "fresh" });
    });
    form.addEventListener("input", ({ target }) => {
      this.#form.follow(/** @type {HTMLInputElement} */ (target));
      this.#changed();
    });
    form.addEventListener("change", ({ target }) => {
      const { name } = /** @type {HTMLInputElement} */ (target);
      if (name === "model") {
        this.#form.forgetModel();
        this.#changed();
      }
      // What a model predicts decides on its own sampler and size, too.
      if (name === "prediction") this.#form.leaveOpen();
      if (name === "model" || name === "device" || name === "prediction") this.#open();
    });
  }

  /** Takes what is dragged over the page and dropped beside the studio; the studio sees to what is dropped onto it. @param {DragEvent} event */
  drag(event) {
    this.#intake?.drag(event);
  }

  /** @param {string} model as the field is to have it */
  #useFile(model) {
    this.#form.forgetModel();
    const same = this.settings.model === model;
    this.settings = { model };
    // Of the same name, but perhaps another file.
    if (same) this.#open();
  }

  /** Brings back the settings that a picture was made with. @param {File} picture */
  async #restore(picture) {
    const text = await textOf(new Uint8Array(await picture.arrayBuffer()), "parameters");
    const found = text === null ? null : fromInfotext(text);
    if (!found) throw new DarkroomError("request", `${picture.name} does not say how it was made: only PNG files by Darkroom, A1111 and programs like it do.`);
    this.#problem(null);
    this.settings = found.settings;
    this.#warn(found.notes);
    const words = `Settings of ${picture.name}.`;
    if (!this.#work) this.#say({ text: words, spoken: words });
  }

  /** After any change by the visitor or by a link. */
  #changed() {
    this.#form.review();
    clearTimeout(this.#countTimer);
    this.#countTimer = window.setTimeout(() => void Promise.all([this.#count(), this.#plan()]), COUNT_AFTER_MS);
    this.dispatchEvent(new CustomEvent("settings", { detail: this.settings }));
  }

  async #count() {
    if (!this.#opened) return;
    for (const field of /** @type {const} */ (["prompt", "negative"])) {
      const text = this.settings[field];
      const counted = await this.#client.count(text).catch(() => null);
      if (counted && text === this.settings[field]) this.#form.showTokens(field, counted);
    }
    this.#form.review();
  }

  /** What pictures of this size take. */
  async #plan() {
    const { width, height } = this.settings;
    if (!this.#opened || !this.#form.isSound({ quietly: true })) return;
    const { default_width: own, default_height: high } = this.#opened.model;
    const plan = await this.#client.plan(Number(width || own), Number(height || high)).catch(() => null);
    if (plan && width === this.settings.width && height === this.settings.height) this.#part("memory").textContent = planWords(plan);
  }

  // The engine

  /**
   * Loads the model into a new worker. The form, the seed and the pictures are the page's and stay.
   * @param {{fresh?: boolean, device?: "cpu", reason?: string, quietly?: boolean}} options `quietly`: leave the problem's words on the page
   */
  #open({ fresh = false, device, reason, quietly = false } = {}) {
    const choice = device ?? /** @type {import("./engine/protocol.js").DeviceChoice} */ (this.settings.device);
    this.#opened = null;
    if (!quietly) this.#problem(null);
    this.#part("device").textContent = "";
    this.#part("model").textContent = "";
    this.#part("memory").textContent = "";
    const prediction = /** @type {import("./engine/protocol.js").Prediction} */ (this.settings.prediction);
    const model = this.#model;
    const opening = this.#client.open({ model, prediction, device: choice, fresh, reason }, (progress) => {
      if (progress.stage === "plan") this.#part("memory").textContent = planWords(progress.plan);
      else if (progress.stage === "notice") this.#part("model").textContent = progress.text;
      // A demo may be evicted when storage runs short; gigabytes are worth asking the browser to spare.
      else if (progress.stage === "storage") void (progress.bytes > WORTH_PERSISTING && navigator.storage?.persist?.());
      else if (opening === this.#opening) this.#say(openingWords(progress, this.#work !== null));
    });
    this.#opening = opening;
    this.dataset.engine = "loading";
    opening.then(
      (opened) => opening === this.#opening && this.#welcome(opened),
      (error) => {
        if (opening !== this.#opening) return;
        this.dataset.engine = "failed";
        const { kind, message } = problemOf(error, "start");
        this.#problem({ kind: kind === "crash" ? "start" : kind, message });
        this.#say({ text: "" });
        this.#show();
      },
    );
    this.#show();
  }

  /** @param {Opened} opened */
  #welcome(opened) {
    this.#opened = opened;
    const { device, model } = opened;
    this.dataset.engine = "ready";
    this.dataset.device = device.kind;
    const name = document.createElement("strong");
    name.textContent = device.name;
    this.#part("device").replaceChildren(name, device.reason ? `: ${device.reason}` : ", by WebGPU.");
    this.#part("model").textContent = modelWords(opened, isCheckpoint(this.settings.model));
    this.#form.offer(model);
    this.#form.review();
    if (!this.#work) this.#say({ text: "Ready.", spoken: `Ready. Pictures are made on ${device.name}.` });
    void this.#count();
    void this.#plan();
    this.#show();
  }

  /** @param {string | null} address deleted from this browser's storage; null: all are */
  #forgotten(address) {
    if (this.#opened?.stored === "disk" || !this.#opened || (address !== null && address !== this.#address)) return;
    this.#part("model").textContent = forgottenWords(this.#opened);
  }

  /** The model: where it is, or what there is of it on the visitor's disk. */
  get #model() {
    const { model } = this.settings;
    return model.startsWith(ON_DISK) ? this.#intake.model(model) : this.#address;
  }

  /** The model's address; of one on a disk no server's. */
  get #address() {
    return addressOf(this.settings.model, document.baseURI, this.#hub);
  }

  get #hub() {
    return this.getAttribute("hub") ?? undefined;
  }

  /** @param {import("./base/problem.js").Problem} problem */
  #crashed(problem) {
    // While it is being opened the client knows what to do, or the promise tells.
    if (!this.#opened) return;
    this.#problem(problem);
    const { kind } = this.#opened.device;
    if (kind === "gpu") this.#gpuCrashes += 1;
    if (kind === "gpu" && this.#gpuCrashes > GPU_CRASHES_BORNE && this.settings.device === "auto") {
      this.#open({ quietly: true, device: "cpu", reason: "The GPU has failed more than once on this visit." });
    } else this.#open({ quietly: true });
  }

  /** @param {import("./base/problem.js").Problem | null} problem */
  #problem(problem) {
    showProblem(this.#part("problem"), problem, this.dataset.device === "cpu");
  }

  // A picture

  /**
   * @param {Settings[]} wanted
   * @param {AbortSignal} signal
   */
  async #run(wanted, signal) {
    this.#problem(null);
    this.#easel.prepare(wanted);
    try {
      if (this.dataset.engine === "failed") this.#open();
      const { model, device } = await this.#ready(signal);
      const jobs = wanted.map((settings) => completed(settings, model));
      this.#say({ text: "Reading the prompts", spoken: "Making the picture." });
      for (const at of jobs.keys()) await this.#expose(jobs, at, device.name, signal);
    } catch (error) {
      const problem = problemOf(error, "engine");
      if (problem.kind !== "cancelled" && this.dataset.engine !== "failed") this.#problem(problem);
      this.#say({ text: problem.kind === "cancelled" ? "Cancelled." : "", spoken: problem.kind === "cancelled" ? "Cancelled." : "" });
    } finally {
      this.#work = null;
      this.#easel.rest();
      this.#show();
    }
  }

  /**
   * The loaded model; where it is being loaded anew meanwhile, the newer one.
   * @param {AbortSignal} signal
   */
  async #ready(signal) {
    for (;;) {
      const opening = this.#opening;
      try {
        return await until(opening, signal);
      } catch (error) {
        if (signal.aborted || opening === this.#opening) throw error;
      }
    }
  }

  /**
   * @param {Settings[]} jobs
   * @param {number} at
   * @param {string} device
   * @param {AbortSignal} signal
   */
  async #expose(jobs, at, device, signal) {
    const settings = jobs[at];
    const size = { width: Number(settings.width), height: Number(settings.height) };
    const watch = new Stopwatch();
    const { picture, warnings } = await this.#client.generate(requestOf(settings), signal, (progress) => {
      if (progress.preview) this.#easel.preview(at, progress.preview, size);
      if (progress.warnings) this.#warn(progress.warnings);
      this.#say(stepWords(progress, watch, at, jobs.length));
    });
    const seconds = watch.seconds;
    this.#warn(warnings);
    const frame = { number: (this.#frames += 1), settings, canvas: canvasOf(picture), seconds, device, warnings };
    this.#easel.finish(at, frame, jobs);
    this.#sheet.add(frame);
    const words = `Finished in ${seconds.toFixed(1)} s on ${device}.`;
    this.#say({ text: words, spoken: words });
    this.dispatchEvent(new CustomEvent("picture", { detail: { settings, canvas: frame.canvas, seconds } }));
  }

  /** Ends the picture in work after its step; where a step takes long, the second time at once and the engine with it. */
  #cancel() {
    if (!this.#work) return;
    const { abort } = this.#work;
    if (this.dataset.work === "stuck") return this.#open();
    if (abort.signal.aborted) return;
    abort.abort();
    if (this.dataset.engine !== "ready") return;
    this.#say({ text: "Ending after this step", share: null });
    this.#show();
    const work = this.#work;
    setTimeout(() => {
      if (this.#work !== work) return;
      work.stuck = true;
      this.#show();
    }, OFFER_HARD_STOP_AFTER_MS);
  }

  /** A picture made before: on the easel, and its settings in the form. @param {Frame} frame */
  #bringBack(frame) {
    if (this.#work) return;
    const { device, model, ...settings } = frame.settings;
    this.settings = model === this.settings.model ? settings : frame.settings;
    this.#easel.show(frame);
    this.#warn(frame.warnings);
  }

  /** @param {Frame} frame */
  async #save({ settings, canvas }) {
    const words = settings.prompt.toLowerCase().match(/[a-z0-9]+/g) ?? [];
    const name = ["darkroom", settings.seed, ...words].join("-").slice(0, 80);
    try {
      download(await pngOf(canvas, infotext(settings)), `${name}.png`);
    } catch (error) {
      this.#problem(problemOf(error, "engine"));
    }
  }

  // What is shown

  /**
   * @template {HTMLElement} [T=HTMLElement]
   * @param {string} name
   * @param {new () => T} [kind]
   */
  #part(name, kind) {
    const part = this.querySelector(`[data-part=${name}]`);
    if (!(part instanceof (kind ?? HTMLElement))) throw new TypeError(`the studio has no part ${name}`);
    return /** @type {T} */ (part);
  }

  /** Buttons and state, as attributes for the style sheet too. */
  #show() {
    const work = this.#work;
    const ending = work?.abort.signal.aborted;
    this.dataset.work = !work ? "idle" : work.stuck ? "stuck" : ending ? "ending" : "running";
    const cancel = this.#button("cancel");
    for (const act of ["generate", "compare"]) this.#button(act).ariaDisabled = work ? "true" : null;
    cancel.ariaDisabled = !work || (ending && !work.stuck) ? "true" : null;
    cancel.textContent = work?.stuck ? "Stop now" : "Cancel";
  }

  /** @param {string} act */
  #button(act) {
    return /** @type {HTMLElement} */ (this.querySelector(`[data-act=${act}]`));
  }

  /** @param {import("./studio/progress.js").Saying} saying */
  #say({ text, spoken, share }) {
    this.#part("status").textContent = text;
    if (spoken !== undefined) this.#part("spoken").textContent = spoken;
    const bar = this.#part("progress", HTMLProgressElement);
    bar.hidden = share === undefined;
    if (typeof share === "number") bar.value = share;
    else bar.removeAttribute("value");
  }

  /** @param {string[]} warnings of the engine about the picture on the easel */
  #warn(warnings) {
    this.#part("warnings").replaceChildren(
      ...warnings.map((text) => {
        const item = document.createElement("li");
        item.textContent = text;
        return item;
      }),
    );
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
function until(promise, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new DarkroomError("cancelled", "Cancelled."));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject);
  });
}

customElements.define("darkroom-studio", DarkroomStudio);
