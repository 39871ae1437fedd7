// @ts-check
/** View of what is added to the model: a row for each, with its weight and what one can do. */
import { setHtml } from "../base/trusted.js";
import { strings } from "../strings/index.js";
import { lorasOf, lorasText, missing, readsTags, taggedLoras } from "./loras.js";

/** @typedef {import("../engine/protocol.js").Addition} Addition */
/** @typedef {import("../engine/protocol.js").LoraWeights} LoraWeights */
/** @typedef {import("./additions-list.js").AdditionList} AdditionList */
/** @typedef {import("./additions-list.js").Entry} Entry */
/** @typedef {import("./settings.js").Settings} Settings */

/**
 * @typedef {object} Host
 * @property {(settings: Partial<Settings>) => void} fill fills the form
 * @property {(loras: string) => void} weigh sets the weights of LoRAs, as typing does
 * @property {(kind: Addition["kind"], name: string) => void} remove
 */

/** A row: an addition, or one that the settings name and there is not.
 * @typedef {{kind: Addition["kind"], name: string, entry: Entry | null}} Row
 */

const FORM = () => {
  const t = strings().additions;
  return `
  <h2>${t.title}</h2>
  <p class="note" data-part="additions-tags" hidden><span></span>
    <button type="button" class="plain" data-act="use-tags">${t.useTags}</button></p>
  <ul></ul>`;
};

export class AdditionsView {
  #place;
  #list;
  #host;
  /** The rows that are shown, as a text. */ #shown = "";
  /** @type {Settings | null} */ #settings = null;

  /** @param {HTMLElement} place @param {AdditionList} list @param {Host} host */
  constructor(place, list, host) {
    this.#place = place;
    this.#list = list;
    this.#host = host;
    setHtml(place, FORM());
    // The form would take these for settings of its own.
    place.addEventListener("input", (event) => this.#input(event));
    place.addEventListener("click", ({ target }) => this.#click(/** @type {Element} */ (target)));
  }

  /** @param {Settings} settings */
  render(settings) {
    this.#settings = settings;
    const rows = this.#rows(settings);
    this.#place.hidden = rows.length === 0;
    const key = JSON.stringify(
      rows.map(({ kind, name, entry }) => [kind, name, entry && { ...entry, file: null }]),
    );
    if (key !== this.#shown) {
      this.#shown = key;
      this.#place.querySelector("ul")?.replaceChildren(...rows.map(rowOf));
    }
    this.#update(settings);
  }

  /** @param {Settings} settings @returns {Row[]} */
  #rows(settings) {
    const { entries, available } = this.#list;
    const own = entries.map((entry) => ({ kind: entry.kind, name: entry.name, entry }));
    const listed = (/** @type {string} */ name) => entries.some((entry) => entry.name === name);
    const lost = missing({ ...settings, prompt: "" }, available);
    const absent = (/** @type {Addition["kind"]} */ kind, /** @type {string[]} */ names) =>
      names.filter((name) => name && !listed(name)).map((name) => ({ kind, name, entry: null }));
    return [...own, ...absent("lora", lost.loras), ...absent("vae", [lost.vae])];
  }

  /** Writes the weights of the settings into the rows. @param {Settings} settings */
  #update(settings) {
    const weights = new Map(lorasOf(settings.loras).map((lora) => [lora.name, lora]));
    for (const input of this.#place.querySelectorAll("input")) {
      const { weight = "", name = "" } = input.dataset;
      if (weight === "vae") {
        input.checked = settings.vae === name;
        continue;
      }
      const lora = weights.get(name);
      const value = String((weight === "text_encoder" ? lora?.text_encoder : lora?.unet) ?? 0);
      if (input.value !== value && !isTyping(input)) input.value = value;
    }
    this.#showTags(settings);
  }

  /** Says that tags in a plain prompt are text. @param {Settings} settings */
  #showTags(settings) {
    const note = this.#place.querySelector("[data-part=additions-tags]");
    const [name] = readsTags(settings) ? [] : taggedLoras(settings.prompt);
    note?.toggleAttribute("hidden", name === undefined);
    const text = note?.querySelector("span");
    if (text && name !== undefined) text.textContent = strings().additions.tags(`<lora:${name}:…>`);
  }

  /** @param {Event} event */
  #input(event) {
    event.stopPropagation();
    const input = /** @type {HTMLInputElement} */ (event.target);
    const { weight, name = "" } = input.dataset;
    if (weight === "vae") return this.#host.fill({ vae: input.checked ? name : "" });
    const value = input.value.trim() === "" ? NaN : Number(input.value);
    if (!weight || !Number.isFinite(value)) return;
    const all = lorasOf(this.#settings?.loras ?? "");
    const before = all.find((lora) => lora.name === name);
    /** @type {LoraWeights} */
    const lora = before ?? { name, text_encoder: 0, unet: 0 };
    if (!before) all.push(lora);
    if (weight !== "text_encoder") lora.unet = value;
    if (weight !== "unet") lora.text_encoder = value;
    this.#host.weigh(lorasText(all));
  }

  /** @param {Element} target */
  #click(target) {
    const { act, name = "", kind, word = "" } = target.closest("button")?.dataset ?? {};
    if (act === "remove-addition") this.#host.remove(/** @type {Addition["kind"]} */ (kind), name);
    if (act === "use-tags") this.#host.fill({ prompt_syntax: "a1111" });
    if (act !== "into-prompt" && act !== "into-negative") return;
    const field = act === "into-prompt" ? "prompt" : "negative_prompt";
    const before = this.#settings?.[field].trimEnd() ?? "";
    const joint = before === "" || before.endsWith(",") ? " " : ", ";
    this.#host.fill({ [field]: `${before}${joint}${word}`.trim() });
  }
}

/** A visitor types there: "0." is not replaced by "0". @param {HTMLInputElement} input */
function isTyping(input) {
  const root = /** @type {ShadowRoot | Document} */ (input.getRootNode());
  return root.activeElement === input && input.type === "number";
}

/** @param {number} bytes */
const sizeText = (bytes) =>
  bytes < 1e6
    ? strings().additions.kilobytes(Math.ceil(bytes / 1e3))
    : strings().studio.models.bytes(bytes);

/** @param {Row} row */
function rowOf({ kind, name, entry }) {
  const t = strings().additions;
  const item = document.createElement("li");
  const about = entry
    ? [t.kinds[kind], sizeText(entry.file.size), entry.kept ? t.kept : t.fromDisk]
    : [t.kinds[kind], t.notHere];
  const head = element("div", { className: "head" });
  const words = element("p");
  words.append(element("strong", { textContent: name }), ` ${about.join(" · ")}`);
  head.append(words, button("remove-addition", t.remove, t.removeOf(name), { kind, name }));
  item.append(head);
  if (!entry) item.append(note(t.drop));
  else if (entry.problem) item.append(note(t.misfit(entry.problem)));
  else if (kind === "lora") item.append(...weightsOf(name));
  else if (kind === "embedding") item.append(...wordOf(entry));
  else item.append(vaeSwitch(name));
  for (const warning of entry?.warnings ?? []) item.append(note(warning));
  return item;
}

/** @param {string} name of a LoRA */
function weightsOf(name) {
  const t = strings().additions;
  const both = element("div", { className: "weights" });
  const slider = element("input", { type: "range", min: "-1", max: "2", step: "0.05" });
  slider.tabIndex = -1;
  slider.ariaHidden = "true";
  Object.assign(slider.dataset, { weight: "both", name });
  both.append(slider, amount("both", name, t.weight(name)));
  const apart = element("details");
  const parts = element("div", { className: "weights" });
  parts.append(
    labelled(t.unet, amount("unet", name, t.unetOf(name))),
    labelled(t.textEncoder, amount("text_encoder", name, t.textEncoderOf(name))),
  );
  apart.append(element("summary", { textContent: t.apart }), parts);
  return [both, apart];
}

/** @param {"both" | "unet" | "text_encoder"} weight @param {string} name @param {string} label */
function amount(weight, name, label) {
  const input = element("input", { type: "number", step: "0.05", ariaLabel: label });
  Object.assign(input.dataset, { weight, name });
  return input;
}

/** @param {string} text @param {HTMLInputElement} input */
function labelled(text, input) {
  const label = element("label");
  label.append(element("span", { textContent: text }), input);
  return label;
}

/** @param {Entry} entry a learned word */
function wordOf({ words, vectors }) {
  const t = strings().additions;
  const [word] = words;
  const about = vectors > 0 ? [t.tokens(vectors)] : [];
  const acts = element("p", { className: "acts" });
  acts.append(
    button("into-negative", t.intoNegative, t.intoNegativeOf(word), { word }),
    button("into-prompt", t.intoPrompt, t.intoPromptOf(word), { word }),
  );
  const text = [t.usedAs(word), ...about, t.mostNegative].join(" ");
  return [element("p", { className: "soft", textContent: text }), acts];
}

/** @param {string} name of a VAE */
function vaeSwitch(name) {
  const t = strings().additions;
  const input = element("input", { type: "checkbox", ariaLabel: t.useVaeOf(name) });
  Object.assign(input.dataset, { weight: "vae", name });
  const label = labelled(t.useVae, input);
  label.className = "switch";
  label.prepend(input);
  return label;
}

/** @param {string} text */
const note = (text) => element("p", { className: "note", textContent: text });

/**
 * @param {string} act
 * @param {string} text
 * @param {string} label
 * @param {Record<string, string>} data
 */
function button(act, text, label, data) {
  const made = element("button", { type: "button", textContent: text, ariaLabel: label });
  made.className = "plain";
  Object.assign(made.dataset, { act, ...data });
  return made;
}

/**
 * @template {"button" | "details" | "div" | "input" | "label" | "p" | "span" | "strong" |
 *   "summary"} K
 * @param {K} tag
 * @param {Record<string, string>} [properties]
 * @returns {HTMLElementTagNameMap[K]}
 */
function element(tag, properties = {}) {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  return made;
}
