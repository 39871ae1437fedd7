// @ts-check
/** Keeps the form as it was left, through a reload, Back, a crash of the tab and another day. */

/** @typedef {import("../store/drafts.js").Draft} Draft */
/** @typedef {import("../store/drafts.js").DraftStore} DraftStore */

const WRITE_AFTER_MS = 300;

export class Drafts {
  #store;
  #timer = 0;
  /** @type {Draft | null} */ #unwritten = null;

  /** @param {DraftStore | null} store null: nothing is kept */
  constructor(store) {
    this.#store = store;
  }

  /** The tab's draft, where the page is loaded again; null where it is opened by a link. */
  get reloaded() {
    const [entry] = performance.getEntriesByType("navigation");
    const { type } = /** @type {PerformanceNavigationTiming} */ (entry ?? {});
    return type === "reload" || type === "back_forward" ? (this.#store?.ofTab() ?? null) : null;
  }

  /** The draft of the last visit; null where there is none. */
  async ofPage() {
    return (await this.#store?.ofPage()) ?? null;
  }

  /** Keeps a draft: in this tab at once, for other visits a little later. @param {Draft} draft */
  note(draft) {
    if (!this.#store) return;
    this.#store.writeTab(draft);
    this.#unwritten = draft;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.flush(), WRITE_AFTER_MS);
  }

  /** Writes what waits. The page may be about to close. */
  flush() {
    clearTimeout(this.#timer);
    if (this.#unwritten) void this.#store?.writePage(this.#unwritten);
    this.#unwritten = null;
  }
}
