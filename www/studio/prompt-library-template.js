// @ts-check
/** HTML of the dialog of sets of prompts. */
import { strings } from "../strings/index.js";

/** Negative prompts to begin with. Models know English words, whatever the page's language is. */
export const STARTERS = /** @type {const} */ ({
  soft: "blurry, out of focus, low resolution",
  writing: "text, watermark, signature",
  drawing: "drawing, painting, cartoon, 3d render",
  crowd: "crowd, group of people",
});

/** The contents of the dialog. */
export function libraryTemplate() {
  const t = strings().library.sets;
  return `
  <div class="title">
    <h2 id="library-title">${t.title}</h2>
    <button type="button" part="button" data-act="close">${t.close}</button>
  </div>
  <form class="save" method="dialog" data-part="library-save">
    <input aria-label="${t.name}" placeholder="${t.name}" autocomplete="off" maxlength="200"
      part="field">
    <button part="button">${t.save}</button>
  </form>
  <p class="soft" role="status" data-part="library-note"></p>
  <p class="soft" role="status" data-part="library-kept"></p>
  <h3>${t.own}</h3>
  <ul data-part="library-own"></ul>
  <p class="soft" data-part="library-none">${t.none}</p>
  <div class="sum">
    <button type="button" part="button" data-act="library-import">${t.import}</button>
    <button type="button" part="button" data-act="library-export">${t.export}</button>
    <input type="file" accept=".csv,text/csv" hidden>
  </div>
  <h3>${t.starters}</h3>
  <p class="soft">${t.startersAbout}</p>
  <ul data-part="library-starters"></ul>`;
}

/** @typedef {import("../store/prompt-sets.js").PromptSet} PromptSet */

/**
 * A set with its buttons.
 * @param {PromptSet} set
 * @param {{own: boolean, renaming: boolean}} options `own`: it can be renamed and deleted
 */
export function setRow(set, { own, renaming }) {
  const t = strings().library.sets;
  const item = document.createElement("li");
  const words = document.createElement("div");
  const name = document.createElement("strong");
  name.textContent = set.name;
  words.append(renaming ? renameForm(set.name) : name);
  for (const [text, mark] of [
    [set.prompt, (/** @type {string} */ text) => text],
    [set.negative_prompt, t.negative],
  ]) {
    if (!text) continue;
    const line = document.createElement("p");
    line.textContent = /** @type {(text: string) => string} */ (mark)(String(text));
    words.append(line);
  }
  const acts = document.createElement("div");
  acts.className = "acts";
  acts.append(
    button("append", t.append, t.appendLabel(set.name), set.name),
    button("replace", t.replace, t.replaceLabel(set.name), set.name),
  );
  if (own)
    acts.append(
      button("rename", t.rename, t.renameLabel(set.name), set.name),
      button("delete", t.delete, t.deleteLabel(set.name), set.name),
    );
  item.append(words, acts);
  return item;
}

/** @param {string} name */
function renameForm(name) {
  const t = strings().library.sets;
  const form = document.createElement("form");
  form.method = "dialog";
  form.className = "save";
  form.dataset.part = "library-rename";
  const field = document.createElement("input");
  Object.assign(field, { value: name, ariaLabel: t.renameField, maxLength: 200 });
  field.autocomplete = "off";
  const keep = document.createElement("button");
  keep.textContent = t.keep;
  form.append(field, keep);
  return form;
}

/** @param {string} act @param {string} text @param {string} label @param {string} key */
function button(act, text, label, key) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.ariaLabel = label;
  Object.assign(made.dataset, { act: `library-${act}`, key });
  return made;
}
