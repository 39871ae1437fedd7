// @ts-check
/**
 * The studio as a place to work in: gallery, queue, undo, prompt history, drafts, shortcuts and
 * progress in the title. The element reports what the session and the form do. With the attribute
 * `keep` everything outlives the page; without it everything is in memory.
 */
import { TabChannel } from "../store/channel.js";
import { Database } from "../store/database.js";
import { DraftStore } from "../store/drafts.js";
import { PictureStore } from "../store/pictures.js";
import { PromptStore } from "../store/prompts.js";
import { QueueStore } from "../store/queue.js";
import { strings } from "../strings/index.js";
import { Drafts } from "./drafts.js";
import { FormTools } from "./form-tools.js";
import { Gallery } from "./gallery.js";
import { Notifier } from "./notify.js";
import { Pictures } from "./pictures.js";
import { PromptHistory } from "./prompt-history.js";
import { RunQueue, seedsFor } from "./queue.js";
import { QueueView } from "./queue-view.js";
import { fieldOf, randomSeed } from "./settings.js";
import { belongsTo, commandOf, isText, ShortcutSheet, stepped } from "./shortcuts.js";
import { partOf } from "./status-view.js";

/** @typedef {import("../base/problem.js").Problem} Problem */
/** @typedef {import("./form.js").SettingsForm} SettingsForm */
/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./pictures.js").Made} Made */
/** @typedef {import("./queue.js").Outcome} Outcome */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./shortcuts.js").Command} Command */

/**
 * @typedef {object} Host
 * @property {HTMLElement} element
 * @property {ShadowRoot} root
 * @property {boolean} keep
 * @property {Session} session
 * @property {SettingsForm} form
 * @property {(settings: Partial<Settings>) => void} fill fills the form, and opens another model
 * @property {() => void} onSeed the seed was changed
 * @property {(frame: Frame) => void} onShow shows a finished picture on the stand
 * @property {(frame: Frame) => void} onChoose shows it, and restores its settings
 */

export class Workplace {
  #host;
  #database;
  #channel;
  #pictures;
  #gallery;
  #queueStore;
  #queue;
  #queueView;
  #drafts;
  #tools;
  #prompts;
  #history;
  #sheet;
  #notifier;
  /** Pictures of the run in progress, while they are stored. @type {Promise<unknown>[]} */
  #saving = [];
  #made = 0;
  /** The last problem of the run in progress. @type {Problem | null} */ #problem = null;
  #cancelling = false;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
    const { root, keep } = host;
    this.#database = keep ? new Database() : null;
    this.#channel = keep ? new TabChannel((message) => void this.#received(message)) : null;
    this.#pictures = new Pictures({
      store: this.#database && new PictureStore(this.#database),
      send: (message) => this.#channel?.send(message),
      onChange: () => this.#gallery.render(),
    });
    this.#gallery = new Gallery(partOf(root, "gallery"), this.#pictures, host);
    this.#queueStore = new QueueStore(this.#database);
    this.#queue = new RunQueue(this.#queueStore, {
      isIdle: () => host.session.idle,
      make: (all) => this.#make(all),
      cancel: () => this.#cancel(),
      onChange: () => this.#queueChanged(),
      announce: () => this.#channel?.send({ about: "queue" }),
    });
    this.#queueView = new QueueView(partOf(root, "queue"), this.#queue);
    this.#drafts = new Drafts(this.#database && new DraftStore(this.#database, location.pathname));
    this.#notifier = keep ? new Notifier() : null;
    this.#tools = new FormTools(root, this.#notifier, (settings) => host.fill(settings));
    this.#prompts = new PromptStore(this.#database);
    const dialog = partOf(root, "history", HTMLDialogElement);
    this.#history = new PromptHistory(dialog, this.#prompts, (prompts) => host.fill(prompts));
    this.#sheet = new ShortcutSheet(partOf(root, "shortcuts", HTMLDialogElement));
    root.querySelector("form")?.addEventListener("click", (event) => this.#click(event));
  }

  /**
   * Restores the form as it was left, and reads what earlier visits have kept.
   * @param {boolean} linked the page was opened with settings: they win over the last visit's
   * @param {Partial<Settings>} typed fields that the visitor has changed already
   */
  begin(linked, typed) {
    const { form } = this.#host;
    const draft = this.#drafts.reloaded;
    if (draft) form.restoreDraft({ ...draft, ...typed });
    this.#tools.note(form.settings);
    if (!draft && !linked && this.#database) void this.#restorePage();
    void this.#pictures.load();
    void this.#queue.load();
  }

  /** Fills in the draft of the last visit, unless the visitor has begun to type. */
  async #restorePage() {
    const { form, fill } = this.#host;
    const before = JSON.stringify(form.settings);
    const draft = await this.#drafts.ofPage();
    if (!draft || JSON.stringify(form.settings) !== before) return;
    const { locked, ...settings } = draft;
    fill(settings);
    form.restoreDraft(draft);
  }

  /** Begins to listen. The element is in a document. */
  connect() {
    document.addEventListener("keydown", this.#onKey);
    document.addEventListener("visibilitychange", this.#onPage);
    window.addEventListener("pagehide", this.#onPage);
    window.addEventListener("pageshow", this.#onPage);
  }

  disconnect() {
    document.removeEventListener("keydown", this.#onKey);
    document.removeEventListener("visibilitychange", this.#onPage);
    window.removeEventListener("pagehide", this.#onPage);
    window.removeEventListener("pageshow", this.#onPage);
    this.#drafts.flush();
    this.#notifier?.rest();
  }

  // The form

  /** The form was changed. @param {Field} [field] the one that was typed in */
  changed(field) {
    const { form } = this.#host;
    this.#tools.note(form.settings, field);
    this.#drafts.note(form.draft);
  }

  /**
   * Makes what the form says, after all that waits.
   * @param {object} [options]
   * @param {boolean} [options.compare] two pictures of the same seed, the first without the
   *   negative prompt
   * @param {boolean} [options.now] one picture, in place of the one in progress
   * @returns {Promise<Outcome[]>} the end of each run; none where the form is not valid
   */
  async generate({ compare = false, now = false } = {}) {
    const { form, onSeed } = this.#host;
    if (!form.isValid()) return [];
    if (compare && !form.settings.negative_prompt.trim()) {
      form.note("negative_prompt", strings().studio.prompts.writeFirst);
      form.focus("negative_prompt");
      return [];
    }
    if (now && this.#queue.running) this.#queue.remove(this.#queue.running.id);
    // A comparison is about the picture there is: the same seed again.
    if (!compare) form.useSeed(now ? new Set() : this.#queue.seeds);
    onSeed();
    const { settings } = form;
    const { count, random } = this.#tools;
    const seeds = seedsFor(settings.seed, now ? 1 : count, random ? randomSeed : undefined);
    const runs = compare
      ? [[{ ...settings, negative_prompt: "" }, settings]]
      : seeds.map((seed) => [{ ...settings, seed }]);
    void this.#prompts.use(settings.prompt, settings.negative_prompt);
    return Promise.all(this.#queue.add(runs, { first: now }));
  }

  /** Cancels the run in progress. What waits then waits for the visitor. */
  cancel() {
    if (this.#queue.running) this.#queue.stop();
    else this.#host.session.cancel();
  }

  // The session's reports

  /** @param {Problem | null} problem */
  problem(problem) {
    if (problem) this.#problem = problem;
  }

  /** @param {number} fraction of the run, 0 … 1 */
  progress(fraction) {
    this.#notifier?.progress(fraction, this.#queue.waiting.length);
  }

  /** A picture is finished. @param {Made} made */
  picture(made) {
    this.#made += 1;
    this.#host.form.seedUsed(made.settings.seed);
    this.#notifier?.picture();
    const added = this.#pictures.add(made);
    this.#saving.push(added.catch((error) => console.warn(`Not in the gallery: ${error}`)));
    void added.then(({ record }) => this.#gallery.select(record.id)).catch(() => {});
  }

  /** The session is idle. */
  idle() {
    void this.#queue.pump();
  }

  /** @param {Settings[]} all @returns {Promise<Outcome>} */
  async #make(all) {
    const { session, form, fill } = this.#host;
    const { model, prediction } = all[0];
    if (model !== form.settings.model || prediction !== form.settings.prediction) {
      form.forgetModel();
      fill({ model, prediction });
    }
    this.#problem = null;
    this.#cancelling = false;
    this.#made = 0;
    await session.generate(all);
    await Promise.all(this.#saving.splice(0));
    if (this.#made >= all.length) return "made";
    if (this.#cancelling) return "cancelled";
    if (session.engine === "failed") return "unloaded";
    const problem = /** @type {Problem | null} */ (this.#problem);
    if (problem) return problem.kind === "crash" ? "lost" : { message: problem.message };
    return form.settings.model === model ? "interrupted" : "replaced";
  }

  #cancel() {
    this.#cancelling = true;
    this.#host.session.cancel();
  }

  #queueChanged() {
    this.#queueView.render();
    if (!this.#queue.busy) this.#notifier?.rest();
  }

  // The page

  /** @param {import("../store/channel.js").TabMessage} message */
  async #received(message) {
    if (message.about === "queue") await this.#queue.load();
    else await this.#pictures.changed(message.about, message.ids);
  }

  /** @param {Event} event */
  #onPage = (event) => {
    const leaving = event.type === "pagehide" || document.hidden;
    if (leaving) this.#drafts.flush();
    if (event.type === "pagehide") {
      // An open channel or a lock keeps the page out of the back/forward cache.
      this.#channel?.close();
      this.#queueStore.leave();
    } else if (!leaving && this.#database) {
      this.#channel?.open();
      this.#queueStore.enter();
      void this.#queue.load();
      const { persisted } = /** @type {PageTransitionEvent} */ (event);
      if (persisted) void this.#pictures.load();
    }
  };

  /** @param {MouseEvent} event */
  #click({ target }) {
    const { act } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
    if (act === "undo") this.#tools.undo();
    else if (act === "redo") this.#tools.redo();
    else if (act === "history") void this.#history.open();
    else if (act === "shortcuts") this.#sheet.open();
    else if (act === "notify") void this.#tools.notify();
  }

  /** @param {KeyboardEvent} event */
  #onKey = (event) => {
    const { element, root, keep } = this.#host;
    if (event.defaultPrevented || !belongsTo(event, element, keep)) return;
    // An open dialog has its own keys.
    if (root.querySelector("dialog[open]") || document.querySelector("dialog[open]")) return;
    const [target] = event.composedPath();
    if (target instanceof HTMLInputElement && this.#step(target, event)) return;
    const command = commandOf(event);
    // A text field undoes typing itself. It knows nothing of what was filled in.
    const native = (command === "undo" || command === "redo") && isText(event);
    if (!command || (native && !this.#tools.filled)) return;
    if (command === "cancel" && this.#host.session.idle) return;
    event.preventDefault();
    this.#do(command);
  };

  /** @param {Command} command */
  #do(command) {
    if (command === "generate") void this.generate();
    else if (command === "compare") void this.generate({ compare: true });
    else if (command === "cancel") this.cancel();
    else if (command === "undo") this.#tools.undo();
    else if (command === "redo") this.#tools.redo();
    else if (command === "history") void this.#history.open();
    else this.#sheet.open();
  }

  /**
   * Arrow keys in a number.
   * @param {HTMLInputElement} input
   * @param {KeyboardEvent} event
   * @returns {boolean} the key was one
   */
  #step(input, event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !input.name) return false;
    const { sizeMultiple } = this.#host.form;
    const value = stepped(fieldOf(input.name), input.value, event, sizeMultiple);
    if (value === null) return false;
    event.preventDefault();
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }
}
