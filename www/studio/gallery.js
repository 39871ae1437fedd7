// @ts-check
/** Gallery of this visit's pictures, the newest first. */
import { strings } from "../strings/index.js";
import { describe } from "./settings.js";

/** @typedef {import("./picture-view.js").Frame} Frame */

export class Gallery {
  #root;
  #list;
  #onChoose;

  /**
   * @param {HTMLElement} root
   * @param {(frame: Frame) => void} onChoose
   */
  constructor(root, onChoose) {
    this.#root = root;
    this.#list = /** @type {HTMLElement} */ (root.querySelector("ol"));
    this.#onChoose = onChoose;
  }

  /** Tells whether a picture is in the gallery. @param {Frame} frame */
  has(frame) {
    return this.#list.contains(frame.canvas);
  }

  /** @param {Frame} frame */
  add(frame) {
    const { prompt, negative_prompt: negative } = frame.settings;
    const button = document.createElement("button");
    button.type = "button";
    const t = strings().gallery;
    const lines = [prompt, negative && t.negative(negative), describe(frame.settings)];
    button.title = lines.filter(Boolean).join("\n");
    button.ariaLabel = t.label(frame.number, prompt, negative);
    const number = document.createElement("span");
    number.className = "number";
    number.textContent = String(frame.number);
    const words = document.createElement("span");
    words.className = "words";
    words.textContent = negative ? `− ${negative}` : "";
    button.append(frame.canvas, number, words);
    button.addEventListener("click", () => {
      this.mark(button);
      this.#onChoose(frame);
    });
    const item = document.createElement("li");
    item.append(button);
    this.#list.prepend(item);
    this.#root.hidden = false;
    this.mark(button);
  }

  /** @param {Element | null} chosen the button of the picture in view */
  mark(chosen) {
    for (const button of this.#list.querySelectorAll("button"))
      button.ariaCurrent = button === chosen ? "true" : null;
  }
}
