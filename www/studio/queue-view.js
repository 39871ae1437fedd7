// @ts-check
/** List of the runs that wait, with buttons to reorder and remove them. */
import { strings } from "../strings/index.js";
import { CRASHED } from "./queue.js";
import { describe } from "./settings.js";
import { SEEDS } from "./wall.js";

/** @typedef {import("../store/queue.js").QueueRecord} QueueRecord */
/** @typedef {import("./queue.js").RunQueue} RunQueue */
/** @typedef {import("./settings.js").Settings} Settings */

/** Number of pictures of each kind of run. @type {Record<string, number>} */
const PICTURES = { picture: 1, compare: 2, wall: 2 * SEEDS };

export class QueueView {
  #root;
  #queue;
  #list;

  /** @param {HTMLElement} root @param {RunQueue} queue */
  constructor(root, queue) {
    this.#root = root;
    this.#queue = queue;
    this.#list = /** @type {HTMLElement} */ (root.querySelector("ol"));
    root.addEventListener("click", ({ target }) => {
      const { act, id = "" } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
      if (act === "queue-continue") queue.resume();
      else if (act === "queue-pause") queue.hold();
      else if (act === "queue-clear") queue.clear();
      else if (act === "queue-up") this.#move(id, -1);
      else if (act === "queue-down") this.#move(id, 1);
      else if (act === "queue-remove") this.#remove(id);
      else if (act === "queue-again") queue.again(id);
    });
  }

  render() {
    const t = strings().gallery.queue;
    const { waiting, running, pause, elsewhere } = this.#queue;
    this.#root.hidden = waiting.length === 0 && elsewhere === 0;
    const pictures = waiting.reduce((sum, { kind }) => sum + (PICTURES[kind] ?? 1), 0);
    const reason = { left: t.left(pictures), stopped: t.stopped, failed: t.failed };
    const texts = [
      pause ? reason[pause] : "",
      waiting.length > 0 && pause !== "left" ? `${t.waiting(pictures)}.` : "",
      elsewhere > 0 ? t.elsewhere(elsewhere) : "",
    ];
    const text = texts.filter(Boolean).join(" ");
    const about = this.#part("queue-about");
    if (about.textContent !== text) about.textContent = text;
    this.#button("queue-continue").hidden = pause === null || waiting.length === 0;
    this.#button("queue-pause").hidden = pause !== null || !running || waiting.length === 0;
    this.#button("queue-clear").hidden = waiting.length === 0;
    const focus = /** @type {HTMLElement | null} */ (this.#list.querySelector(":focus"));
    const rows = waiting.map((record, at) => row(record, at, waiting.length));
    this.#list.replaceChildren(
      ...(running && waiting.length ? [runningRow(running)] : []),
      ...rows,
    );
    if (focus) this.#focus(focus.dataset.act ?? "", focus.dataset.id ?? "");
  }

  /** @param {string} id @param {-1 | 1} by */
  #move(id, by) {
    this.#queue.move(id, by);
    const act = by < 0 ? "queue-up" : "queue-down";
    this.#focus(act, id);
  }

  /** @param {string} id */
  #remove(id) {
    const at = this.#queue.waiting.findIndex((record) => record.id === id);
    this.#queue.remove(id);
    const { waiting } = this.#queue;
    const next = waiting[Math.min(Math.max(at, 0), waiting.length - 1)];
    if (next) this.#focus("queue-remove", next.id);
  }

  /** Focuses a button of a row, or one beside it where that one is disabled. */
  #focus(/** @type {string} */ act, /** @type {string} */ id) {
    const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (
      this.#list.querySelectorAll(`button[data-id="${id}"]:not(:disabled)`)
    );
    const same = [...buttons].find(({ dataset }) => dataset.act === act);
    (same ?? buttons[0])?.focus();
  }

  /** @param {string} act */
  #button(act) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-act=${act}]`));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

/** @param {QueueRecord} record @param {number} at @param {number} count */
function row(record, at, count) {
  const t = strings().gallery.queue;
  const item = document.createElement("li");
  item.append(
    words(record, record.problem === CRASHED ? t.crashed : record.problem),
    ...(record.problem ? [button("queue-again", "↻", t.again, record.id)] : []),
    button("queue-up", "↑", t.up(at + 1), record.id, at === 0),
    button("queue-down", "↓", t.down(at + 1), record.id, at === count - 1),
    button("queue-remove", "×", t.remove(at + 1), record.id),
  );
  item.toggleAttribute("data-failed", record.problem !== "");
  return item;
}

/** @param {QueueRecord} record */
function runningRow(record) {
  const t = strings().gallery.queue;
  const item = document.createElement("li");
  item.ariaCurrent = "true";
  item.append(words(record, t.making), button("queue-remove", "×", t.remove(0), record.id));
  return item;
}

/** @param {QueueRecord} record @param {string} state */
function words({ settings: all, kind }, state) {
  const t = strings().gallery.queue;
  const settings = /** @type {Settings} */ (all);
  const text = document.createElement("p");
  const prompt = document.createElement("span");
  prompt.className = "prompt-words";
  const negative = settings.negative_prompt && ` − ${settings.negative_prompt}`;
  prompt.textContent = (settings.prompt || t.noPrompt) + negative;
  const about = document.createElement("span");
  about.className = "soft";
  const what = { compare: t.comparison, wall: t.wall }[kind] ?? "";
  about.textContent = [describe(settings), what, state].filter(Boolean).join(" · ");
  text.append(prompt, about);
  return text;
}

/**
 * @param {string} act
 * @param {string} sign
 * @param {string} label
 * @param {string} id
 * @param {boolean} [disabled]
 */
function button(act, sign, label, id, disabled = false) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "icon";
  button.textContent = sign;
  button.ariaLabel = label;
  button.title = label;
  button.disabled = disabled;
  Object.assign(button.dataset, { act, id });
  return button;
}
