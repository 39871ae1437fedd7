// @ts-check
/**
 * The page in the visitor's language. The language is chosen when this module is evaluated, before
 * the studio is defined: `?lang=` of the address, else the stored choice, else the browser's
 * languages.
 */
import { language, setLanguage, strings } from "../strings/index.js";

/** Name of the choice in the browser's storage. */
const STORED = "darkroom-language";
/** Language of the texts in index.html. */
const WRITTEN = "en";
const PLACE = /\{(\w+)(?:\|([^}]*))?\}/g;

/** The browser's storage; a page without one has no stored choice. */
function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/** @param {string} tag */
function store(tag) {
  try {
    localStorage.setItem(STORED, tag);
  } catch {
    // The address has the language as well.
  }
}

/** @param {string} key @returns {string} */
function text(key) {
  const value = /** @type {Record<string, unknown>} */ (strings().page)[key];
  if (typeof value !== "string") throw new TypeError(`no text ${key} of the page`);
  return value;
}

/**
 * Writes a text into an element. `{name}` becomes a copy of its child with this `data-name`.
 * @param {Element} element
 * @param {string} wanted
 */
export function fill(element, wanted) {
  const children = new Map(
    [...element.querySelectorAll(":scope > [data-name]")].map((child) => [
      /** @type {HTMLElement} */ (child).dataset.name,
      child,
    ]),
  );
  /** @type {(string | Node)[]} */
  const content = [];
  let end = 0;
  for (const match of wanted.matchAll(PLACE)) {
    const child = children.get(match[1]);
    if (!child) throw new TypeError(`no element named ${match[1]} for “${wanted}”`);
    const copy = child.cloneNode(true);
    if (match[2] !== undefined) copy.textContent = match[2];
    content.push(wanted.slice(end, match.index), copy);
    end = match.index + match[0].length;
  }
  element.replaceChildren(...content, wanted.slice(end));
}

/**
 * Writes the page's texts: `data-text` names the text of an element, `data-text-alt` the one of its
 * attribute `alt`, and so on.
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const element of root.querySelectorAll("*")) {
    for (const { name, value } of [...element.attributes]) {
      if (name === "data-text") fill(element, text(value));
      else if (name.startsWith("data-text-")) element.setAttribute(name.slice(10), text(value));
    }
  }
}

/** Makes the links to other languages keep the settings in the address, and store the choice. */
function listen() {
  const links = /** @type {NodeListOf<HTMLAnchorElement>} */ (
    document.querySelectorAll(".language a")
  );
  for (const link of links) {
    if (link.lang === language()) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    link.addEventListener("click", (event) => {
      const { ctrlKey, metaKey, shiftKey } = event;
      if (ctrlKey || metaKey || shiftKey) return;
      event.preventDefault();
      store(link.lang);
      const address = new URL(location.href);
      address.searchParams.set("lang", link.lang);
      location.assign(address);
    });
  }
}

const asked = new URLSearchParams(location.search).get("lang");
setLanguage(...[asked, stored(), ...navigator.languages].filter((tag) => tag !== null));
if (language() !== WRITTEN) {
  document.documentElement.lang = language();
  translate(document);
}
listen();
