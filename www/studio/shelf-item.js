// @ts-check
/** A model on the shelf. Its texts come from strangers, so they are written as texts. */
import { language, number, strings } from "../strings/index.js";

/** @typedef {import("./shelf-rows.js").Row} Row */

/** @param {number} when */
const day = (when) => new Intl.DateTimeFormat(language(), { dateStyle: "medium" }).format(when);

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} name of the class
 * @param {(string | Node)[]} children
 */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

/** @param {Row} row @param {string} page address of the page about the model; empty: none */
export function itemOf(row, page) {
  const t = strings().models.shelf;
  const { entry, state, name } = row;
  const head = make("p", "head", make("strong", "", name), make("span", "state", stateText(row)));
  const words = make("div", "", head);
  if (entry?.goodAt) words.append(make("p", "good-at", entry.goodAt));
  const facts = factsOf(row);
  if (facts.length) words.append(make("p", "facts", facts.join(" · ")));
  words.append(...aboutOf(row, page));
  if (state === "gone" || state === "refused")
    words.append(make("p", "what-to-do", t.whatToDo[state]));
  const item = make("li", "", words, make("div", "acts", ...buttonsOf(row)));
  item.dataset.state = state;
  return item;
}

/** @param {Row} row */
function stateText({ state, cached }) {
  const t = strings().models.shelf;
  if (state === "own") return "";
  if (state !== "partly" || !cached) return state === "partly" ? t.absent : t[state];
  const { bytes, total } = cached;
  return total > bytes ? t.partly(bytes, total) : t.some(bytes);
}

/** Sizes and default settings. @param {Row} row */
function factsOf({ entry, cached }) {
  const t = strings().models.shelf;
  const { steps, guidance_scale: scale, width, height } = entry?.defaults ?? {};
  const picture = width && height ? `${width}\u00a0×\u00a0${height}` : "";
  const facts = [];
  if (cached?.complete) facts.push(t.savedSize(cached.bytes, day(cached.when)));
  else if (entry?.bytes) facts.push(t.size(entry.bytes));
  if (entry?.memory && picture) facts.push(t.memory(entry.memory, picture));
  if (steps && scale) facts.push(t.defaults(Number(steps), number(Number(scale))));
  return facts;
}

/** Licence, page and address. @param {Row} row @param {string} page */
function aboutOf({ entry, address, name }, page) {
  const t = strings().models.shelf;
  const line = make("p", "facts");
  if (entry?.licenceLink)
    line.append(`${t.licence} `, link(entry.licenceLink, entry.licence || t.seePage));
  else if (entry?.licence) line.append(`${t.licence} ${entry.licence}`);
  if (page) line.append(...(line.hasChildNodes() ? [" · "] : []), link(page, t.page));
  const shown = line.hasChildNodes() ? [line] : [];
  // A model that the visitor entered has a name that says little.
  return entry || address.includes(name) ? shown : [...shown, make("p", "address", address)];
}

/** @param {string} href @param {string} text */
function link(href, text) {
  const element = make("a", "", text);
  Object.assign(element, { href, target: "_blank", rel: "noopener noreferrer" });
  return element;
}

/** @param {Row} row */
function buttonsOf(row) {
  const t = strings().models.shelf;
  const { state, entry, cached } = row;
  const buttons = [];
  const download = entry?.bytes ? t.download(entry.bytes) : t.load;
  const use = state === "saved" || state === "own" ? t.use : cached ? t.resume : download;
  if (state !== "inUse") buttons.push(button("use", use, row));
  if (cached) buttons.push(button("delete", strings().studio.models.delete, row));
  return buttons;
}

/** @param {string} act @param {string} text @param {Row} row */
function button(act, text, { address, name }) {
  const element = make("button", "", text);
  element.type = "button";
  element.ariaLabel = strings().studio.models.actOn(text, name);
  element.setAttribute("part", "button");
  Object.assign(element.dataset, { act, at: address });
  return element;
}
