// @ts-check
/** Dialog of the sets of prompts that a visitor keeps under names. */
import { setHtml } from "../base/trusted.js";
import { strings } from "../strings/index.js";
import { download } from "./png.js";
import { applied, readCsv, writeCsv } from "./prompt-csv.js";
import { libraryTemplate, STARTERS, setRow } from "./prompt-library-template.js";
import { partOf } from "./status-view.js";

/** @typedef {import("../store/prompt-sets.js").PromptSet} PromptSet */
/** @typedef {import("../store/prompt-sets.js").PromptSetStore} PromptSetStore */
/** @typedef {{prompt: string, negative_prompt: string}} Prompts */

const LARGEST_FILE_MB = 10;

export class PromptLibrary {
  #dialog;
  #store;
  #prompts;
  #onUse;
  /** @type {PromptSet[]} */ #sets = [];
  /** The name of the set that gets another name. */ #renaming = "";
  /** The set that was deleted last. @type {PromptSet | null} */ #deleted = null;

  /**
   * @param {HTMLDialogElement} dialog an empty one
   * @param {PromptSetStore} store
   * @param {() => Prompts} prompts the present ones
   * @param {(prompts: Prompts) => void} onUse
   */
  constructor(dialog, store, prompts, onUse) {
    this.#dialog = dialog;
    this.#store = store;
    this.#prompts = prompts;
    this.#onUse = onUse;
    dialog.addEventListener("click", (event) => void this.#click(event));
    dialog.addEventListener("submit", (event) => void this.#submit(event));
    dialog.addEventListener("change", ({ target }) => {
      if (target instanceof HTMLInputElement && target.type === "file") void this.#readFile(target);
    });
  }

  async open() {
    if (!this.#dialog.firstElementChild) setHtml(this.#dialog, libraryTemplate());
    this.#renaming = "";
    this.#say("");
    await this.#load();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#nameField.focus();
  }

  get #nameField() {
    return /** @type {HTMLInputElement} */ (this.#dialog.querySelector("input"));
  }

  async #load() {
    this.#sets = await this.#store.all();
    this.#render();
  }

  /** @param {string} text @param {boolean} [undo] offers to bring a set back */
  #say(text, undo = false) {
    const note = partOf(this.#dialog, "library-note");
    note.textContent = text;
    if (!undo) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = strings().library.sets.undo;
    button.dataset.act = "library-undo";
    note.append(" ", button);
  }

  #render() {
    const own = this.#sets.map((set) =>
      setRow(set, { own: true, renaming: set.name === this.#renaming }),
    );
    partOf(this.#dialog, "library-own").replaceChildren(...own);
    partOf(this.#dialog, "library-own").hidden = own.length === 0;
    partOf(this.#dialog, "library-none").hidden = own.length > 0;
    const starters = starterSets().map((set) => setRow(set, { own: false, renaming: false }));
    partOf(this.#dialog, "library-starters").replaceChildren(...starters);
    const exports = /** @type {HTMLElement} */ (
      this.#dialog.querySelector("[data-act=library-export]")
    );
    exports.hidden = own.length === 0;
    const field = /** @type {HTMLInputElement | null} */ (
      this.#dialog.querySelector("[data-part=library-rename] input")
    );
    field?.focus();
    field?.select();
  }

  /** @param {MouseEvent} event */
  async #click({ target }) {
    const { act, key } = /** @type {Element} */ (target).closest("button")?.dataset ?? {};
    // A click on the backdrop has the dialog itself as its target.
    if (act === "close" || target === this.#dialog) this.#dialog.close();
    if (act === "library-import") this.#file.click();
    if (act === "library-export") this.#export();
    if (act === "library-undo" && this.#deleted) await this.#keep(this.#deleted);
    const isStarter = /** @type {Element} */ (target).closest("[data-part=library-starters]");
    const sets = isStarter ? starterSets() : this.#sets;
    const set = sets.find(({ name }) => name === key);
    if (!set) return;
    if (act === "library-append") this.#use(set, "append");
    if (act === "library-replace") this.#use(set, "replace");
    if (act === "library-rename") {
      this.#renaming = set.name;
      this.#render();
    }
    if (act === "library-delete") await this.#delete(set);
  }

  /** @param {PromptSet} set @param {"append" | "replace"} how */
  #use(set, how) {
    this.#dialog.close();
    this.#onUse(applied(set, this.#prompts(), how));
  }

  /** @param {PromptSet} set */
  async #delete(set) {
    const at = this.#sets.indexOf(set);
    await this.#store.remove(set.name);
    this.#deleted = set;
    await this.#load();
    this.#say(strings().library.sets.deleted(set.name), true);
    const next = this.#dialog.querySelectorAll("[data-act=library-delete]");
    const focus = next[Math.min(at, next.length - 1)] ?? this.#nameField;
    /** @type {HTMLElement} */ (focus).focus();
  }

  /** @param {PromptSet} set */
  async #keep(set) {
    const kept = await this.#store.put([set]);
    this.#deleted = null;
    await this.#load();
    this.#say(strings().library.sets.saved(set.name));
    this.#warn(kept);
    this.#nameField.focus();
  }

  /** Says that sets are in memory only. @param {boolean} kept */
  #warn(kept) {
    const text = kept ? "" : strings().library.sets.memory;
    partOf(this.#dialog, "library-kept").textContent = text;
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const field = /** @type {HTMLInputElement} */ (form.querySelector("input"));
    const name = field.value.trim();
    const t = strings().library.sets;
    const taken = this.#sets.some((set) => set.name === name);
    if (form.dataset.part === "library-rename") {
      const set = this.#sets.find((set) => set.name === this.#renaming);
      if (!set || name === "") return this.#say(t.nameFirst);
      if (taken && name !== set.name) return this.#say(t.taken(name));
      this.#renaming = "";
      if (name !== set.name) await this.#store.rename(set, name);
      await this.#load();
      this.#say(t.renamed(name));
      this.#buttonOf("rename", name)?.focus();
      return;
    }
    const { prompt, negative_prompt } = this.#prompts();
    if (name === "") return this.#say(t.nameFirst);
    if (!prompt.trim() && !negative_prompt.trim()) return this.#say(t.nothing);
    if (taken) return this.#say(t.taken(name));
    await this.#keep({ name, prompt, negative_prompt });
    field.value = "";
  }

  /** @param {string} act @param {string} name */
  #buttonOf(act, name) {
    /** @type {NodeListOf<HTMLElement>} */
    const buttons = this.#dialog.querySelectorAll(`[data-act=library-${act}]`);
    return [...buttons].find(({ dataset }) => dataset.key === name);
  }

  get #file() {
    return /** @type {HTMLInputElement} */ (this.#dialog.querySelector("input[type=file]"));
  }

  #export() {
    download(new Blob([writeCsv(this.#sets)], { type: "text/csv" }), "styles.csv");
  }

  /** @param {HTMLInputElement} input */
  async #readFile(input) {
    const file = input.files?.[0];
    // The same file can be chosen again.
    input.value = "";
    if (!file) return;
    const t = strings().library.sets.csv;
    if (file.size > LARGEST_FILE_MB * 1e6) return this.#say(t.tooLarge(LARGEST_FILE_MB));
    const { sets, problems, refused } = readCsv(await file.text());
    if (refused) return this.#say(t[refused]);
    this.#sets = await this.#store.all();
    const { added, notes, same } = newSets(this.#sets, sets);
    this.#warn(added.length === 0 || (await this.#store.put(added)));
    await this.#load();
    const lines = problems.map(({ line, kind, name }) =>
      t.line(line, kind === "repeated" ? t.repeated(name) : t[kind]),
    );
    const sum = [t.imported(added.length), ...(same ? [t.same(same)] : [])];
    this.#say([...sum, ...notes, ...lines].join("\n"));
  }
}

/** The sets to begin with, in the language of the texts. @returns {PromptSet[]} */
function starterSets() {
  const { starterNames } = strings().library.sets;
  return /** @type {(keyof typeof STARTERS)[]} */ (Object.keys(STARTERS)).map((key) => ({
    name: starterNames[key],
    prompt: "",
    negative_prompt: STARTERS[key],
  }));
}

/**
 * The sets of a file that are not there yet. One of another text under a name that is there gets
 * another name.
 * @param {PromptSet[]} sets those that are there
 * @param {PromptSet[]} imported
 */
function newSets(sets, imported) {
  const there = new Map(sets.map((set) => [set.name, set]));
  /** @type {PromptSet[]} */
  const added = [];
  /** @type {string[]} */
  const notes = [];
  let same = 0;
  for (const set of imported) {
    const old = there.get(set.name);
    if (old && old.prompt === set.prompt && old.negative_prompt === set.negative_prompt) {
      same += 1;
      continue;
    }
    let name = set.name;
    for (let nth = 2; there.has(name); nth += 1) name = `${set.name} (${nth})`;
    if (old) notes.push(strings().library.sets.csv.renamed(set.name, name));
    const one = { ...set, name };
    there.set(name, one);
    added.push(one);
  }
  return { added, notes, same };
}
