// @ts-check
/**
 * The shelf: a dialog with the models that the page knows and those in the browser's storage, each
 * with its size, its licence and its state, and a field for any other model.
 */
import { problemOf } from "../base/problem.js";
import { setHtml } from "../base/trusted.js";
import { language, strings } from "../strings/index.js";
import { cachedModels, deleteModel, storageEstimate } from "../weights/cache.js";
import { CATALOGUE, fetchCatalogue } from "./shelf-catalogue.js";
import { itemOf } from "./shelf-item.js";
import { rowsOf } from "./shelf-rows.js";

/** @typedef {import("./shelf-catalogue.js").Entry} Entry */
/** @typedef {import("./shelf-rows.js").Row} Row */

/** @param {number} bytes */
const size = (bytes) => strings().studio.models.bytes(bytes);

function content() {
  const { close, deleteAll } = strings().studio.models;
  const { file, fileTitle, folder, folderTitle, modelExample } = strings().studio.settings;
  const t = strings().models.shelf;
  return `
  <div class="title">
    <h2 id="models-title">${t.title}</h2>
    <button type="button" part="button" data-act="close" autofocus>${close}</button>
  </div>
  <p class="soft">${t.about}</p>
  <p class="unreadable" role="alert" data-part="unreadable" hidden></p>
  <ul data-part="shelf-list"></ul>
  <form class="other">
    <label for="other-model">${t.other}</label>
    <div class="row">
      <input id="other-model" data-part="other-model" autocomplete="off" spellcheck="false"
        autocapitalize="off" inputmode="url" part="field" placeholder="${modelExample}"
        aria-describedby="other-hint">
      <button type="submit" part="button">${t.load}</button>
      <button type="button" part="button" data-act="file" title="${fileTitle}">${file}</button>
      <button type="button" part="button" data-act="folder" title="${folderTitle}"
        >${folder}</button>
    </div>
    <p class="soft" id="other-hint">${t.otherHint}</p>
  </form>
  <div class="sum">
    <p class="soft" data-part="storage"></p>
    <button type="button" part="button" data-act="delete-all">${deleteAll}</button>
  </div>
  <p class="unseen" aria-live="polite" data-part="models-spoken"></p>`;
}

export class Shelf {
  #host;
  /** @type {HTMLDialogElement | null} */ #dialog = null;
  /** The list that was read last, by its address. @type {Map<string, Entry[]>} */ #lists =
    new Map();
  /** @type {Row[]} */ #rows = [];

  /** @param {import("./shelf-door.js").Host} host */
  constructor(host) {
    this.#host = host;
  }

  async open() {
    const dialog = this.#current();
    // The states of the last time may be wrong by now.
    this.#part("shelf-list").replaceChildren();
    this.#part("storage").textContent = strings().models.shelf.loading;
    if (!dialog.open) dialog.showModal();
    await this.#show();
  }

  /** Shows the models again, if the dialog is open. */
  async refresh() {
    if (this.#dialog?.open) await this.#show();
  }

  /** The dialog: a new one where the studio was rendered again, in the language of the texts. */
  #current() {
    const { lang } = this.#dialog ?? {};
    if (this.#dialog?.isConnected && lang === language()) return this.#dialog;
    this.#dialog?.remove();
    const dialog = document.createElement("dialog");
    dialog.className = "models shelf";
    dialog.lang = language();
    dialog.dataset.part = "models";
    dialog.setAttribute("part", "dialog");
    dialog.setAttribute("aria-labelledby", "models-title");
    setHtml(dialog, content());
    dialog.addEventListener("click", (event) => void this.#click(event));
    dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      const field = /** @type {HTMLInputElement} */ (this.#part("other-model"));
      const model = field.value.trim();
      if (!model) return field.focus();
      field.value = "";
      this.#use(model, null);
    });
    this.#host.root().append(dialog);
    this.#dialog = dialog;
    return dialog;
  }

  async #show() {
    let refused = "";
    const [entries, models, space, lasting] = await Promise.all([
      this.#entries(),
      cachedModels((why) => (refused = why)),
      storageEstimate(),
      navigator.storage?.persisted?.() ?? false,
    ]);
    const inUse = this.#host.inUse();
    this.#rows = rowsOf(entries, models, {
      ...this.#host,
      inUse,
      refusals: this.#host.refusals(),
      origin: location.origin,
    });
    const list = this.#part("shelf-list");
    list.replaceChildren(...this.#rows.map((row) => itemOf(row, this.#host.pageOf(row.address))));
    list.hidden = this.#rows.length === 0;
    const total = models.reduce((sum, { bytes }) => sum + bytes, 0);
    const t = strings().studio.models;
    const taken = models.length ? t.total(size(total), models.length) : t.none;
    const left = space ? t.left(size(space.free)) : "";
    const how = models.length ? (lasting ? t.lasting : t.evictable) : "";
    const { none } = strings().problems.storage;
    this.#part("storage").textContent = refused ? none(refused) : taken + left + how;
    const all = /** @type {HTMLElement} */ (this.#dialog?.querySelector("[data-act=delete-all]"));
    all.hidden = models.length < 2;
  }

  /** The models of the list; none where it cannot be used, and the dialog says why. */
  async #entries() {
    const own = this.#host.catalogue();
    const isAddress = URL.canParse(own, document.baseURI);
    const address = isAddress && own ? new URL(own, document.baseURI).href : own || CATALOGUE;
    const problem = this.#part("unreadable");
    try {
      const entries = this.#lists.get(address) ?? (await fetchCatalogue(address));
      this.#lists.set(address, entries);
      problem.hidden = true;
      return entries;
    } catch (error) {
      const { message } = problemOf(error, "file");
      problem.textContent = strings().models.shelf.unreadable(address, message);
      problem.hidden = false;
      return [];
    }
  }

  /** @param {MouseEvent} event */
  async #click({ target, clientX, clientY }) {
    const dialog = /** @type {HTMLDialogElement} */ (this.#dialog);
    // A click outside the dialog's edges has the dialog itself as its target.
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const beside =
      target === dialog && (clientX < left || clientX > right || clientY < top || clientY > bottom);
    const { act, at } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
    const row = this.#rows.find(({ address }) => address === at);
    if (act === "close" || beside) dialog.close();
    if (act === "use" && row) this.#use(row.model, row);
    if (act === "file" || act === "folder") {
      dialog.close();
      this.#host.onFile(act);
    }
    const t = strings().studio.models;
    if (act === "delete" && row) await this.#delete(row.address, t.deleted(row.name));
    if (act === "delete-all") await this.#delete(null, t.allDeleted);
  }

  /** @param {string} model @param {Row | null} row */
  #use(model, row) {
    this.#dialog?.close();
    this.#host.onUse(model, row?.entry?.defaults ?? {});
  }

  /** @param {string | null} address @param {string} spoken */
  async #delete(address, spoken) {
    await deleteModel(address);
    this.#host.onDelete(address);
    await this.#show();
    // The pressed button is gone: screen readers need a message, and the focus a new place.
    this.#part("models-spoken").textContent = spoken;
    const next = this.#dialog?.querySelector("[data-act=delete], [data-act=close]");
    /** @type {HTMLElement | null} */ (next ?? null)?.focus();
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#dialog?.querySelector(`[data-part=${name}]`));
  }
}
