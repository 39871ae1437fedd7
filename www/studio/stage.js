// @ts-check
/**
 * The stage: where pictures appear. It shows one of three views: what the page puts there at first,
 * the pictures in the making, or the wall of seeds. Below them it says what a comparison changed.
 */
import { strings } from "../strings/index.js";
import { differenceOf } from "./difference.js";
import { PictureView } from "./picture-view.js";
import { knownWord, translated } from "./showcase.js";
import { partOf } from "./status-view.js";
import { Wall } from "./wall.js";

/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./showcase.js").Showcase} Showcase */
/** @typedef {import("./run.js").Kind} Kind */

/**
 * @typedef {object} Host
 * @property {(frame: Frame) => void} onSave
 * @property {(settings: Partial<Settings> | null) => void} onTry compare with these settings; null:
 *   with a new seed
 * @property {(frames: Frame[]) => void} onOpen a pair of the wall is shown on the stage
 */

export class Stage {
  #root;
  #host;
  #view;
  #wall;
  /** The last run. @type {{kind: Kind, all: Settings[], frames: Frame[]}} */
  #run = { kind: "picture", all: [], frames: [] };
  /** The last picture without a negative prompt. @type {Frame | null} */ #plain = null;
  /** @type {Showcase | null} */ #showcase = null;

  /** @param {ParentNode} root @param {Host} host */
  constructor(root, host) {
    this.#root = root;
    this.#host = host;
    this.#view = new PictureView(partOf(root, "pictures"), (frame) => host.onSave(frame));
    this.#wall = new Wall(partOf(root, "wall"), (frames, all) => this.#open(frames, all));
    partOf(root, "wall-back").addEventListener("click", () => this.#backToWall());
  }

  /**
   * Shows what a model draws, where that is known.
   * @param {string} model as in the model field
   * @param {Showcase | null} showcase
   */
  describe(model, showcase) {
    this.#showcase = showcase?.model === model ? showcase : null;
    const text = translated(this.#showcase?.draws) || strings().stage.model(model);
    partOf(this.#root, "draws").textContent = text;
  }

  /** @param {"start" | "pictures" | "wall"} view */
  #show(view) {
    partOf(this.#root, "stage").dataset.view = view;
    partOf(this.#root, "wall-back").hidden = true;
  }

  get #showsWall() {
    return partOf(this.#root, "stage").dataset.view === "wall";
  }

  /**
   * Prepares for pictures with these settings.
   * @param {Settings[]} all
   * @param {Kind} kind
   */
  prepare(all, kind) {
    this.#run = { kind, all, frames: [] };
    this.#say("");
    this.#show(kind === "wall" ? "wall" : "pictures");
    if (kind === "wall") this.#wall.prepare(all);
    else this.#view.prepare(all);
  }

  /**
   * @param {number} at
   * @param {import("../engine/protocol.js").Pixels} preview
   * @param {{width: number, height: number}} size
   */
  preview(at, preview, size) {
    if (this.#run.kind !== "wall") this.#view.preview(at, preview, size);
  }

  /** @param {number} at @param {Frame} frame @param {Settings[]} all settings of the run */
  finish(at, frame, all) {
    const { kind, frames } = this.#run;
    frames[at] = frame;
    if (frame.settings.negative_prompt === "") this.#plain = frame;
    if (kind === "wall") {
      this.#wall.finish(at, frame);
      if (this.#showsWall) this.#say(this.#wall.counted);
      return;
    }
    this.#view.finish(at, frame, all);
    if (kind === "compare" && at === 1) this.#judge(frames[0], frame);
  }

  /** Ends a run, however it ended. */
  rest() {
    const { kind, all } = this.#run;
    if (kind !== "wall") this.#view.rest();
    else if (this.#showsWall) this.#sumUp(all[1]);
  }

  /** Shows a finished picture alone. @param {Frame} frame */
  show(frame) {
    this.#say("");
    this.#show("pictures");
    this.#view.show(frame);
  }

  /**
   * The last picture without a negative prompt, if these settings would make it again.
   * @param {Settings} wanted complete settings, without a negative prompt
   * @returns {Frame | null}
   */
  reusable(wanted) {
    const frame = this.#plain;
    const fields = /** @type {[keyof Settings, string][]} */ (Object.entries(wanted));
    return frame && fields.every(([field, value]) => frame.settings[field] === value)
      ? frame
      : null;
  }

  /** Another model or device is loaded: its pictures may differ. */
  forget() {
    this.#plain = null;
  }

  /**
   * Says what the negative prompt changed, and offers another seed where it changed nothing.
   * @param {Frame} without @param {Frame} withIt
   */
  #judge(without, withIt) {
    const difference = differenceOf(without.canvas, withIt.canvas);
    if (!difference) return;
    const t = strings().stage;
    const { share, amount } = difference;
    if (amount === "some") return this.#say(t.changed(share));
    if (amount === "much") return this.#say(t.much(share));
    const known = knownWord(this.#showcase, withIt.settings);
    if (known) this.#say(t.nothingBecause(known.none), known);
    else this.#say(t.nothing(withIt.settings.negative_prompt), {});
  }

  /** Says what the wall has shown. @param {Settings} settings of a picture of it */
  #sumUp(settings) {
    const { made, changed } = this.#wall.count;
    const known = made > 0 && changed === 0 ? knownWord(this.#showcase, settings) : null;
    this.#say(this.#wall.summary, known);
  }

  /**
   * @param {string} text below the pictures
   * @param {{seed?: string, prompt?: string} | null} [offer] a seed to try; none named: a new one
   */
  #say(text, offer = null) {
    partOf(this.#root, "verdict").textContent = text;
    const button = partOf(this.#root, "try-seed");
    button.hidden = offer === null;
    const { seed, prompt } = offer ?? {};
    const t = strings().stage;
    button.textContent = seed === undefined ? t.tryAnother : t.trySeed(seed);
    button.onclick = () => this.#host.onTry(seed === undefined ? null : { seed, prompt });
  }

  /** Shows a pair of the wall. @param {Frame[]} frames @param {Settings[]} all */
  #open(frames, all) {
    this.#show("pictures");
    this.#view.prepare(all);
    for (const [at, frame] of frames.entries()) this.#view.finish(at, frame, all);
    this.#view.rest();
    this.#judge(frames[0], frames[1]);
    this.#host.onOpen(frames);
    const back = partOf(this.#root, "wall-back");
    back.hidden = false;
    back.focus();
  }

  #backToWall() {
    this.#show("wall");
    this.#say(this.#wall.summary);
  }
}
