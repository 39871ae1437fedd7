// @ts-check
/** Acts on finished pictures: save one, restore the settings of one, try its settings again. */
import { DarkroomError, problemOf } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { fromInfotext } from "./infotext.js";
import { pictureFile } from "./picture-file.js";
import { download } from "./png.js";
import { textOf } from "./png-text.js";
import { randomSeed } from "./settings.js";
import { said } from "./status-view.js";

/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * @typedef {object} Host
 * @property {import("./session-view.js").SessionView} shown
 * @property {() => import("./session-view.js").Views} views
 * @property {() => Settings} settings
 * @property {(settings: Partial<Settings>) => void} apply
 * @property {(options: {compare: boolean}) => void} make
 */

export class PictureActions {
  #host;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  /** @param {Frame} frame */
  async save({ settings, canvas }) {
    try {
      const file = await pictureFile(canvas, settings);
      download(file, file.name);
    } catch (error) {
      this.#host.shown.showProblem(problemOf(error, "engine"));
    }
  }

  /** Restores the settings that a picture was made with. @param {File} picture */
  async restoreFile(picture) {
    const { apply, settings, shown, views } = this.#host;
    const text = await textOf(new Uint8Array(await picture.arrayBuffer()), "parameters");
    const found = text === null ? null : fromInfotext(text, settings().model);
    const t = strings().studio.status;
    if (!found) throw new DarkroomError("request", t.noParameters(picture.name));
    shown.showProblem(null);
    apply(found.settings);
    const { status } = views();
    status.warn(found.notes);
    if (shown.session.idle) status.say(said(t.restored(picture.name)));
  }

  /** Shows a picture of the gallery, and restores its settings. @param {Frame} frame */
  restoreFrame(frame) {
    if (!this.#host.shown.session.idle) return;
    this.#applyOf(frame);
    const { stage, status } = this.#host.views();
    stage.show(frame);
    status.warn(frame.warnings);
  }

  /** Compares with another seed. @param {Partial<Settings> | null} settings null: a new seed */
  try(settings) {
    if (!this.#host.shown.session.idle) return;
    this.#host.apply(settings ?? { seed: randomSeed() });
    this.#host.make({ compare: true });
  }

  /**
   * Keeps the pictures of an opened pair of the wall, and takes their settings.
   * @param {Frame[]} frames
   */
  openPair(frames) {
    const { gallery } = this.#host.views();
    for (const frame of frames) if (!gallery.has(frame)) gallery.add(frame);
    this.#applyOf(frames[1]);
  }

  /** The device stays, and the model where it is the same one. @param {Frame} frame */
  #applyOf(frame) {
    const { device, model, ...settings } = frame.settings;
    const same = model === this.#host.settings().model;
    this.#host.apply(same ? settings : frame.settings);
  }
}
