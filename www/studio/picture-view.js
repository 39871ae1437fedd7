// @ts-check
/** Where pictures appear: one print, or two side by side. */
import { describe } from "./settings.js";

/** @typedef {import("../engine/protocol.js").Pixels} Pixels */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * A finished picture and how it was made.
 * @typedef {object} Frame
 * @property {number} number counting this visit's pictures from 1
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
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser gave no 2D canvas.");
  return context;
}

/** @param {number} seconds */
const spent = (seconds) => `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;

const FIGURE = `<canvas width="128" height="128" role="img"></canvas>
  <figcaption><span class="label"></span><button type="button" class="quiet" data-act="save" hidden>Save</button></figcaption>`;

export class PictureView {
  #root;
  /** What stands on each print, to go back to where nothing better comes. @type {(Frame | null)[]} */
  #frames = [null];

  /**
   * @param {HTMLElement} root
   * @param {(frame: Frame) => void} onSave
   */
  constructor(root, onSave) {
    this.#root = root;
    root.addEventListener("click", (event) => {
      const button = /** @type {Element} */ (event.target).closest("[data-act=save]");
      const frame =
        button && this.#frames[this.#figures.findIndex((print) => print.contains(button))];
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
        const print = document.createElement("figure");
        print.className = "picture";
        print.dataset.state = "empty";
        print.innerHTML = FIGURE;
        return print;
      }),
    );
    this.#root.dataset.pictures = String(count);
    this.#frames = Array(count).fill(null);
  }

  /**
   * Makes ready for pictures with these settings. What stands there stays until there is something to see.
   * @param {Settings[]} settings
   */
  prepare(settings) {
    this.#setCount(settings.length);
    this.#root.dataset.generating = "";
    this.#figures.forEach((print, at) => {
      if (print.dataset.state === "finished") print.dataset.state = "waiting";
      this.#label(print, caption(settings, at), null);
    });
  }

  /**
   * Paints the latent's colours, smoothly enlarged to the picture's size.
   * @param {number} at
   * @param {Pixels} preview
   * @param {{width: number, height: number}} size
   */
  preview(at, preview, { width, height }) {
    const print = this.#figures[at];
    const context = this.#paint(print, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(canvasOf(preview), 0, 0, width, height);
    print.dataset.state = "preview";
  }

  /**
   * @param {number} at
   * @param {Frame} frame
   * @param {Settings[]} settings of all prints
   */
  finish(at, frame, settings) {
    this.#frames[at] = frame;
    const print = this.#figures[at];
    this.#paint(print, frame.canvas.width, frame.canvas.height).drawImage(frame.canvas, 0, 0);
    print.dataset.state = "finished";
    this.#label(
      print,
      settings.length > 1
        ? caption(settings, at)
        : `${describe(frame.settings)} · ${spent(frame.seconds)}`,
      frame,
    );
  }

  /** All is done or given up: prints without a picture of their own go back to what they showed. */
  rest() {
    delete this.#root.dataset.generating;
    for (const [at, print] of this.#figures.entries()) {
      const frame = this.#frames[at];
      if (print.dataset.state === "finished") continue;
      if (frame) {
        this.finish(at, frame, [frame.settings]);
        continue;
      }
      const { width, height } = /** @type {HTMLCanvasElement} */ (print.querySelector("canvas"));
      this.#paint(print, width, height).clearRect(0, 0, width, height);
      print.dataset.state = "empty";
      this.#label(print, "", null);
    }
  }

  /** @param {Frame} frame */
  show(frame) {
    this.#setCount(1);
    this.finish(0, frame, [frame.settings]);
  }

  /**
   * @param {HTMLElement} print
   * @param {number} width
   * @param {number} height
   */
  #paint(print, width, height) {
    const canvas = /** @type {HTMLCanvasElement} */ (print.querySelector("canvas"));
    if (canvas.width !== width || canvas.height !== height)
      Object.assign(canvas, { width, height });
    print.style.setProperty("--ratio", String(width / height));
    return contextOf(canvas);
  }

  /**
   * @param {HTMLElement} print
   * @param {string} text
   * @param {Frame | null} frame
   */
  #label(print, text, frame) {
    /** @type {HTMLElement} */ (print.querySelector(".label")).textContent = text;
    /** @type {HTMLElement} */ (print.querySelector("[data-act=save]")).hidden = !frame;
    const canvas = /** @type {HTMLElement} */ (print.querySelector("canvas"));
    const { prompt, negative_prompt: negative } = frame?.settings ?? {};
    canvas.ariaLabel = frame
      ? `Picture of “${prompt}”${negative ? `, negative prompt “${negative}”` : ", no negative prompt"}`
      : "No picture yet";
  }
}

/** @param {Settings[]} settings @param {number} at */
function caption(settings, at) {
  if (settings.length === 1) return describe(settings[at]);
  return settings[at].negative_prompt
    ? `With the negative prompt “${settings[at].negative_prompt}”`
    : "Without a negative prompt";
}
