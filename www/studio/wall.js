// @ts-check
/** Wall of nine seeds, each without and with the negative prompt. Counts what has changed. */
import { strings } from "../strings/index.js";
import { differenceOf } from "./difference.js";

/** @typedef {import("./difference.js").Difference} Difference */
/** @typedef {import("./picture-view.js").Frame} Frame */
/** @typedef {import("./settings.js").Settings} Settings */

export const SEEDS = 9;
const LARGEST_SEED = 2n ** 64n - 1n;

/**
 * A cell of the wall.
 * @typedef {object} Cell
 * @property {string} seed
 * @property {Settings[]} settings of the two pictures
 * @property {Frame[]} frames finished
 * @property {Difference | null} difference
 * @property {HTMLButtonElement} button
 */

/**
 * Settings of all pictures of the wall: nine seeds in a row, from the one in the form.
 * @param {Settings} settings
 * @returns {Settings[]} without and with the negative prompt, seed by seed
 */
export function wallOf(settings) {
  return Array.from({ length: SEEDS }, (_, at) => {
    const seed = String((BigInt(settings.seed) + BigInt(at)) % (LARGEST_SEED + 1n));
    return [
      { ...settings, seed, negative_prompt: "" },
      { ...settings, seed },
    ];
  }).flat();
}

export class Wall {
  #root;
  #onOpen;
  /** @type {Cell[]} */ #cells = [];

  /**
   * @param {HTMLElement} root
   * @param {(frames: Frame[], settings: Settings[]) => void} onOpen a finished cell is pressed
   */
  constructor(root, onOpen) {
    this.#root = root;
    this.#onOpen = onOpen;
  }

  /** Prepares empty cells. @param {Settings[]} settings from `wallOf` */
  prepare(settings) {
    this.#cells = Array.from({ length: settings.length / 2 }, (_, at) =>
      this.#cell(settings.slice(2 * at, 2 * at + 2)),
    );
    const items = this.#cells.map(({ button }) => {
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    this.#root.querySelector("ol")?.replaceChildren(...items);
    this.#root.ariaLabel = strings().stage.wallOf(settings[1].negative_prompt);
  }

  /** @param {Settings[]} settings @returns {Cell} */
  #cell(settings) {
    const { seed } = settings[0];
    const button = document.createElement("button");
    button.type = "button";
    button.ariaDisabled = "true";
    const canvases = settings.map(() => document.createElement("canvas"));
    for (const canvas of canvases) canvas.width = canvas.height = 128;
    const caption = document.createElement("span");
    caption.className = "seed";
    caption.textContent = strings().studio.picture.seed(seed);
    const result = document.createElement("span");
    result.className = "result";
    // Only the share is seen. The other words are for screen readers.
    const rest = document.createElement("span");
    rest.className = "unseen";
    rest.textContent = strings().stage.pending;
    button.append(...canvases, caption, result, rest);
    /** @type {Cell} */
    const cell = { seed, settings, frames: [], difference: null, button };
    button.addEventListener("click", () => {
      if (cell.frames.length === 2) this.#onOpen(cell.frames, cell.settings);
    });
    return cell;
  }

  /** @param {number} at index of the picture @param {Frame} frame */
  finish(at, frame) {
    const cell = this.#cells[Math.floor(at / 2)];
    cell.frames.push(frame);
    const canvas = cell.button.querySelectorAll("canvas")[at % 2];
    Object.assign(canvas, { width: frame.canvas.width, height: frame.canvas.height });
    canvas.getContext("2d")?.drawImage(frame.canvas, 0, 0);
    if (cell.frames.length < 2) return;
    cell.difference = differenceOf(cell.frames[0].canvas, cell.frames[1].canvas);
    const t = strings().stage;
    const { share, amount } = cell.difference ?? { share: 0, amount: "nothing" };
    const same = amount === "nothing";
    cell.button.dataset.amount = amount;
    cell.button.ariaDisabled = null;
    const [, result, rest] = cell.button.querySelectorAll("span");
    result.textContent = same ? t.same : t.share(share);
    rest.textContent = same ? "" : t.cellChanged;
  }

  /** Number of finished cells, and of those that changed. */
  get count() {
    const made = this.#cells.filter(({ frames }) => frames.length === 2);
    const changed = made.filter(({ difference }) => difference?.amount !== "nothing");
    return { made: made.length, changed: changed.length };
  }

  /** The count, as text. */
  get counted() {
    const { made, changed } = this.count;
    return made > 0 ? strings().stage.counted(changed, made) : "";
  }

  /** The count, and where the wall is not complete, how far it is. */
  get summary() {
    const { made } = this.count;
    const stopped = made < this.#cells.length ? strings().stage.stopped(made) : "";
    return [stopped, this.counted].filter(Boolean).join(" ");
  }
}
