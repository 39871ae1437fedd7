// @ts-check
/** Shows what the session reports in the studio's views, and dispatches the element's events. */
import { strings } from "../strings/index.js";
import { isCheckpoint } from "./address.js";
import { emit, withFraction } from "./events.js";
import { pictureFile } from "./picture-file.js";
import { canvasOf } from "./picture-view.js";
import { openingText, stepsDone, stepText } from "./progress.js";
import { Session } from "./session.js";
import { withModelDefaults } from "./settings.js";
import { said } from "./status-view.js";

/** @typedef {import("../engine/protocol.js").Opened} Opened */
/** @typedef {import("../engine/protocol.js").StepProgress} StepProgress */
/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./session.js").Job} Job */
/** @typedef {import("./session.js").OpenProgress} OpenProgress */
/** @typedef {import("./session.js").Result} Result */

/**
 * Views over the shadow root. They are replaced when the language changes.
 * @typedef {object} Views
 * @property {import("./form.js").SettingsForm} form
 * @property {import("./prompt-language.js").PromptLanguage} language
 * @property {import("./live-notes.js").LiveNotes} notes
 * @property {import("./stage.js").Stage} pictures
 * @property {import("./status-view.js").StatusView} status
 * @property {import("./workplace.js").Workplace} work
 */

/** A demo model may be evicted when storage runs short. Models larger than this should not be. */
const ASK_TO_PERSIST_FROM = 200e6;

export class SessionView {
  #host;
  #options;
  /** The last picture. @type {Frame | null} */ #last = null;
  /** Time of the run's pictures so far. */ #seconds = 0;
  /** Pictures that the gallery has. @type {WeakSet<Frame>} */ #kept = new WeakSet();
  /** @type {WeakMap<Frame, Promise<import("./run.js").Picture>>} */
  #published = new WeakMap();
  /** The call of `generate` in progress. @type {import("./run.js").Run | null} */ run = null;

  /**
   * @param {HTMLElement} host
   * @param {object} options
   * @param {() => Views} options.views
   * @param {() => import("./session.js").Choice} options.choice
   * @param {(file: File) => void} options.onFile gets each finished picture
   * @param {() => import("./model-switch.js").ModelSwitch} options.models
   * @param {() => void} options.onSwitched another model is open than before
   * @param {import("./additions.js").Additions} options.additions
   */
  constructor(host, options) {
    this.#host = host;
    this.#options = options;
    this.session = new Session({
      choice: options.choice,
      onChange: () => this.showState(),
      onOpening: () => {
        this.#views.status.clear();
        this.#views.pictures.forget();
      },
      onOpenProgress: (progress) => this.#opening(progress),
      onReady: (opened) => this.#ready(opened),
      onProblem: (problem) => this.showProblem(problem),
      onLater: (text) => this.#views.status.later(text),
      onLong: (text) => this.#say({ text, fraction: null }),
      equip: (settings) => options.additions.equip(settings),
      onStart: (settings) => this.#start(settings),
      onPrompts: () => this.#prompts(),
      onStep: (progress, job, watch) => this.#step(progress, job, watch),
      onPicture: (result, job) => this.#picture(result, job),
      onCancelling: () => this.#say({ text: strings().studio.status.stopping, fraction: null }),
      onFailed: (cancelled) =>
        this.#say(cancelled ? said(strings().studio.status.cancelled) : { text: "" }),
      onEnd: () => this.#views.pictures.rest(),
    });
  }

  get #views() {
    return this.#options.views();
  }

  /** @param {import("./progress.js").Status} status */
  #say(status) {
    this.#views.status.say(status);
  }

  /** Shows everything in new views. */
  showAll() {
    if (this.#last) this.#views.pictures.show(this.#last);
    const { opened } = this.session;
    if (opened) this.#welcome(opened);
    this.showState();
  }

  /** Shows the session's state in the buttons, and as attributes for style sheets. */
  showState() {
    const { engine, idle } = this.session;
    // Between two runs of the queue the session is idle for a moment.
    const work = idle && this.#views.work.busy ? "running" : this.session.work;
    this.#host.dataset.engine = engine;
    this.#host.dataset.work = work;
    this.#views.status.buttons({ idle: work === "idle", work });
    if (idle) this.#views.work.idle();
    this.#views.status.fallback(engine === "failed" || typeof WebAssembly !== "object");
  }

  /**
   * @param {import("../base/problem.js").Problem | null} problem
   * @param {boolean} [typed] it is about a text in the model field
   */
  showProblem(problem, typed = false) {
    this.run?.problem(problem);
    // A run that is begun again leaves the reason on the page.
    if (!problem && this.#views.work.retrying) return;
    const onCpu = this.#host.dataset.device === "cpu";
    const models = this.#options.models();
    const situation = problem ? models.situation(problem) : {};
    this.#views.status.problem(problem, { onCpu, typed, ...situation });
    if (!problem) models.showQuestion();
    if (problem && problem.kind !== "cancelled") emit(this.#host, "error", problem);
  }

  /** @param {OpenProgress} progress */
  #opening(progress) {
    emit(this.#host, "progress", withFraction(progress));
    const { status } = this.#views;
    if (progress.stage === "plan") status.plan(progress.plan);
    else if (progress.stage === "notice") status.notice(progress.text);
    else if (progress.stage === "storage") {
      if (progress.bytes > ASK_TO_PERSIST_FROM) void navigator.storage?.persist?.();
    } else status.say(openingText(progress, !this.session.idle));
  }

  /** @param {Opened} opened */
  #ready(opened) {
    this.#welcome(opened);
    this.#options.additions.examined(opened.added);
    if (this.#options.models().ready()) this.#options.onSwitched();
    emit(this.#host, "ready", opened);
  }

  /** @param {Opened} opened */
  #welcome(opened) {
    const { device, model } = opened;
    const { form, notes, status } = this.#views;
    this.#host.dataset.device = device.kind;
    status.opened(opened, isCheckpoint(form.settings.model));
    form.showModel(model);
    form.review();
    const t = strings().studio.status;
    if (this.session.idle) status.say({ text: t.ready, spoken: t.readyOn(device.name) });
    notes.now();
  }

  /** @param {import("./settings.js").Settings[]} all */
  #start(all) {
    const { kind = "picture", made = null } = this.run ?? {};
    this.#views.pictures.prepare(all, kind);
    if (made) this.#views.pictures.finish(0, made, all);
  }

  #prompts() {
    this.run?.begin();
    const { encoding: text, making: spoken } = strings().studio.status;
    this.#say({ text, spoken });
  }

  /**
   * @param {StepProgress} progress
   * @param {Job} job
   * @param {import("./progress.js").Stopwatch} watch
   */
  #step(progress, { at, all }, watch) {
    if (progress.merging !== undefined) {
      const text = strings().additions.merging(Math.floor(progress.merging * 100));
      return this.#say({ text, fraction: progress.merging });
    }
    this.run?.step(progress);
    const { pictures, status } = this.#views;
    const size = { width: Number(all[at].width), height: Number(all[at].height) };
    if (progress.preview) pictures.preview(at, progress.preview, size);
    if (progress.warnings) status.warn(progress.warnings);
    status.say(stepText(progress, watch, at, all.length));
    const { call, calls, steps, done, preview } = progress;
    const fraction = (at + call / calls) / all.length;
    this.#views.work.progress(fraction);
    emit(this.#host, "step", {
      step: done ? steps : stepsDone(progress),
      steps,
      fraction,
      picture: at,
      pictures: all.length,
      preview,
    });
  }

  /** @param {Result} result @param {Job} job */
  #picture({ picture, warnings, predictions, seconds, device }, { at, all }) {
    const { pictures, status, work } = this.#views;
    status.warn(warnings);
    const settings = all[at];
    const canvas = canvasOf(picture);
    const frame = { settings, canvas, seconds, device, warnings };
    this.#last = frame;
    work.finished(settings.seed);
    // A pair of a wall is kept when it is opened.
    if (this.run?.kind !== "wall") this.keep([frame]);
    pictures.finish(at, frame, all);
    this.#seconds = seconds + (at > 0 ? this.#seconds : 0);
    const finished = strings().studio.status.finished(this.#seconds, device);
    status.say(said(finished + savedText(predictions)));
    this.run?.finish((timings) => {
      const published = this.#publish(frame, timings);
      this.#published.set(frame, published);
      return published;
    });
  }

  /**
   * Adds pictures to the gallery, those that it has not yet.
   * @param {Frame[]} frames
   * @returns {Frame} the last
   */
  keep(frames) {
    for (const frame of frames) {
      if (this.#kept.has(frame)) continue;
      this.#kept.add(frame);
      this.#views.work.keep(frame);
    }
    return frames[frames.length - 1];
  }

  /**
   * A picture that these settings would make again.
   * @param {import("./settings.js").Settings} settings without a negative prompt
   * @returns {Frame | null}
   */
  made(settings) {
    const { opened } = this.session;
    return opened && this.#views.pictures.reusable(withModelDefaults(settings, opened.model));
  }

  /** The outcome of a picture, once more: its first bitmap may be closed. @param {Frame} frame */
  async published(frame) {
    const picture = await this.#published.get(frame);
    if (!picture) throw new TypeError("this picture was never published");
    return { ...picture, bitmap: await createImageBitmap(frame.canvas) };
  }

  /**
   * Hands a finished picture to the page.
   * @param {Frame} frame
   * @param {import("./timings.js").Timings} timings
   */
  async #publish({ settings, canvas, seconds, device, warnings }, timings) {
    const [blob, bitmap] = await Promise.all([
      pictureFile(canvas, settings),
      createImageBitmap(canvas),
    ]);
    const { seed } = settings;
    const picture = { blob, bitmap, seed, settings, timings, warnings, device };
    this.#options.onFile(blob);
    emit(this.#host, "picture", { ...picture, canvas, seconds });
    return picture;
  }
}

/**
 * Says how much work a picture has saved.
 * @param {import("../engine/protocol.js").Predictions} predictions
 */
function savedText({ made, saved }) {
  return saved > 0 ? ` ${strings().guidance.report.saved(saved, made + saved)}` : "";
}
