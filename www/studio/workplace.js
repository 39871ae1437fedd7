// @ts-check
/**
 * The studio as a place to work in: gallery, queue, undo, prompt history, drafts, shortcuts and
 * progress in the title. The element reports what the session and the form do. With the attribute
 * `keep` everything outlives the page; without it everything is in memory.
 */
import { DarkroomError } from "../base/problem.js";
import { TabChannel } from "../store/channel.js";
import { Database } from "../store/database.js";
import { DraftStore } from "../store/drafts.js";
import { PictureStore } from "../store/pictures.js";
import { PromptSetStore } from "../store/prompt-sets.js";
import { PromptStore } from "../store/prompts.js";
import { QueueStore } from "../store/queue.js";
import { Drafts } from "./drafts.js";
import { Forever } from "./forever.js";
import { FormTools } from "./form-tools.js";
import { Gallery } from "./gallery.js";
import { Notifier } from "./notify.js";
import { Pictures } from "./pictures.js";
import { PromptHistory } from "./prompt-history.js";
import { PromptLibrary } from "./prompt-library.js";
import { RunQueue } from "./queue.js";
import { QueueView } from "./queue-view.js";
import { fieldOf } from "./settings.js";
import { belongsTo, commandOf, isText, ShortcutSheet, stepped } from "./shortcuts.js";
import { partOf } from "./status-view.js";
import { UndoHistory } from "./undo.js";
import { Series, seriesOf, variationOf } from "./variations.js";

/** @typedef {import("./form.js").SettingsForm} SettingsForm */
/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./pictures.js").Made} Made */
/** @typedef {import("./queue.js").Outcome} Outcome */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./settings.js").Field} Field */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./shortcuts.js").Command} Command */

/**
 * Options of `generate()`. `forever`: one picture after the other.
 * @typedef {{compare?: boolean, wall?: boolean, forever?: boolean}} Options
 */

/**
 * @typedef {object} Host
 * @property {HTMLElement & {keep: boolean}} element
 * @property {Session} session
 * @property {(settings: Partial<Settings>) => void} fill fills the form, and opens another model
 * @property {(settings: Partial<Settings>) => Promise<void>} openLink fills the form, and asks
 *   before a model that was not loaded before
 * @property {(options: Options) => void} generate makes what the form says, if it is valid
 * @property {(settings: Settings, options: {compare: boolean, wall: boolean}) => Promise<unknown>}
 *   make makes pictures at once
 * @property {() => void} onSeed the seed was changed
 * @property {() => void} onState `busy` was changed
 * @property {(frame: Frame) => void} onShow shows a finished picture on the stand
 * @property {(frame: Frame) => void} onChoose shows it, and restores its settings
 */

/**
 * Views over the shadow root. They are replaced when the language changes.
 * @typedef {object} Views
 * @property {ShadowRoot} root
 * @property {SettingsForm} form
 * @property {Gallery} gallery
 * @property {QueueView} queue
 * @property {FormTools} tools
 * @property {PromptHistory} history
 * @property {PromptLibrary} library
 * @property {ShortcutSheet} sheet
 */

export class Workplace {
  #host;
  /** @type {ReturnType<Workplace["toolsOf"]>} */ #own = /** @type {any} */ (null);
  #undo = new UndoHistory(() => this.#views?.tools.render());
  /** @type {Views | null} */ #views = null;
  /** Pictures of the run in progress, while they are stored. @type {Promise<unknown>[]} */
  #saving = [];
  #cancelling = false;
  /** Calls of `instead` in progress. */ #instead = 0;
  #forever = new Forever({
    queue: () => this.#own.queue,
    add: (again) => this.#addNext(again),
    onChange: () => this.#views?.tools.showForever(this.#forever),
  });
  /** The variation seed of the last picture. */ #variation = "";
  #series = new Series();
  /** The run in progress was begun before, and the engine crashed. */ retrying = false;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  /** The tools that outlive a form. @param {boolean} keep in the browser's storage */
  toolsOf(keep) {
    const { session } = this.#host;
    const database = keep ? new Database() : null;
    const channel = keep ? new TabChannel((message) => void this.#received(message)) : null;
    const queueStore = new QueueStore(database);
    return {
      database,
      channel,
      queueStore,
      pictures: new Pictures({
        store: database && new PictureStore(database),
        send: (message) => channel?.send(message),
        onChange: () => this.#views?.gallery.render(),
      }),
      queue: new RunQueue(queueStore, {
        isIdle: () => session.idle && this.#instead === 0,
        make: (settings, kind, tries) => this.#make(settings, kind, tries),
        cancel: () => this.#cancel(),
        onChange: () => this.#queueChanged(),
        announce: () => channel?.send({ about: "queue" }),
      }),
      drafts: new Drafts(database && new DraftStore(database, location.pathname)),
      prompts: new PromptStore(database),
      sets: new PromptSetStore(database),
      notifier: keep ? new Notifier() : null,
    };
  }

  /**
   * Shows everything in a new form. The first time, the form gets its draft, and what earlier
   * visits have kept is read.
   * @param {ShadowRoot} root
   * @param {SettingsForm} form
   * @param {boolean} linked the page was opened with settings: they win over the last visit's
   * @returns {boolean} the form is as it was left before a reload
   */
  attach(root, form, linked) {
    const again = this.#views !== null;
    const { element, fill } = this.#host;
    this.#own ??= this.toolsOf(element.keep);
    const dialog = (/** @type {string} */ name) => partOf(root, name, HTMLDialogElement);
    this.#views = {
      root,
      form,
      gallery: new Gallery(partOf(root, "gallery"), this.#own.pictures, {
        onShow: this.#host.onShow,
        onChoose: this.#host.onChoose,
        onVary: (frame) => this.#vary(frame),
      }),
      queue: new QueueView(partOf(root, "queue"), this.#own.queue),
      tools: new FormTools(root, this.#undo, this.#own.notifier, fill),
      history: new PromptHistory(dialog("history"), this.#own.prompts, fill),
      library: new PromptLibrary(dialog("library"), this.#own.sets, () => form.settings, fill),
      sheet: new ShortcutSheet(dialog("shortcuts")),
    };
    root.querySelector("form")?.addEventListener("click", (event) => this.#click(event));
    this.#views.tools.showForever(this.#forever);
    if (again) {
      this.#views.gallery.render();
      this.#views.queue.render();
      return false;
    }
    const draft = this.#own.drafts.reloaded;
    if (draft) {
      form.restoreDraft(draft);
      // A page that is about to close may not have written it for other visits.
      this.#own.drafts.note(draft);
    }
    this.#undo.note(form.settings);
    if (!draft && !linked && this.#own.database) void this.#restorePage(form);
    void this.#load(draft !== null);
    return draft !== null;
  }

  /** Reads what earlier visits have kept. @param {boolean} reloaded the visit goes on */
  async #load(reloaded) {
    await Promise.all([this.#own.pictures.load(), this.#own.queue.load()]);
    if (reloaded && !this.busy) await this.#views?.gallery.showNewest();
  }

  /** Fills in the draft of the last visit, unless the visitor has begun to type. */
  async #restorePage(/** @type {SettingsForm} */ form) {
    const before = JSON.stringify(form.settings);
    const draft = await this.#own.drafts.ofPage();
    if (!draft || JSON.stringify(form.settings) !== before) return;
    const { locked: _, ...settings } = draft;
    await this.#host.openLink(settings);
    form.restoreDraft({ ...draft, ...modelOf(form.settings) });
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
    this.#own.drafts.flush();
    this.#own.notifier?.rest();
  }

  // The form

  /** The form was changed. @param {Field} [field] the one that was typed in */
  changed(field) {
    if (!this.#views) return;
    const { form } = this.#views;
    this.#views.tools.note(form.settings, field);
    this.#own.drafts.note(form.draft);
  }

  /** A run is in progress, or the next one is about to begin. */
  get busy() {
    return this.#own.queue.busy || this.#instead > 0;
  }

  /**
   * Makes what the form says, after all that waits.
   * @param {Options} options
   * @param {Promise<boolean>} settled whether there is a model, once a typed one was examined
   */
  async generate({ compare = false, wall = false, forever = false }, settled) {
    if (!(await settled) || !this.#views) return;
    if (forever) return this.#forever.start();
    this.#forever.forget();
    const { form, tools } = this.#views;
    // A comparison is about the picture there is: the same seed again.
    if (!compare && !wall) form.useSeed(this.#own.queue.seeds);
    this.#host.onSeed();
    // So it is with a variation seed that was left open.
    const again = (compare || wall) && form.settings.variation_seed === "";
    const settings = {
      ...form.settings,
      ...(again && this.#variation && { variation_seed: this.#variation }),
    };
    const count = compare || wall ? 1 : tools.count;
    void this.#own.prompts.use(settings.prompt, settings.negative_prompt);
    this.#own.queue.add(
      seriesOf(settings, count, tools.random),
      wall ? "wall" : compare ? "compare" : "picture",
    );
  }

  /** Adds the next run of "Forever". @param {boolean} again it follows another one */
  #addNext(again) {
    const { form, tools } = /** @type {Views} */ (this.#views);
    const { last } = this.#series;
    const options = { again, random: tools.random, taken: this.#own.queue.seeds };
    const settings = this.#series.next(form, options);
    if (again) this.#undo.follow(form.settings);
    this.#host.onSeed();
    const { prompt, negative_prompt: negative } = settings;
    if (!again || prompt !== last?.prompt || negative !== last.negative_prompt)
      void this.#own.prompts.use(prompt, negative);
    const [id] = this.#own.queue.add([settings], "picture");
    return id;
  }

  /** Prepares a variation of a picture. @param {Frame} frame */
  #vary(frame) {
    this.#host.onChoose(frame);
    this.#host.fill(variationOf(frame.settings));
    this.#views?.form.lockSeed();
    const { root } = /** @type {Views} */ (this.#views);
    for (const fold of ["fold", "noise-fold"]) partOf(root, fold, HTMLDetailsElement).open = true;
  }

  /**
   * Makes pictures in place of the run in progress. What waits goes on after them.
   * @template T
   * @param {() => Promise<T>} make
   * @returns {Promise<T>}
   */
  async instead(make) {
    this.#instead += 1;
    if (this.#own.queue.running) this.#own.queue.remove(this.#own.queue.running.id);
    this.#host.onState();
    try {
      return await make();
    } finally {
      this.#instead -= 1;
      this.#host.onState();
    }
  }

  /** Cancels the run in progress. What waits then waits for the visitor. */
  cancel() {
    this.#forever.stop();
    if (this.#own.queue.running) this.#own.queue.stop();
    else this.#host.session.cancel();
  }

  // The session's reports

  /** @param {number} fraction of the run, 0 … 1 */
  progress(fraction) {
    this.#own.notifier?.progress(fraction, this.#own.queue.waiting.length);
  }

  /** A picture is finished. @param {string} seed */
  finished(seed) {
    this.#views?.form.seedUsed(seed);
    this.#own.notifier?.picture();
  }

  /** Adds a picture to the gallery. @param {Made} made */
  keep(made) {
    const added = this.#own.pictures.add(made).then(({ record }) => {
      this.#views?.gallery.select(record.id);
    });
    this.#saving.push(added.catch((error) => console.warn(`Not in the gallery: ${error}`)));
  }

  /** The session is idle. */
  idle() {
    void this.#own.queue.pump();
  }

  /**
   * @param {Settings} settings
   * @param {import("./run.js").Kind} kind
   * @param {number} tries
   * @returns {Promise<Outcome>}
   */
  async #make(settings, kind, tries) {
    const form = /** @type {Views} */ (this.#views).form;
    const { model, prediction } = settings;
    if (model !== form.settings.model || prediction !== form.settings.prediction) {
      form.forgetModel();
      this.#host.fill({ model, prediction });
      // The element opens it after this task.
      await Promise.resolve();
    }
    this.#cancelling = false;
    this.#variation = settings.variation_seed;
    this.retrying = tries > 1;
    /** @type {Outcome} */
    let outcome = "made";
    try {
      await this.#host.make(settings, { compare: kind === "compare", wall: kind === "wall" });
    } catch (error) {
      outcome = this.#outcomeOf(error, model);
    }
    this.retrying = false;
    await Promise.all(this.#saving.splice(0));
    this.#forever.ended(this.#own.queue.running?.id ?? "", outcome);
    return outcome;
  }

  /** @param {unknown} error @param {string} model @returns {Outcome} */
  #outcomeOf(error, model) {
    if (this.#cancelling) return "cancelled";
    if (this.#host.session.engine === "failed") return "unloaded";
    if (error instanceof DarkroomError)
      return error.kind === "crash" ? "lost" : { message: error.message };
    // It was ended, and not by the visitor: another device or another model was chosen.
    return this.#views?.form.settings.model === model ? "interrupted" : "replaced";
  }

  #cancel() {
    this.#cancelling = true;
    this.#host.session.cancel();
  }

  #queueChanged() {
    this.#views?.queue.render();
    this.#forever.next();
    this.#views?.tools.showForever(this.#forever);
    this.#host.onState();
    if (!this.busy) this.#own.notifier?.rest();
  }

  // The page

  /** @param {import("../store/channel.js").TabMessage} message */
  async #received(message) {
    if (message.about === "queue") await this.#own.queue.load();
    else await this.#own.pictures.changed(message.about, message.ids);
  }

  /** @param {Event} event */
  #onPage = (event) => {
    const leaving = event.type === "pagehide" || document.hidden;
    if (leaving) this.#own.drafts.flush();
    if (event.type === "pagehide") {
      // An open channel or a lock keeps the page out of the back/forward cache.
      this.#own.channel?.close();
      this.#own.queueStore.leave();
    } else if (!leaving && this.#own.database) {
      this.#own.channel?.open();
      this.#own.queueStore.enter();
      void this.#own.queue.load();
      const { persisted } = /** @type {PageTransitionEvent} */ (event);
      if (persisted) void this.#own.pictures.load();
    }
  };

  /** @param {MouseEvent} event */
  #click({ target }) {
    const { act } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
    if (act === "undo" || act === "redo" || act === "history") this.#do(act);
    else if (act === "library") void this.#views?.library.open();
    else if (act === "shortcuts") this.#do("sheet");
    else if (act === "forever" && this.#forever.on) this.#forever.stop();
    else if (act === "forever") this.#host.generate({ forever: true });
    else if (act === "notify") void this.#views?.tools.notify();
  }

  /** @param {KeyboardEvent} event */
  #onKey = (event) => {
    const { element } = this.#host;
    const root = this.#views?.root;
    const ownPage = this.#own.database !== null;
    if (!root || event.defaultPrevented || !belongsTo(event, element, ownPage)) return;
    // An open dialog has its own keys.
    if (root.querySelector("dialog[open]") || document.querySelector("dialog[open]")) return;
    const [target] = event.composedPath();
    if (target instanceof HTMLInputElement && this.#step(target, event)) return;
    const command = commandOf(event);
    // A text field undoes typing itself. It knows nothing of what was filled in.
    const native = (command === "undo" || command === "redo") && isText(event);
    if (!command || (native && !this.#undo.filled)) return;
    if (command === "cancel" && this.#host.session.idle) return;
    event.preventDefault();
    this.#do(command);
  };

  /** @param {Command} command */
  #do(command) {
    const { tools, history, sheet } = /** @type {Views} */ (this.#views);
    if (command === "generate") this.#host.generate({});
    else if (command === "compare") this.#host.generate({ compare: true });
    else if (command === "cancel") this.cancel();
    else if (command === "undo") tools.undo();
    else if (command === "redo") tools.redo();
    else if (command === "history") void history.open();
    else sheet.open();
  }

  /**
   * Arrow keys in a number.
   * @param {HTMLInputElement} input
   * @param {KeyboardEvent} event
   * @returns {boolean} the key was one
   */
  #step(input, event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !input.name) return false;
    const multiple = this.#views?.form.sizeMultiple ?? 8;
    const value = stepped(fieldOf(input.name), input.value, event, multiple);
    if (value === null) return false;
    event.preventDefault();
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }
}

/** The model that a form names. @param {Settings} settings */
const modelOf = ({ model, prediction }) => ({ model, prediction });
