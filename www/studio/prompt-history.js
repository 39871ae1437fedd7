// @ts-check
/** Dialog of the prompts that were used: a filter, and buttons to use or delete each. */
import { strings } from "../strings/index.js";

/** @typedef {import("../store/prompts.js").PromptStore} PromptStore */
/** @typedef {import("../store/prompts.js").UsedPrompt} UsedPrompt */

/** Rows in the list. A filter finds the others. */
const ROWS_AT_MOST = 100;

export class PromptHistory {
  #dialog;
  #store;
  #onUse;
  #list;
  #filter;
  /** @type {UsedPrompt[]} */ #prompts = [];

  /**
   * @param {HTMLDialogElement} dialog
   * @param {PromptStore} store
   * @param {(prompts: {prompt: string, negative_prompt: string}) => void} onUse
   */
  constructor(dialog, store, onUse) {
    this.#dialog = dialog;
    this.#store = store;
    this.#onUse = onUse;
    this.#list = /** @type {HTMLElement} */ (dialog.querySelector("ul"));
    this.#filter = /** @type {HTMLInputElement} */ (dialog.querySelector("input"));
    this.#filter.addEventListener("input", () => this.#render());
    this.#filter.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      const first = this.#matching()[0];
      if (first) this.#use(first);
    });
    dialog.addEventListener("click", (event) => void this.#click(event));
  }

  async open() {
    this.#filter.value = "";
    this.#prompts = await this.#store.all();
    this.#render();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#filter.focus();
  }

  /** @param {MouseEvent} event */
  async #click({ target }) {
    const { act, key } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
    // A click on the backdrop has the dialog itself as its target.
    if (act === "close" || target === this.#dialog) this.#dialog.close();
    const one = this.#prompts.find((one) => one.key === key);
    if (act === "history-use" && one) this.#use(one);
    if (act === "history-delete" && one) {
      const at = this.#matching().indexOf(one);
      await this.#store.remove(one.key);
      this.#prompts = this.#prompts.filter((other) => other !== one);
      this.#render();
      const next = this.#list.querySelectorAll("[data-act=history-delete]");
      const focus = next[Math.min(at, next.length - 1)] ?? this.#filter;
      /** @type {HTMLElement} */ (focus).focus();
    }
    if (act === "history-clear") {
      await this.#store.clear();
      this.#prompts = [];
      this.#render();
      this.#filter.focus();
    }
  }

  /** @param {UsedPrompt} one */
  #use({ prompt, negative_prompt }) {
    this.#dialog.close();
    this.#onUse({ prompt, negative_prompt });
  }

  /** The prompts that contain every word of the filter. */
  #matching() {
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.#prompts.filter(({ prompt, negative_prompt }) => {
      const text = `${prompt}\n${negative_prompt}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  #render() {
    const t = strings().gallery.history;
    const matching = this.#matching();
    this.#list.replaceChildren(...matching.slice(0, ROWS_AT_MOST).map(row));
    this.#list.hidden = matching.length === 0;
    const empty = this.#prompts.length === 0 ? t.none : t.noMatch;
    const note = /** @type {HTMLElement} */ (
      this.#dialog.querySelector("[data-part=history-note]")
    );
    note.textContent = matching.length === 0 ? empty : "";
    const clear = /** @type {HTMLElement} */ (
      this.#dialog.querySelector("[data-act=history-clear]")
    );
    clear.hidden = this.#prompts.length === 0;
  }
}

/** @param {UsedPrompt} one */
function row({ key, prompt, negative_prompt: negative, times }) {
  const t = strings().gallery.history;
  const words = document.createElement("p");
  const first = document.createElement("span");
  first.className = "prompt-words";
  first.textContent = prompt || strings().gallery.queue.noPrompt;
  const second = document.createElement("span");
  second.className = "soft";
  second.textContent = [negative && t.negative(negative), t.times(times)]
    .filter(Boolean)
    .join(" · ");
  words.append(first, second);
  const name = negative ? `${prompt} ${t.negative(negative)}` : prompt;
  const item = document.createElement("li");
  item.append(
    words,
    button("history-use", t.use, t.useLabel(name), key),
    button("history-delete", t.delete, t.deleteLabel(name), key),
  );
  return item;
}

/** @param {string} act @param {string} text @param {string} label @param {string} key */
function button(act, text, label, key) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.ariaLabel = label;
  Object.assign(button.dataset, { act, key });
  return button;
}
