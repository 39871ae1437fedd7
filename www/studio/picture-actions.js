// @ts-check
/** Acts on finished pictures: saving one, showing one, and restoring the settings of one. */
import { problemOf } from "../base/problem.js";
import { strings } from "../strings/index.js";
import { pictureProblem } from "./candidate.js";
import { frameOfFile, pictureFile, settingsOfFile } from "./picture-file.js";
import { download } from "./png.js";
import { complete } from "./settings.js";
import { said } from "./status-view.js";

/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * @typedef {object} Host
 * @property {() => Settings} settings
 * @property {(settings: Partial<Settings>) => void} fill
 * @property {() => import("./session-view.js").Views} views
 * @property {import("./session-view.js").SessionView} shown
 * @property {import("./additions.js").Additions} additions
 */

export class PictureActions {
  #host;

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
  }

  /** Restores the settings that a picture was made with. @param {File} picture */
  async restoreFile(picture) {
    const { additions, fill, settings, shown, views } = this.#host;
    const { name } = picture;
    if (shown.session.idle) {
      // What is said of another picture would seem to be about this one.
      views().status.warn([]);
      views().status.say({ text: "" });
    }
    const problem = await pictureProblem(picture);
    if (problem) throw problem;
    const found = await settingsOfFile(picture, settings().model);
    shown.showProblem(null);
    fill(found.settings);
    const notes = [...found.notes, ...(await additions.missing(found.settings))];
    const { status } = views();
    status.warn(notes);
    const frame = await frameOfFile(picture, settings(), notes);
    if (frame) this.show(frame);
    if (shown.session.idle) status.say(said(strings().studio.status.restored(name)));
  }

  /** Shows a picture of the gallery. @param {Frame} frame */
  show(frame) {
    const { shown, views } = this.#host;
    if (!shown.session.idle) return;
    views().pictures.show(frame);
    views().status.warn(frame.warnings);
  }

  /** Shows a picture of the gallery, and restores its settings. @param {Frame} frame */
  async choose(frame) {
    this.restore(frame);
    this.show(frame);
    const absent = await this.#host.additions.missing(frame.settings);
    if (absent.length) this.#host.views().status.warn([...frame.warnings, ...absent]);
  }

  /** Restores a picture's settings, except for the device. @param {Frame} frame */
  restore({ settings: all }) {
    const { device, model, ...settings } = complete(all);
    const same = model === this.#host.settings().model;
    this.#host.fill(same ? settings : { ...settings, device, model });
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
}
