// @ts-check
/** Notes that the engine answers while a visitor types: the prompts' parts, memory of a size. */
import { PROMPT_FIELDS } from "./prompt-language.js";

const AFTER_MS = 150;

export class LiveNotes {
  #session;
  #form;
  #language;
  #status;
  #timer = 0;
  /** The last question about each prompt. @type {Map<string, string>} */ #asked = new Map();

  /**
   * @param {import("./session.js").Session} session
   * @param {import("./form.js").SettingsForm} form
   * @param {import("./prompt-language.js").PromptLanguage} language
   * @param {import("./status-view.js").StatusView} status
   */
  constructor(session, form, language, status) {
    this.#session = session;
    this.#form = form;
    this.#language = language;
    this.#status = status;
  }

  /** Writes the notes a moment after the last change. */
  soon() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#write(), AFTER_MS);
  }

  /** Writes them at once: the model may be another one. */
  now() {
    this.#asked.clear();
    this.#write();
  }

  #write() {
    void this.#read();
    void this.#plan();
  }

  async #read() {
    if (!this.#session.opened) return;
    for (const field of PROMPT_FIELDS) {
      const { [field]: text, prompt_syntax, emphasis, steps } = this.#form.settings;
      const options = {
        syntax: prompt_syntax,
        emphasis,
        steps: Math.min(1000, Math.max(1, Math.floor(Number(steps)) || 1)),
        negative: field === "negative_prompt",
      };
      const question = JSON.stringify([text, options]);
      if (this.#asked.get(field) === question) continue;
      this.#asked.set(field, question);
      const layout = await this.#session.layout(text, options);
      if (!layout || this.#asked.get(field) !== question) continue;
      if (text !== this.#form.settings[field]) continue;
      this.#form.showLayout(field, layout);
      this.#language.show(field, text, layout);
    }
    this.#form.review();
    this.#language.review();
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
