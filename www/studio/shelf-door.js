// @ts-check
/**
 * The way to the shelf of models. The shelf itself is loaded when it is opened first: a first visit
 * does not need it.
 */
import { problemOf } from "../base/problem.js";
import { hearDeleted } from "../weights/sharing.js";

/** @typedef {import("./shelf-catalogue.js").Defaults} Defaults */
/** @typedef {import("./shelf-rows.js").Refusal} Refusal */

/**
 * @typedef {import("./model-names.js").ModelNames & Doings} Host
 */

/**
 * @typedef {object} Doings
 * @property {() => ShadowRoot} root
 * @property {() => string} inUse address of the model that is loaded or loading
 * @property {() => string} catalogue address of the page's own list; empty: the project's
 * @property {() => Map<string, Refusal>} refusals
 * @property {(model: string, defaults: Defaults) => void} onUse the visitor agrees to download it
 * @property {(kind: "file" | "folder") => void} onFile opens a file dialog
 * @property {(address: string | null) => void} onDelete null: all models
 * @property {(problem: import("../base/problem.js").Problem) => void} onProblem
 */

export class ShelfDoor {
  #host;
  /** @type {import("./shelf.js").Shelf | null} */ #shelf = null;
  /** Defaults of models that were chosen on the shelf. @type {Map<string, Defaults>} */
  #chosen = new Map();

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
    hearDeleted((address) => {
      host.onDelete(address);
      void this.#shelf?.refresh();
    });
  }

  async open() {
    try {
      const { Shelf } = await import("./shelf.js");
      const onUse = (/** @type {string} */ model, /** @type {Defaults} */ defaults) => {
        this.#chosen.set(model, defaults);
        this.#host.onUse(model, defaults);
      };
      this.#shelf ??= new Shelf({ ...this.#host, onUse });
      await this.#shelf.open();
    } catch (error) {
      this.#host.onProblem(problemOf(error, "page"));
    }
  }

  /**
   * Steps and guidance scale that the list gives for a model that was chosen there.
   * @param {string} model
   */
  defaultsOf(model) {
    const { steps, guidance_scale } = this.#chosen.get(model) ?? {};
    return { ...(steps && { steps }), ...(guidance_scale && { guidance_scale }) };
  }
}
