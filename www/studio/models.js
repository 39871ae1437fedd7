// @ts-check
/**
 * Dialog of downloaded models: lists the models in the browser's storage with their sizes, and
 * deletes them.
 */
import { language, strings } from "../strings/index.js";
import { cachedModels, deleteModel, storageEstimate } from "../weights/cache.js";
import { hearDeleted } from "../weights/sharing.js";

/** @typedef {import("../weights/cache.js").CachedModel} CachedModel */

/** @param {number} bytes */
const size = (bytes) => strings().studio.models.bytes(bytes);

/** @param {number | Date} when */
const day = (when) => new Intl.DateTimeFormat(language(), { dateStyle: "medium" }).format(when);

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
    hearDeleted((address) => void this.#deletedElsewhere(address));
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
    const t = strings().studio.models;
    if (act === "delete" && address)
      await this.#deleteModel(address, t.deleted(this.#options.nameOf(address)));
    if (act === "delete-all") await this.#deleteModel(null, t.allDeleted);
  }

  /** Shows that another tab has deleted a model. @param {string | null} address null: all */
  async #deletedElsewhere(address) {
    this.#options.onDelete(address);
    if (this.#dialog.open) await this.#show(this.#dialog.dataset.inUse ?? "");
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
    let refused = "";
    const [models, space, lasting] = await Promise.all([
      cachedModels((why) => (refused = why)),
      storageEstimate(),
      navigator.storage?.persisted?.() ?? false,
    ]);
    this.#list.replaceChildren(...models.map((model) => this.#row(model, model.address === inUse)));
    this.#list.hidden = models.length === 0;
    const total = models.reduce((sum, { bytes }) => sum + bytes, 0);
    const t = strings().studio.models;
    const taken = models.length ? t.total(size(total), models.length) : t.none;
    const left = space ? t.left(size(space.free)) : "";
    const how = lasting ? t.lasting : t.evictable;
    const { none } = strings().problems.storage;
    this.#part("storage").textContent = refused
      ? none(refused)
      : taken + left + (models.length ? how : "");
    this.#button("delete-all").hidden = models.length < 2;
  }

  /** @param {CachedModel} model @param {boolean} inUse */
  #row({ address, bytes, complete, when }, inUse) {
    const t = strings().studio.models;
    const name = this.#options.nameOf(address);
    const item = document.createElement("li");
    const words = document.createElement("div");
    const title = document.createElement("strong");
    title.textContent = name;
    const about = document.createElement("p");
    about.textContent = [size(bytes), day(when), complete ? "" : t.incomplete, inUse ? t.inUse : ""]
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
      ...(inUse ? [] : [this.#act("use", t.use, address, name)]),
      this.#act("delete", t.delete, address, name),
    );
    return item;
  }

  /** @param {string} act @param {string} text @param {string} address @param {string} name */
  #act(act, text, address, name) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.ariaLabel = strings().studio.models.actOn(text, name);
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
