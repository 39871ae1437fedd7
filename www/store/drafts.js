// @ts-check
/**
 * Drafts: the form as it was left, for each page. A draft is written twice. The one of the tab is
 * in session storage, which is written at once, so a reload right after a key press finds it. The
 * one of the page is in the database, for a visit in another tab or on another day.
 */

/** @typedef {import("./database.js").Database} Database */
/** @typedef {Record<string, string>} Draft */

const PREFIX = "darkroom-draft ";

export class DraftStore {
  #database;
  #page;

  /** @param {Database} database @param {string} page path of the page */
  constructor(database, page) {
    this.#database = database;
    this.#page = page;
  }

  /** The tab's draft; null where there is none. @returns {Draft | null} */
  ofTab() {
    try {
      return draftOf(JSON.parse(sessionStorage.getItem(PREFIX + this.#page) ?? "null"));
    } catch {
      // Blocked, or not written by this page.
      return null;
    }
  }

  /** The page's draft; null where there is none. @returns {Promise<Draft | null>} */
  async ofPage() {
    try {
      const found = await this.#database.run(["drafts"], "readonly", (store) =>
        store("drafts").get(this.#page),
      );
      return draftOf(found?.draft);
    } catch {
      return null;
    }
  }

  /** Writes the tab's draft at once. @param {Draft} draft */
  writeTab(draft) {
    try {
      sessionStorage.setItem(PREFIX + this.#page, JSON.stringify(draft));
    } catch {
      // Blocked or full: the page's draft remains.
    }
  }

  /** Writes the page's draft. @param {Draft} draft @returns {Promise<boolean>} it was written */
  async writePage(draft) {
    try {
      await this.#database.run(["drafts"], "readwrite", (store) => {
        store("drafts").put({ page: this.#page, draft });
      });
      return true;
    } catch {
      return false;
    }
  }
}

/** @param {unknown} found @returns {Draft | null} */
function draftOf(found) {
  if (typeof found !== "object" || found === null) return null;
  const texts = Object.entries(found).filter(([, value]) => typeof value === "string");
  return texts.length ? Object.fromEntries(texts) : null;
}
