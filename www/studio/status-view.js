// @ts-check
/** Shows the state of engine and run: status line, progress bar, device, model, problems. */
import { strings } from "../strings/index.js";
import { showProblem, showQuestion } from "./problems.js";
import { deletedText, modelText, planText } from "./status-text.js";

/** @typedef {import("../engine/protocol.js").Opened} Opened */
/** @typedef {import("./progress.js").Status} Status */

/**
 * An element of the studio.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {ParentNode} root
 * @param {string} name
 * @param {new () => T} [kind]
 */
export function partOf(root, name, kind) {
  const part = root.querySelector(`[data-part=${name}]`);
  if (!(part instanceof (kind ?? HTMLElement)))
    throw new TypeError(`the studio has no part ${name}`);
  return /** @type {T} */ (part);
}

/** A status that screen readers speak, too. @param {string} text @returns {Status} */
export const said = (text) => ({ text, spoken: text });

export class StatusView {
  #root;

  /** @param {ParentNode} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {Status} status */
  say({ text, spoken, fraction }) {
    this.#part("status").textContent = text;
    if (spoken !== undefined) this.#part("spoken").textContent = spoken;
    const bar = this.#part("progress", HTMLProgressElement);
    bar.hidden = fraction === undefined;
    if (typeof fraction === "number") bar.value = fraction;
    else bar.removeAttribute("value");
  }

  /** @param {string[]} warnings about the picture in view */
  warn(warnings) {
    this.#part("warnings").replaceChildren(
      ...warnings.map((text) => {
        const item = document.createElement("li");
        item.textContent = text;
        return item;
      }),
    );
  }

  /**
   * @param {import("../base/problem.js").Problem | null} problem null: hides the last one
   * @param {Partial<import("./problems.js").Situation>} situation
   */
  problem(problem, situation) {
    showProblem(this.#part("problem"), problem, situation);
  }

  /**
   * Asks whether the model of a link may be loaded.
   * @param {import("./consent.js").Question} question
   * @param {string} model name of the link's model
   * @param {string} present name of the page's model
   */
  ask(question, model, present) {
    showQuestion(this.#part("problem"), question, model, present);
  }

  /**
   * Shows or hides the page's own content for visitors who cannot use the studio.
   * @param {boolean} shown
   * @param {string} [text] in place of a content that the page does not have
   */
  fallback(shown, text) {
    const slot = this.#root.querySelector("slot[name=fallback]");
    if (slot && text) slot.textContent = text;
    slot?.toggleAttribute("hidden", !shown);
  }

  /** Shows the state of the run in the buttons. @param {{idle: boolean, work: string}} state */
  buttons({ idle, work }) {
    const t = strings().studio.actions;
    const generate = idle ? t.generate : strings().gallery.tools.addToQueue;
    this.#button("generate").textContent = generate;
    const cancel = this.#button("cancel");
    cancel.ariaDisabled = idle || work === "ending" ? "true" : null;
    cancel.textContent = work === "stuck" ? t.stopNow : t.cancel;
  }

  /** Says what changes after the picture in progress. @param {string} text */
  later(text) {
    this.#part("device").textContent = text;
    this.#part("spoken").textContent = text;
  }

  /** Empties what is shown of the last model. */
  clear() {
    for (const name of ["device", "model", "memory"]) this.#part(name).textContent = "";
  }

  /** @param {Opened} opened @param {boolean} checkpoint the model is a single file */
  opened(opened, checkpoint) {
    const { name: text, reason } = opened.device;
    const name = document.createElement("strong");
    name.textContent = text;
    const about = reason ? `: ${reason}` : strings().studio.status.byWebGpu;
    this.#part("device").replaceChildren(name, about);
    this.notice(modelText(opened, checkpoint));
  }

  /** Shows a message about the model. @param {string} text */
  notice(text) {
    this.#part("model").textContent = text;
  }

  /** @param {Opened} opened a model that was deleted from the cache */
  deleted(opened) {
    this.notice(deletedText(opened));
  }

  /** @param {import("../engine/protocol.js").MemoryPlan} plan */
  plan(plan) {
    this.#part("memory").textContent = planText(plan);
  }

  /** @param {string} act */
  #button(act) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-act=${act}]`));
  }

  /**
   * @template {HTMLElement} [T=HTMLElement]
   * @param {string} name
   * @param {new () => T} [kind]
   */
  #part(name, kind) {
    return partOf(this.#root, name, kind);
  }
}
