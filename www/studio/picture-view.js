// @ts-check
/** Shows the picture in progress: one, or two side by side. */
import { setHtml } from "../base/trusted.js";
import { strings } from "../strings/index.js";
import { describe } from "./settings.js";
import { figureTemplate } from "./template.js";

/** @typedef {import("../engine/protocol.js").Pixels} Pixels */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * A finished picture and how it was made.
 * @typedef {object} Frame
 * @property {Settings} settings
 * @property {HTMLCanvasElement} canvas
 * @property {number} seconds
 * @property {string} device
 * @property {string[]} warnings
 */

/** @param {Pixels} pixels */
export function canvasOf({ width, height, rgba }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  contextOf(canvas).putImageData(new ImageData(rgba, width, height), 0, 0);
  return canvas;
}

/** @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  // Pixels are read again for a comparison and for the PNG file.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("This browser gave no 2D canvas.");
  return context;
}

/** The time that a picture took; nothing for one from a file. @param {Frame} frame */
const spent = ({ seconds }) => (seconds ? ` · ${strings().studio.picture.seconds(seconds)}` : "");

export class PictureView {
  #root;
  /** The finished picture in each figure. @type {(Frame | null)[]} */ #frames = [null];
  /** The pictures before the run in progress. @type {Frame[]} */ #before = [];

  /**
   * @param {HTMLElement} root
   * @param {(frame: Frame) => void} onSave
   */
  constructor(root, onSave) {
    this.#root = root;
    root.addEventListener("click", (event) => {
      const button = /** @type {Element} */ (event.target).closest("[data-act=save]");
      const frame =
        button && this.#frames[this.#figures.findIndex((figure) => figure.contains(button))];
      if (frame) onSave(frame);
    });
    this.#setCount(1);
  }

  get #figures() {
    return /** @type {HTMLElement[]} */ ([...this.#root.children]);
  }

  /** @param {number} count */
  #setCount(count) {
    if (this.#figures.length === count) return;
    this.#root.replaceChildren(
      ...Array.from({ length: count }, () => {
        const figure = document.createElement("figure");
        figure.className = "picture";
        figure.dataset.state = "empty";
        figure.dataset.empty = strings().studio.picture.empty;
        setHtml(figure, figureTemplate());
        return figure;
      }),
    );
    this.#root.dataset.pictures = String(count);
    this.#frames = Array(count).fill(null);
  }

  /**
   * Prepares the figures for pictures with these settings. The last pictures stay until there is a
   * preview.
   * @param {Settings[]} settings
   */
  prepare(settings) {
    this.#before = this.#frames.filter((frame) => frame !== null);
    this.#setCount(settings.length);
    this.#frames.fill(null);
    this.#root.dataset.generating = "";
    this.#figures.forEach((figure, at) => {
      if (figure.dataset.state === "finished") figure.dataset.state = "waiting";
      this.#label(figure, caption(settings, at), null);
    });
  }

  /**
   * Draws the latent's colours, smoothly enlarged to the picture's size.
   * @param {number} at
   * @param {Pixels} preview
   * @param {{width: number, height: number}} size
   */
  preview(at, preview, { width, height }) {
    const figure = this.#figures[at];
    const context = this.#paint(figure, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(canvasOf(preview), 0, 0, width, height);
    figure.dataset.state = "preview";
  }

  /** @param {number} at @param {Frame} frame @param {Settings[]} settings of all figures */
  finish(at, frame, settings) {
    this.#frames[at] = frame;
    const figure = this.#figures[at];
    this.#paint(figure, frame.canvas.width, frame.canvas.height).drawImage(frame.canvas, 0, 0);
    figure.dataset.state = "finished";
    this.#label(
      figure,
      settings.length > 1 ? caption(settings, at) : describe(frame.settings) + spent(frame),
      frame,
    );
  }

  /**
   * Ends a run. Without a new picture, the ones before it come back. Of a comparison that was
   * cancelled, the picture that is finished remains.
   */
  rest() {
    delete this.#root.dataset.generating;
    const made = this.#frames.filter((frame) => frame !== null);
    if (made.length === this.#frames.length) return;
    if (made.length > 0) return this.#showAll(made);
    if (this.#before.length > 0) return this.#showAll(this.#before);
    for (const figure of this.#figures) {
      const { width, height } = /** @type {HTMLCanvasElement} */ (figure.querySelector("canvas"));
      this.#paint(figure, width, height).clearRect(0, 0, width, height);
      figure.dataset.state = "empty";
      this.#label(figure, "", null);
    }
  }

  /** @param {Frame[]} frames */
  #showAll(frames) {
    this.#setCount(frames.length);
    const settings = frames.map((frame) => frame.settings);
    for (const [at, frame] of frames.entries()) this.finish(at, frame, settings);
  }

  /** @param {Frame} frame */
  show(frame) {
    this.#setCount(1);
    this.finish(0, frame, [frame.settings]);
  }

  /**
   * @param {HTMLElement} figure
   * @param {number} width
   * @param {number} height
   */
  #paint(figure, width, height) {
    const canvas = /** @type {HTMLCanvasElement} */ (figure.querySelector("canvas"));
    if (canvas.width !== width || canvas.height !== height)
      Object.assign(canvas, { width, height });
    figure.style.setProperty("--ratio", String(width / height));
    return contextOf(canvas);
  }

  /**
   * @param {HTMLElement} figure
   * @param {string} text
   * @param {Frame | null} frame
   */
  #label(figure, text, frame) {
    /** @type {HTMLElement} */ (figure.querySelector(".label")).textContent = text;
    /** @type {HTMLElement} */ (figure.querySelector("[data-act=save]")).hidden = !frame;
    const canvas = /** @type {HTMLElement} */ (figure.querySelector("canvas"));
    const t = strings().studio.picture;
    canvas.ariaLabel = frame
      ? t.label(frame.settings.prompt, frame.settings.negative_prompt)
      : t.none;
  }
}

/** @param {Settings[]} settings @param {number} at */
function caption(settings, at) {
  if (settings.length === 1) return describe(settings[at]);
  const { negative_prompt: negative } = settings[at];
  const t = strings().studio.picture;
  return negative ? t.with(negative) : t.without;
}
