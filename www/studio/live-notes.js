// @ts-check
/** Notes that the engine answers while a visitor types: tokens of the prompts, memory of a size. */

const AFTER_MS = 150;

export class LiveNotes {
  #session;
  #form;
  #status;
  #timer = 0;

  /**
   * @param {import("./session.js").Session} session
   * @param {import("./form.js").SettingsForm} form
   * @param {import("./status-view.js").StatusView} status
   */
  constructor(session, form, status) {
    this.#session = session;
    this.#form = form;
    this.#status = status;
  }

  /** Writes the notes a moment after the last change. */
  soon() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.now(), AFTER_MS);
  }

  now() {
    void this.#count();
    void this.#plan();
  }

  async #count() {
    if (!this.#session.opened) return;
    for (const field of /** @type {const} */ (["prompt", "negative_prompt"])) {
      const text = this.#form.settings[field];
      const counted = await this.#session.count(text);
      if (counted && text === this.#form.settings[field]) this.#form.showTokens(field, counted);
    }
    this.#form.review();
  }

  /** Shows the memory that pictures of this size take. */
  async #plan() {
    const { width, height } = this.#form.settings;
    const { opened } = this.#session;
    if (!opened || !this.#form.isValid({ quietly: true })) return;
    const { default_width, default_height } = opened.model;
    const size = [Number(width || default_width), Number(height || default_height)];
    const plan = await this.#session.plan(size[0], size[1]);
    const now = this.#form.settings;
    if (plan && width === now.width && height === now.height) this.#status.plan(plan);
  }
}
