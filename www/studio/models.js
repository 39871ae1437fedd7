// @ts-check
/**
 * Dialog of downloaded models: lists the models in the browser's storage with their sizes, and
 * deletes them.
 */
import { cachedModels, deleteModel, storageEstimate } from "../weights/cache.js";

/** @typedef {import("../weights/cache.js").CachedModel} CachedModel */

/** @param {number} bytes */
export const size = (bytes) =>
  bytes < 1e9
    ? `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`
    : `${(bytes / 1e9).toFixed(2)} GB`;

const day = new Intl.DateTimeFormat("en", { dateStyle: "medium" });

export class ModelsPanel {
  #dialog;
  #list;
  #options;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {object} options
   * @param {(address: string) => string} options.nameOf a model's address as a visitor would write
   *   it
   * @param {(name: string) => void} options.onUse
   * @param {(address: string | null) => void} options.onDelete null: all models
   */
  constructor(dialog, options) {
    this.#dialog = dialog;
    this.#list = /** @type {HTMLElement} */ (dialog.querySelector("ul"));
    this.#options = options;
    dialog.addEventListener("click", (event) => void this.#click(event));
  }

  /** @param {string} inUse address of the model that is loaded or loading */
  async open(inUse) {
    await this.#show(inUse);
    this.#dialog.dataset.inUse = inUse;
    this.#dialog.showModal();
  }

  /** @param {MouseEvent} event */
  async #click({ target, clientX, clientY }) {
    // A click outside the dialog's edges has the dialog itself as its target.
    const { left, right, top, bottom } = this.#dialog.getBoundingClientRect();
    const beside =
      target === this.#dialog &&
      (clientX < left || clientX > right || clientY < top || clientY > bottom);
    const { act, address } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
    if (act === "close" || beside) this.#dialog.close();
    if (act === "use" && address) {
      this.#dialog.close();
      this.#options.onUse(this.#options.nameOf(address));
    }
    if (act === "delete" && address)
      await this.#deleteModel(address, `${this.#options.nameOf(address)} was deleted.`);
    if (act === "delete-all") await this.#deleteModel(null, "All models were deleted.");
  }

  /** @param {string | null} address @param {string} spoken */
  async #deleteModel(address, spoken) {
    await deleteModel(address);
    this.#options.onDelete(address);
    await this.#show(this.#dialog.dataset.inUse ?? "");
    // The pressed button is gone: screen readers need a message, and the focus a new place.
    this.#part("models-spoken").textContent = spoken;
    /** @type {HTMLElement} */ (
      this.#dialog.querySelector("[data-act=delete], [data-act=close]")
    ).focus();
  }

  /** @param {string} inUse */
  async #show(inUse) {
    const [models, space, lasting] = await Promise.all([
      cachedModels(),
      storageEstimate(),
      navigator.storage?.persisted?.() ?? false,
    ]);
    this.#list.replaceChildren(...models.map((model) => this.#row(model, model.address === inUse)));
    this.#list.hidden = models.length === 0;
    const total = models.reduce((sum, { bytes }) => sum + bytes, 0);
    const taken = models.length
      ? `${size(total)} in ${models.length === 1 ? "one model" : `${models.length} models`}.`
      : "None yet.";
    const left = space ? ` ${size(space.free)} left for this page in this browser.` : "";
    const how = lasting
      ? " It keeps them until you delete them."
      : " It may delete them when its storage runs short.";
    this.#part("storage").textContent = taken + left + (models.length ? how : "");
    this.#button("delete-all").hidden = models.length < 2;
  }

  /** @param {CachedModel} model @param {boolean} inUse */
  #row({ address, bytes, complete, when }, inUse) {
    const name = this.#options.nameOf(address);
    const item = document.createElement("li");
    const words = document.createElement("div");
    const title = document.createElement("strong");
    title.textContent = name;
    const about = document.createElement("p");
    about.textContent = [
      size(bytes),
      day.format(when),
      complete ? "" : "not complete",
      inUse ? "in use" : "",
    ]
      .filter(Boolean)
      .join(" · ");
    words.append(title, about);
    if (!address.includes(name)) {
      const where = document.createElement("p");
      where.className = "address";
      where.textContent = address;
      words.append(where);
    }
    item.append(
      words,
      ...(inUse ? [] : [this.#act("use", "Use", address, name)]),
      this.#act("delete", "Delete", address, name),
    );
    return item;
  }

  /** @param {string} act @param {string} text @param {string} address @param {string} name */
  #act(act, text, address, name) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.ariaLabel = `${text} ${name}`;
    Object.assign(button.dataset, { act, address });
    return button;
  }

  /** @param {string} act */
  #button(act) {
    return /** @type {HTMLElement} */ (this.#dialog.querySelector(`[data-act=${act}]`));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#dialog.querySelector(`[data-part=${name}]`));
  }
}
