// @ts-check
/**
 * Switch from one model to the next. A model that works is given up only for one that is plausible;
 * the one before comes back with its settings at a press of a button.
 */
import { problemOf } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { checkAddress, FILE_MARK, isCheckpoint, ON_DISK } from "./address.js";
import { examineRemote, isFile } from "./candidate.js";
import { questionAbout, remember } from "./consent.js";

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("./consent.js").Question} Question */
/** @typedef {import("./problems.js").Situation} Situation */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * @typedef {import("./model-names.js").ModelNames & Doings} Host
 */

/**
 * @typedef {object} Doings
 * @property {() => import("./form.js").SettingsForm} form
 * @property {() => void} changed the form was filled
 * @property {() => void} open the model in the form, after the picture in progress
 * @property {() => boolean} loaded a model is loaded
 * @property {() => string} fallback the page's own model
 * @property {(text: string) => void} say a status
 * @property {(problem: Problem, typed: boolean) => void} problem
 * @property {(question: Question, model: string) => void} ask
 * @property {(kind: Addition["kind"], url: string) => Promise<unknown>} addition adds a file at an
 *   address to the model
 */

/** Settings that belong to a model, and come back with it. */
const OWN = /** @type {const} */ ([
  "model",
  "prediction",
  "steps",
  "guidance_scale",
  "sampler",
  "schedule",
  "width",
  "height",
  "clip_skip",
  "timestep_spacing",
  "zero_snr",
  "final_sigma",
]);
/** Problems that leave the loaded model as it is. */
const HARMLESS = ["address", "addition", "file", "missing", "refused", "network", "disk"];

/** @param {Partial<Settings>} settings @returns {Partial<Settings>} */
const own = (settings) =>
  Object.fromEntries(OWN.filter((field) => field in settings).map((one) => [one, settings[one]]));

export class ModelSwitch {
  #host;
  /** The last model that was loaded, in the form's words. @type {Partial<Settings> | null} */
  #good = null;
  /**
   * Settings that the address bar shows while no model is loaded.
   * @type {Partial<Settings> | null}
   */
  #shown = null;
  /** The model before it, with its settings. @type {Partial<Settings> | null} */
  #previous = null;
  /** The text that was refused. @type {string | null} */ #refused = null;
  /**
   * Models that were not to be had on this visit, by address.
   * @type {Map<string, import("./shelf-rows.js").Refusal>}
   */
  refusals = new Map();
  /** The check in progress. @type {Promise<boolean>} */ #check = Promise.resolve(true);
  #abort = new AbortController();
  /**
   * The model of a link, until the visitor has answered.
   * @type {{question: Question, settings: Partial<Settings>} | null}
   */
  #asked = null;
  /** The problem with the model of a link, until it is shown. @type {Problem | null} */
  #wrong = null;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  get #settings() {
    return this.#host.form().settings;
  }

  /** Fills the form; opens nothing. @param {Partial<Settings>} settings */
  #fill(settings) {
    this.#host.form().fill(settings);
    this.#host.changed();
  }

  /** Writes into the model field alone. @param {string} model */
  #name(model) {
    this.#host.form().nameModel(model);
    this.#host.changed();
  }

  /** Notes the model that is about to be opened first. */
  begin() {
    this.#shown = own(this.#settings);
  }

  /** Notes that the model in the form is loaded; true: it is another one than before. */
  ready() {
    const before = this.#shown;
    this.#shown = this.#good = own(this.#settings);
    this.#refused = null;
    const { model, prediction } = this.#good;
    return before?.model !== model || before?.prediction !== prediction;
  }

  /** Resolves when no check is in progress; false: the model was refused. */
  settled() {
    return this.#check;
  }

  /** Takes the text that the visitor has typed into the model field. */
  typed() {
    this.#begin(this.#settings.model.trim());
  }

  /**
   * Opens a model that the visitor chose on the shelf.
   * @param {string} model
   * @param {Partial<Settings>} settings that belong to it
   */
  choose(model, settings) {
    this.#begin(model, settings);
  }

  /** @param {string} text @param {Partial<Settings>} [settings] that belong to the model */
  #begin(text, settings = {}) {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#check = this.#try(text, settings, this.#abort.signal);
  }

  /**
   * @param {string} text
   * @param {Partial<Settings>} settings that belong to the model
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} accepted
   */
  async #try(text, settings, signal) {
    const host = this.#host;
    try {
      checkAddress(text);
      let model = text;
      if (!text.startsWith(ON_DISK)) {
        host.say(strings().problems.session.checking(host.nameOf(text)));
        model = await this.#marked(text, signal);
        const addition = await this.#examine(model, signal);
        if (signal.aborted) return this.#check;
        if (addition) return await this.#add(addition);
        const address = host.addressOf(model);
        remember(address);
        this.refusals.delete(address);
      }
      this.accept(model, settings);
      return true;
    } catch (error) {
      if (signal.aborted) return this.#check;
      this.#refuse(text, problemOf(error, "address"));
      return false;
    }
  }

  /**
   * The text for the field, which says so where the address is a file's without a known ending.
   * @param {string} text
   * @param {AbortSignal} signal
   */
  async #marked(text, signal) {
    const hidden = /^https?:/i.test(text) && !text.endsWith("/") && !isCheckpoint(text);
    // A page on the hub is a repository's.
    if (!hidden || /\/resolve\/[^/]+\/$/.test(this.#host.addressOf(text))) return text;
    const marked = text.replace(/#.*$/, "") + FILE_MARK;
    return (await isFile(this.#host.addressOf(marked), signal)) ? marked : text;
  }

  /** Examines the model at an address. @param {string} text @param {AbortSignal} signal */
  async #examine(text, signal) {
    const { addressOf, loaded, nameOf } = this.#host;
    // A model that was refused before may be refused again, for another reason.
    const known = loaded() || this.refusals.has(addressOf(text));
    if (!known && !isCheckpoint(text)) return null;
    const { vae = "" } = this.#settings;
    const examined = examineRemote(addressOf(text), nameOf(text), signal, vae !== "");
    if (known) return examined;
    // Where nothing is loaded, opening the model says what is wrong with it.
    return examined.catch(() => null);
  }

  /** Adds a file at an address to the model. @param {{kind: Addition["kind"], url: string}} file */
  async #add({ kind, url }) {
    if (this.#good) this.#name(this.#good.model ?? "");
    await this.#host.addition(kind, url);
    return true;
  }

  /**
   * Opens a model that is plausible.
   * @param {string} model the text for the field
   * @param {Partial<Settings>} [settings] that belong to it
   */
  accept(model, settings = {}) {
    const host = this.#host;
    if (host.loaded() && this.#good)
      this.#previous = { ...own(this.#settings), ...this.#named(this.#good) };
    this.#refused = null;
    this.#asked = null;
    this.#fill({ model });
    host.form().forgetModel();
    this.#fill({ model, ...settings });
    host.open();
  }

  /** @param {Partial<Settings>} settings */
  #named({ model = "", prediction = "auto" }) {
    return { model, prediction };
  }

  /** @param {string} text @param {Problem} problem */
  #refuse(text, problem) {
    const host = this.#host;
    host.say("");
    this.#refused = text;
    this.#note(text, problem);
    // Pictures are made with the model that is loaded: the field names it.
    if (this.#good && host.loaded()) this.#name(this.#good.model ?? "");
    host.problem(problem, true);
  }

  /** Remembers a model that is not to be had. @param {string} text @param {Problem} problem */
  #note(text, { kind }) {
    const refusal = kind === "missing" ? "gone" : kind === "refused" ? "refused" : null;
    if (refusal && !text.startsWith(ON_DISK))
      this.refusals.set(this.#host.addressOf(text), refusal);
  }

  /** Opens the model before, with its settings. */
  back() {
    const target = this.#previous ?? { model: this.#host.fallback() };
    this.#previous = null;
    const { model = "", ...settings } = target;
    this.accept(model, settings);
  }

  /** Puts the refused text back into the field. */
  edit() {
    if (this.#refused !== null) this.#name(this.#refused);
  }

  /** Checks the refused text again; false: there is none. */
  again() {
    if (this.#refused === null) return false;
    this.#begin(this.#refused);
    return true;
  }

  /**
   * Facts for the panel of a problem.
   * @param {Problem} problem
   * @returns {Pick<Situation, "back" | "stays" | "page">}
   */
  situation(problem) {
    const { kind } = problem;
    const host = this.#host;
    const about = this.#refused ?? this.#settings.model;
    if (this.#refused === null && !host.loaded()) this.#note(about, problem);
    const loaded = host.loaded();
    const before = this.#previous?.model ?? host.fallback();
    const back = !loaded && before && before !== this.#settings.model;
    const stays = loaded && HARMLESS.includes(kind) && this.#good?.model;
    return {
      back: back ? host.nameOf(before) : null,
      stays: stays ? host.nameOf(stays) : null,
      page: about.startsWith(ON_DISK) ? "" : host.pageOf(host.addressOf(about)),
    };
  }

  /**
   * The settings for the address bar: a model that is not loaded does not appear there.
   * @param {Settings} settings
   * @returns {Settings}
   */
  forAddress(settings) {
    const good = this.#good;
    const named = good?.model === settings.model && good.prediction === settings.prediction;
    if (!this.#shown || (named && this.#host.loaded())) return settings;
    // Before the first model is loaded, its size and sampler are the visitor's.
    const shown = { ...this.#named(this.#shown), ...(good && this.#shown) };
    return /** @type {Settings} */ ({ ...settings, ...shown });
  }

  // Links

  /**
   * The settings of a link that may be applied at once. The visitor is asked about its model.
   * @param {Partial<Settings>} settings
   * @param {string} page address
   * @returns {Promise<Partial<Settings>>}
   */
  async link(settings, page) {
    this.#asked = null;
    const { model, prediction, ...rest } = settings;
    const host = this.#host;
    if (model === undefined || model === host.fallback()) return settings;
    try {
      checkAddress(model);
    } catch (error) {
      this.#refused = model;
      this.#wrong = problemOf(error, "address");
      return rest;
    }
    if (model.startsWith(ON_DISK)) return settings;
    const question = await questionAbout(host.addressOf(model), page);
    if (!question) return settings;
    this.#asked = { question, settings };
    return rest;
  }

  /** Shows what is wrong with a link, or the question that is still open. */
  showQuestion() {
    const [asked, wrong] = [this.#asked, this.#wrong];
    this.#wrong = null;
    if (wrong) this.#host.problem(wrong, true);
    if (asked) this.#host.ask(asked.question, this.#host.nameOf(asked.settings.model ?? ""));
  }

  /** Takes the answer to the question. @param {boolean} load */
  answer(load) {
    const asked = this.#asked;
    this.#asked = null;
    if (!asked) return;
    if (!load) return this.#host.say(strings().problems.consent.cancelled);
    const { model = "", prediction = "auto", ...all } = asked.settings;
    const named = own(all);
    this.#begin(model.trim(), { ...named, prediction });
  }
}
